import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { copyOf, readIgnored, readStages, type Stage, variablesOf } from './dockerfile.ts';

/** What the last stage would be, below a folder of this machine. */
export interface Replayed {
  readonly stage: Stage;
  /** Folder that stands for `/`. */
  readonly root: string;
  /** The variables that the image sets, with their paths below `root`. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Commands that only an image can take: they install packages of Debian and add users. */
const FOR_IMAGES_ALONE = /^apt-get /;

// npm tells what it runs about the project that it runs for.
const outside = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_(package|lifecycle)|NODE_OPTIONS$|SCANNERY_)/.test(name)),
);

/**
 * Carries out a Dockerfile without an engine: each stage has a folder as its `/`, and its commands run in a shell of this
 * machine, where absolute paths that the stage has made lead into that folder.
 * @param project folder of the project, a git work tree; what it ignores is not in the context, as in a fresh clone
 * @param folder where the stages' folders are made
 */
export function replay(project: string, folder: string, say: (line: string) => void): Replayed {
  const context = join(folder, 'context');
  const ignored = readIgnored(join(project, '.dockerignore'));
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: project });
  for (const path of files
    .toString()
    .split('\0')
    .filter((name) => name !== '' && !ignored(name))) {
    const from = join(project, path);
    if (!existsSync(from)) continue;
    mkdirSync(dirname(join(context, path)), { recursive: true });
    cpSync(from, join(context, path), { verbatimSymlinks: true });
  }

  let last: Replayed | undefined;
  for (const stage of readStages(join(project, 'Dockerfile'))) {
    last = { stage, ...replayStage(stage, context, folder, say) };
  }
  if (last === undefined) throw new Error('the Dockerfile has no stages');
  return last;
}

function replayStage(
  stage: Stage,
  context: string,
  folder: string,
  say: (line: string) => void,
): Omit<Replayed, 'stage'> {
  const root = join(folder, stage.name);
  mkdirSync(root);
  let directory = '/';
  const environment: Record<string, string> = {};
  /** Absolute paths of the image, as they are found in commands and values of variables. */
  const below = (text: string): string => text.replaceAll(/(?<![\w./])\/(app|source|data)\b/g, `${root}/$1`);

  for (const instruction of stage.instructions) {
    const keyword = instruction.getKeyword();
    if (keyword === 'WORKDIR') {
      directory = instruction.getArguments()[0]!.getValue();
      mkdirSync(join(root, directory), { recursive: true });
    } else if (keyword === 'COPY') {
      const { from, sources, to } = copyOf(instruction);
      const origin = from === undefined ? context : join(folder, from);
      for (const source of sources) copy(join(origin, source), join(root, directory), to);
    } else if (keyword === 'ENV') {
      for (const [name, value] of Object.entries(variablesOf(instruction))) environment[name] = below(value);
    } else if (keyword === 'RUN') {
      const command = instruction.getArgumentsContent()!;
      const skipped = FOR_IMAGES_ALONE.test(command);
      say(`${stage.name}: ${skipped ? 'left out, ' : ''}${command.replaceAll(/\s+/g, ' ')}`);
      if (skipped) continue;
      execFileSync('sh', ['-euc', below(command)], {
        cwd: join(root, directory),
        env: { ...outside, ...environment },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    }
  }
  return { root, environment };
}

/** As COPY does: what a folder holds, or a file, into a folder. */
function copy(from: string, directory: string, to: string): void {
  if (!to.endsWith('/') && to !== '.') throw new Error(`COPY to ${to}: end the names of folders in /`);
  const target = join(directory, to);
  cpSync(from, statSync(from).isDirectory() ? target : join(target, basename(from)), {
    recursive: true,
    verbatimSymlinks: true,
  });
}
