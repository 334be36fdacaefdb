import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);

/** A page's programs: each sample is one, except those marked `continued`, which go on with the sample before. */
function programs(page: string): { name: string; code: string }[] {
  const found: { name: string; code: string }[] = [];
  for (const [, mark, code] of readFileSync(join(root, page), 'utf8').matchAll(
    /^```ts( continued)?\n([\s\S]*?)^```/gm,
  )) {
    if (mark === undefined) found.push({ name: `${page} program ${found.length + 1}`, code: code! });
    else found.at(-1)!.code += code;
  }
  return found;
}

const samples = pages.flatMap(programs);

/** Runs Node without blocking this thread, which has to go on reporting to the runner; what it prints, if it succeeds or not. */
async function run(args: string[], cwd = root): Promise<{ stdout: string; stderr: string }> {
  try {
    // Servers of samples take any port that is free.
    return await promisify(execFile)(process.execPath, args, { cwd, env: { ...process.env, PORT: '0' } });
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout: string; stderr: string; message: string };
    return { stdout, stderr: stderr || message };
  }
}

/** What a sample says that it prints: the comment behind each console.log. */
function promised(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]!);
}

describe('code samples of the documentation', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'scannery-docs-'));
    symlinkSync(join(root, 'data'), join(folder, 'data'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('exist', () => {
    expect(samples.length).toBeGreaterThanOrEqual(3);
  });

  it.each(samples)(
    '$name compiles, runs and prints what it says',
    async ({ name, code }) => {
      const file = join(folder, `${name.replaceAll(/\W+/g, '-')}.mts`);
      const entry = (path: string): string => JSON.stringify(join(root, path));
      writeFileSync(
        file,
        code
          .replaceAll("'scannery'", entry('src/index.ts'))
          .replaceAll("'scannery/recommender'", entry('src/recommender/index.ts'))
          .replaceAll("'scannery/io'", entry('src/io/index.ts'))
          .replaceAll("'scannery/server'", entry('src/server/index.ts')),
      );
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({
          extends: join(root, 'tsconfig.json'),
          compilerOptions: {
            noUnusedLocals: false,
            rewriteRelativeImportExtensions: false,
            typeRoots: [join(root, 'node_modules/@types')],
          },
          include: [],
          exclude: [],
          files: [file, join(root, 'src/webassembly.d.ts')],
        }),
      );
      const compiled = await run([join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
      expect(compiled).toEqual({ stdout: '', stderr: '' });
      const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
      const ran = await run(['--import', loader, file], folder);
      expect(ran.stderr).toBe('');
      const lines = ran.stdout.trim().split('\n');
      expect(lines.length).toBeGreaterThanOrEqual(promised(code).length);
      for (const [i, text] of promised(code).entries()) {
        const [first] = text.split(/, about|\s\(/);
        expect(lines[i]).toContain(first);
      }
    },
    120_000,
  );
});
