import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Load, Pace } from './driver.ts';

/** A mistake in the command line; the message is one line, to print as it is. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export interface TargetOptions {
  readonly data: 'clustered' | 'glove';
  readonly rows: number;
  readonly dimensions: number;
  /** Directory of a saved index, instead of `data`. */
  readonly index: string | undefined;
  /** File of queries, instead of those that come with the data. */
  readonly queries: string | undefined;
  readonly threads: number | undefined;
  readonly k: number;
  readonly numLeavesToSearch: number | undefined;
  readonly numReorderingCandidates: number | undefined;
  readonly seed: number;
}

/** A server that is asked over HTTP. */
export interface UrlOptions {
  readonly url: URL;
  readonly token: string | undefined;
  readonly encoding: 'json' | 'msgpack';
  /** Queries per request, which is what arrives. */
  readonly batch: number;
  readonly connections: number;
}

export interface LoadTestOptions {
  readonly target: TargetOptions;
  /** Where the index is served; undefined if it is in this process. */
  readonly url: UrlOptions | undefined;
  readonly load: Load;
  /** Vectors upserted a second beside the queries; undefined for none. */
  readonly writes: number | undefined;
  readonly ramp: { readonly objective: number; readonly percentile: number; readonly highest: number } | undefined;
  readonly json: string | undefined;
  readonly plot: string | undefined;
}

export const USAGE = `npm run load-test -- [options]

What is under load
  --data NAME            clustered (made up, the default) or glove
  --rows N               vectors of the clustered set (100000)
  --dimensions N         their dimensions (100)
  --index DIR            a saved index instead
  --url URL              an index that scannery serves there; --data glove then says what it is asked. Its token, if it
                         wants one, is the environment variable SCANNERY_TOKEN
  --encoding NAME        of requests and answers: json (the default) or msgpack
  --batch N              queries per request (1); the rate is of requests
  --connections N        connections to the URL (64)
  --queries FILE         queries: .json (rows of numbers) or .f32 (raw little-endian float32)
  --threads N            worker threads (one per core)
  --k N                  results per query (10)
  --leaves N             leaves to search (the index's default)
  --candidates N         candidates to reorder (the index's default)
  --seed N               of the data, the queries and the arrivals (42)

The load
  --rate R               arrivals a second (1000); with --find-rate, of the first step
  --duration S           seconds measured (10), of each step
  --warm-up S            seconds before, not measured (2)
  --max-outstanding N    unanswered queries beyond which arrivals are dropped (100000)
  --drain S              seconds to wait for the last answers (30)
  --writes R             vectors upserted a second beside the queries (0)
  --pace NAME            spin (punctual, takes a core; the default) or timer (takes none, about 1 ms late)

The highest rate under an objective
  --find-rate            search for it
  --objective TIME       latency that must not be exceeded, such as 5ms, 800us or 1s (5ms)
  --percentile P         at which it is taken (99)
  --max-rate R           rate beyond which the search does not go (1000000)

Results
  --json FILE            write them as JSON
  --plot FILE.svg        draw latency by percentile
  --help                 this text`;

const string = { type: 'string' } as const;
const boolean = { type: 'boolean' } as const;

const OPTIONS = {
  ...{ data: string, rows: string, dimensions: string, index: string, queries: string, threads: string },
  ...{ k: string, leaves: string, candidates: string, seed: string },
  ...{ url: string, encoding: string, batch: string, connections: string, writes: string },
  ...{ rate: string, duration: string, 'warm-up': string, 'max-outstanding': string, drain: string, pace: string },
  ...{ 'find-rate': boolean, objective: string, percentile: string, 'max-rate': string },
  ...{ json: string, plot: string, help: boolean },
} as const;

type Name = keyof typeof OPTIONS;
type Values = { readonly [name in Name]?: string | boolean | undefined };

const TIME = /^(\d+(?:\.\d+)?)(us|ms|s)$/;
const MILLISECONDS: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1000 };

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values;
  } catch (error) {
    // The first line names the option; what follows is advice on positional arguments.
    throw new UsageError(`${(error as Error).message.split('\n')[0]} (--help lists the options)`);
  }
}

/** Reads the command line; undefined if it asks for help. Throws UsageError. */
export function parseOptions(args: readonly string[]): LoadTestOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;

  const text = (name: Name): string | undefined => values[name] as string | undefined;

  function number(name: Name, least: number, most: number, whole: boolean): number | undefined {
    const given = text(name);
    if (given === undefined) return undefined;
    const value = given.trim() === '' ? Number.NaN : Number(given);
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
      const kind = whole ? 'a whole number' : 'a number';
      throw new UsageError(`--${name} must be ${kind} from ${least} to ${most}, not '${given}'`);
    }
    return value;
  }

  function choice<T extends string>(name: Name, choices: readonly T[]): T {
    const given = text(name) ?? choices[0]!;
    const found = choices.find((one) => one === given);
    if (found === undefined) throw new UsageError(`--${name} must be ${choices.join(' or ')}, not '${given}'`);
    return found;
  }

  function apart(given: string, others: readonly Name[], reason: string): void {
    for (const other of others) {
      if (values[other] !== undefined) throw new UsageError(`--${other} cannot go with ${given}: ${reason}`);
    }
  }

  /** Told now rather than after the run. */
  function output(name: 'json' | 'plot'): string | undefined {
    const path = text(name);
    if (path === undefined) return undefined;
    if (path === '') throw new UsageError(`--${name} needs the name of a file`);
    if (name === 'plot' && !path.endsWith('.svg')) {
      throw new UsageError(`--plot must name a file that ends with .svg, not '${path}'`);
    }
    if (!existsSync(dirname(path))) throw new UsageError(`--${name}: there is no directory '${dirname(path)}'`);
    if (existsSync(path) && statSync(path).isDirectory()) throw new UsageError(`--${name}: '${path}' is a directory`);
    return path;
  }

  function time(name: Name, preset: string): number {
    const given = text(name) ?? preset;
    const match = TIME.exec(given);
    const milliseconds = match === null ? 0 : Number(match[1]) * MILLISECONDS[match[2]!]!;
    if (!(milliseconds > 0 && milliseconds <= 3.6e6)) {
      throw new UsageError(`--${name} must be a time such as 5ms, 800us or 1s, at most 3600s, not '${given}'`);
    }
    return milliseconds;
  }

  function address(): UrlOptions | undefined {
    const given = text('url');
    const names = ['encoding', 'batch', 'connections'] as const;
    if (given === undefined) {
      for (const name of names) if (values[name] !== undefined) throw new UsageError(`--${name} goes with --url`);
      return undefined;
    }
    apart('--url', ['index', 'rows', 'dimensions', 'threads'], 'the index is there already');
    const url = URL.canParse(given) ? new URL(given) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) {
      throw new UsageError(`--url must be such as http://127.0.0.1:8080, not '${given}'`);
    }
    return {
      ...{ url, token: process.env.SCANNERY_TOKEN, encoding: choice('encoding', ['json', 'msgpack']) },
      batch: number('batch', 1, 10_000, true) ?? 1,
      connections: number('connections', 1, 10_000, true) ?? 64,
    };
  }

  const url = address();
  if (values.index !== undefined) apart('--index', ['data', 'rows', 'dimensions'], 'a saved index has its own vectors');
  const data = choice('data', ['clustered', 'glove']);
  if (data === 'glove') apart('--data glove', ['rows', 'dimensions'], 'GloVe has its own');
  for (const name of ['objective', 'percentile', 'max-rate'] as const) {
    if (values[name] !== undefined && !values['find-rate']) throw new UsageError(`--${name} goes with --find-rate`);
  }
  const seed = number('seed', 0, 2 ** 32 - 1, true) ?? 42;
  const rate = number('rate', 0.1, 1e7, false) ?? 1000;
  const highest = number('max-rate', 1, 1e7, false) ?? 1e6;
  const pace: Pace = choice('pace', ['spin', 'timer']);
  return {
    target: {
      ...{ data, seed },
      rows: number('rows', 1, 2 ** 31 - 1, true) ?? 100_000,
      dimensions: number('dimensions', 1, 4096, true) ?? 100,
      index: text('index'),
      queries: text('queries'),
      threads: number('threads', 1, 64, true),
      k: number('k', 1, 2 ** 31 - 1, true) ?? 10,
      numLeavesToSearch: number('leaves', 1, 2 ** 31 - 1, true),
      numReorderingCandidates: number('candidates', 1, 2 ** 31 - 1, true),
    },
    url,
    load: {
      ...{ rate, pace, seed },
      duration: 1000 * (number('duration', 0.1, 86_400, false) ?? 10),
      warmUp: 1000 * (number('warm-up', 0, 86_400, false) ?? 2),
      drain: 1000 * (number('drain', 0, 86_400, false) ?? 30),
      maxOutstanding: number('max-outstanding', 1, 10_000_000, true) ?? 100_000,
    },
    writes: number('writes', 0, 1e6, false) || undefined,
    ramp: values['find-rate']
      ? {
          objective: time('objective', '5ms'),
          percentile: number('percentile', 1, 99.999, false) ?? 99,
          highest,
        }
      : undefined,
    json: output('json'),
    plot: output('plot'),
  };
}
