import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { CommonArguments, Session } from './session.ts';

/** What a module of src/cli/commands exports. */
export interface Command<T> {
  /** Declares the options, with examples. */
  options(yargs: Argv<CommonArguments>): Argv<T>;
  /** Runs the command; what the process ends with, 0 unless it is said. */
  run(args: ArgumentsCamelCase<T>, session: Session): Promise<number | undefined>;
}

/** Arguments as `run` gets them, from the type of `options`. */
export type ArgumentsOf<F> = F extends (yargs: Argv<CommonArguments>) => Argv<infer T> ? ArgumentsCamelCase<T> : never;

export interface Registered {
  /** The command with its positional arguments, as yargs writes them. */
  readonly command: string;
  readonly describe: string;
  // Each command has arguments of its own; yargs brings options and arguments of one module together.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly load: () => Promise<Command<any>>;
}

/** All commands. A module is loaded when its command is used. */
export const COMMANDS: readonly Registered[] = [
  {
    command: 'build <input>',
    describe: 'Build an index from a file of vectors',
    load: () => import('./commands/build.ts'),
  },
  { command: 'search <dir>', describe: 'Find the nearest vectors', load: () => import('./commands/search.ts') },
];
