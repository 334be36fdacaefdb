import type { ArgumentsCamelCase, Argv } from 'yargs';
import type { CommonArguments, Session } from './session.ts';

/** What a module of src/cli/commands exports. */
export interface Command<T> {
  /** Declares the options, with examples. */
  options(yargs: Argv<CommonArguments>): Argv<T>;
  /** Runs the command; the process ends with 0 unless it throws. */
  run(args: ArgumentsCamelCase<T>, session: Session): Promise<void>;
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
  { command: 'build <input>', describe: 'Build an index', load: () => import('./commands/build.ts') },
  { command: 'search <dir>', describe: 'Find the nearest vectors', load: () => import('./commands/search.ts') },
  { command: 'tune <dir>', describe: 'Choose the fastest setting', load: () => import('./commands/tune.ts') },
  { command: 'bench <dir>', describe: 'Measure recall and speed', load: () => import('./commands/bench.ts') },
  { command: 'inspect <dir>', describe: 'Say what an index is made of', load: () => import('./commands/inspect.ts') },
  { command: 'verify <dir>', describe: 'Look for damage', load: () => import('./commands/verify.ts') },
  { command: 'repair <dir>', describe: 'Cut off a damaged log', load: () => import('./commands/repair.ts') },
  { command: 'convert <input> <output>', describe: 'Convert or export', load: () => import('./commands/convert.ts') },
  { command: 'serve [dir]', describe: 'Answer over HTTP', load: () => import('./commands/serve.ts') },
];
