import { parseArgs } from 'node:util';

export interface SoakOptions {
  readonly minutes: number;
  readonly size: number;
  readonly dimensions: number;
  readonly threads: number | undefined;
  readonly seed: number;
  readonly concurrency: number;
}

/** A mistake in the command line; the message is one line, to print as it is. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export const USAGE = `npm run soak -- [options]

  --minutes <n>      how long; default 10
  --size <n>         vectors, of which as many as come go; default 20000
  --dimensions <n>   numbers per vector; default 32
  --threads <n>      worker threads; default: one per core
  --seed <n>         of the vectors and the calls; default: from the clock
  --concurrency <n>  calls in flight; default 32
  --help             this`;

const string = { type: 'string' } as const;
const OPTIONS = {
  ...{ minutes: string, size: string, dimensions: string, threads: string, seed: string, concurrency: string },
  help: { type: 'boolean' },
} as const;

/** Reads the command line; undefined if it asks for help. Throws UsageError. */
export function parseOptions(args: readonly string[]): SoakOptions | undefined {
  const values = parse(args);
  if (values.help === true) return undefined;
  const number = (name: Exclude<keyof typeof OPTIONS, 'help'>, least: number, most: number): number | undefined => {
    const given = values[name];
    if (given === undefined) return undefined;
    const value = given.trim() === '' ? Number.NaN : Number(given);
    const isWhole = name === 'minutes' || Number.isInteger(value);
    if (value >= least && value <= most && isWhole) return value;
    const kind = name === 'minutes' ? 'a number' : 'a whole number';
    throw new UsageError(`--${name} must be ${kind} from ${least} to ${most}, not '${given}'`);
  };
  return {
    minutes: number('minutes', 0.01, 10_000) ?? 10,
    size: number('size', 100, 1_000_000) ?? 20_000,
    dimensions: number('dimensions', 2, 4096) ?? 32,
    threads: number('threads', 1, 64),
    seed: number('seed', 0, 2 ** 32 - 1) ?? Date.now() % 1_000_000,
    concurrency: number('concurrency', 1, 1000) ?? 32,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('\n')[0]} (--help lists the options)`);
  }
}
