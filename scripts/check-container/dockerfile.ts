import { readFileSync } from 'node:fs';
import { type Copy, DockerfileParser, type Env, type From, type Instruction } from 'dockerfile-ast';

/** What a FROM begins. */
export interface Stage {
  /** Its name, or its number. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

export function readStages(file: string): Stage[] {
  const stages: { name: string; instructions: Instruction[] }[] = [];
  for (const instruction of DockerfileParser.parse(readFileSync(file, 'utf8')).getInstructions()) {
    if (instruction.getKeyword() === 'FROM') {
      stages.push({ name: (instruction as From).getBuildStage() ?? String(stages.length), instructions: [] });
    } else {
      stages.at(-1)?.instructions.push(instruction);
    }
  }
  return stages;
}

/** The command of an ENTRYPOINT, CMD or HEALTHCHECK, all in JSON form here. */
export function commandOf(instruction: Instruction): string[] {
  const text = instruction.getArgumentsContent() ?? '';
  const from = text.indexOf('[');
  if (from === -1) throw new Error(`${instruction.getKeyword()} ${text}: expected a command in JSON form`);
  return JSON.parse(text.slice(from));
}

/** The stage from which a COPY takes, if not from the context, and its sources and destination. */
export function copyOf(instruction: Instruction): { from: string | undefined; sources: string[]; to: string } {
  const paths = instruction.getArguments().map((argument) => argument.getValue());
  const from = (instruction as Copy).getFromFlag()?.getValue() ?? undefined;
  return { from, sources: paths.slice(0, -1), to: paths.at(-1)! };
}

export const variablesOf = (instruction: Instruction): Record<string, string> =>
  Object.fromEntries((instruction as Env).getProperties().map((one) => [one.getName(), one.getUnescapedValue() ?? '']));

/** The last instruction of a keyword in a stage. */
export function lastOf(stage: Stage, keyword: string): Instruction {
  const found = stage.instructions.findLast((instruction) => instruction.getKeyword() === keyword);
  if (found === undefined) throw new Error(`no ${keyword} in stage ${stage.name}`);
  return found;
}

/** Whether .dockerignore leaves a path of the context out. Knows paths and `**\/*.extension`, which is all that ours has. */
export function readIgnored(file: string): (path: string) => boolean {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return (path) =>
    lines.some((line) => {
      if (line.startsWith('**/*')) return path.endsWith(line.slice('**/*'.length));
      if (/[*?![]/.test(line)) throw new Error(`.dockerignore: ${line} is a pattern that this does not know`);
      return path === line || path.startsWith(`${line}/`);
    });
}
