import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Clusters } from '../datasets/index.ts';
import { UsageError } from '../shard-scaling/options.ts';
import type { GrowthOptions } from './measure.ts';

export { UsageError } from '../shard-scaling/options.ts';

export const USAGE = `npm run latency-growth -- [options]      how the latency of a search grows with the number of vectors

  --sizes A,B,C        numbers of vectors (100000,316000,1000000,3160000,10000000)
  --dimensions N       numbers per vector (32)
  --clusters N         Gaussian clusters, as many for every size (100), or 'sqrt': the square root of the size
  --spread X           deviation of a vector from its centre, where centres deviate by 1 (0.5)
  --recall X           recall@k that every size is tuned to (0.95)
  --k N                results per query (10)
  --queries N          queries that are timed, and that the recall in the table is of (2000)
  --tuning-queries N   other queries, with which the settings are chosen (1000)
  --rounds N           measured rounds, after one to warm up (5)
  --threads N          threads that search (1)
  --build-threads N    threads that build (one for each processor)
  --shards N           shards of every index (as many as threads)
  --seed N             of the vectors, the queries and the builds (42)
  --json FILE          writes all figures
  --plot FILE.svg      draws latency over size, both by logarithm
  --html FILE.html     a page with the drawing and the report`;

export interface Arguments {
  readonly growth: GrowthOptions;
  readonly json?: string | undefined;
  readonly plot?: string | undefined;
  readonly html?: string | undefined;
  readonly help: boolean;
}

const string = { type: 'string' } as const;
const OPTIONS = {
  sizes: { ...string, default: '100000,316000,1000000,3160000,10000000' },
  dimensions: { ...string, default: '32' },
  clusters: { ...string, default: '100' },
  spread: { ...string, default: '0.5' },
  recall: { ...string, default: '0.95' },
  k: { ...string, default: '10' },
  queries: { ...string, default: '2000' },
  'tuning-queries': { ...string, default: '1000' },
  rounds: { ...string, default: '5' },
  threads: { ...string, default: '1' },
  'build-threads': { ...string, default: String(Math.min(64, availableParallelism())) },
  shards: string,
  seed: { ...string, default: '42' },
  ...{ json: string, plot: string, html: string },
  help: { type: 'boolean', default: false },
} as const;

const LEAST_SIZE = 100;
const MOST_SIZE = 2 ** 31 - 1;

const isWhole = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;

export function readArguments(args: readonly string[]): Arguments {
  const values = parsed(args);
  type Name = Exclude<keyof typeof values, 'help'>;
  const whole = (name: Name, least: number, most: number): number => {
    const value = Number(values[name]);
    if (values[name] === '' || !isWhole(value, least, most))
      throw new UsageError(`--${name} must be a whole number from ${least} to ${most}, not '${values[name]}'`);
    return value;
  };
  const sizes = values.sizes.split(',').map(Number);
  if (!sizes.every((size) => isWhole(size, LEAST_SIZE, MOST_SIZE)))
    throw new UsageError(
      `--sizes must be whole numbers from ${LEAST_SIZE} to ${MOST_SIZE} with commas, not '${values.sizes}'`,
    );
  const clusters: Clusters = values.clusters === 'sqrt' ? 'sqrt' : Number(values.clusters);
  if (clusters !== 'sqrt' && !isWhole(clusters, 1, 10_000_000))
    throw new UsageError(`--clusters must be 'sqrt' or a whole number from 1 to 10000000, not '${values.clusters}'`);
  const spread = Number(values.spread);
  if (!(spread > 0 && spread <= 100))
    throw new UsageError(`--spread must be above 0 and at most 100, not '${values.spread}'`);
  const recall = Number(values.recall);
  if (!(recall > 0 && recall <= 1))
    throw new UsageError(`--recall must be above 0 and at most 1, not '${values.recall}'`);
  for (const [name, end] of [
    ['plot', '.svg'],
    ['html', '.html'],
  ] as const)
    if (values[name] !== undefined && !values[name].endsWith(end))
      throw new UsageError(`--${name} must name a file that ends with ${end}, not '${values[name]}'`);
  const threads = whole('threads', 1, 64);
  return {
    growth: {
      sizes: [...new Set(sizes)].sort((a, b) => a - b),
      ...{ dimensions: whole('dimensions', 1, 4096), clusters, spread, recall },
      k: whole('k', 1, LEAST_SIZE),
      queries: whole('queries', 1, 1_000_000),
      tuningQueries: whole('tuning-queries', 1, 1_000_000),
      rounds: whole('rounds', 1, 1000),
      threads,
      buildThreads: whole('build-threads', 1, 64),
      shards: values.shards === undefined ? threads : whole('shards', 1, 1024),
      seed: whole('seed', 0, 2 ** 32 - 1),
    },
    ...{ json: values.json, plot: values.plot, html: values.html, help: values.help },
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    // Node's advice on how to pass a positional argument with a dash is of no use here.
    throw new UsageError((error as Error).message.split('. ')[0]!);
  }
}
