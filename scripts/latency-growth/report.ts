import { availableParallelism } from 'node:os';
import { table } from '../measure.ts';
import { fitGrowth, type Growth, type PowerFit, rootAt } from './fit.ts';
import type { GrowthOptions, GrowthResult, SizeResult } from './measure.ts';

/** Recalls that differ by more from what was asked for are not called equal. */
const EQUAL_RECALL = 0.01;
/** Microseconds outside the workers that messages do not take where the caller and a worker have a processor each. */
const LONG_OUTSIDE = 100;

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const micros = (value: number): string => value.toFixed(1);
const short = (value: number): string => String(Number(value.toPrecision(3)));

export interface Growths {
  /** Of the median latency, as the caller sees it. */
  readonly wall: Growth | undefined;
  /** Of the median time in the workers' kernels. */
  readonly worker: Growth | undefined;
}

export function growthsOf(sizes: readonly SizeResult[]): Growths {
  return {
    wall: fitGrowth(sizes.map(({ n, typical }) => ({ n, value: typical.p50 }))),
    worker: fitGrowth(sizes.map(({ n, typical }) => ({ n, value: typical.workerP50 }))),
  };
}

/** p50 / sqrt(n), as a multiple of that of the first size: 1 throughout where latency grows as the root. */
export function overRoot(sizes: readonly SizeResult[]): number[] {
  const ratios = sizes.map(({ n, typical }) => typical.p50 / Math.sqrt(n));
  return ratios.map((ratio) => ratio / ratios[0]!);
}

function dataNote({ clusters }: GrowthOptions): string {
  return clusters === 'sqrt'
    ? 'The number of clusters is the square root of n, so that the cluster of a query grows as sqrt(n), too: that is in favour of a growth as sqrt(n).'
    : `All sizes are samples of one mixture of ${whole(clusters)} clusters, a larger one with the vectors of the smaller, and have the same queries: clusters grow as n.`;
}

export function growthReport({ options, kernels, sizes }: GrowthResult, growths: Growths): string {
  const { dimensions, spread, seed, k, threads, shards, rounds, queries, tuningQueries, buildThreads } = options;
  const ratios = overRoot(sizes);
  return [
    `Made-up vectors of ${dimensions} numbers in Gaussian clusters (spread ${spread}, seed ${seed}), squared_l2, kernels '${kernels}', Node ${process.versions.node}`,
    dataNote(options),
    `Leaves are the library's default for the size, 1.7 times sqrt(n), with tree and hashing on at every size, ${shards} shard(s). Leaves to`,
    `search and candidates are the fastest for recall@${k} ${options.recall}, found with ${whole(tuningQueries)} other queries than the ${whole(queries)} that are timed.`,
    `One search at a time, ${threads} thread(s). Times are microseconds, medians of ${rounds} round(s), in which all sizes take turns.`,
    '',
    table([
      ...[['n', 'clusters', 'leaves', 'searched', 'candidates', `recall@${k}`, 'codes scanned', 'p50', 'p99', 'mean']],
      ...sizes.map(({ typical, ...size }) => [
        ...[size.n, size.clusters, size.leaves, size.leavesToSearch, size.candidates].map(whole),
        ...[size.recall.toFixed(4), whole(size.codesScanned)],
        ...[typical.p50, typical.p99, typical.mean].map(micros),
      ]),
    ]),
    '',
    table([
      ...[['n', 'p50 / sqrt(n)', 'in worker p50', 'prepare', 'scan', 'reorder', 'merge', 'outside', 'build s', 'MB']],
      ...sizes.map(({ n, typical: { stages, ...typical }, ...size }, i) => [
        ...[whole(n), ratios[i]!.toFixed(2), micros(typical.workerP50)],
        ...[stages.prepare, stages.scan, stages.reorder, stages.merge].map(micros),
        ...[micros(typical.p50 - typical.workerP50), size.buildSeconds.toFixed(1), whole(size.bytes / 1e6)],
      ]),
    ]),
    "(p50 / sqrt(n) is a multiple of the first row's; prepare, which chooses leaves, to merge are medians of the parts of the time in the worker;",
    ` outside is p50 less that time: messages between threads, and the caller's part; built with ${buildThreads} thread(s))`,
    '',
    ...growthLines('Latency', growths.wall, sizes),
    ...growthLines('Time in the worker', growths.worker, sizes),
    ...notes(options, sizes),
  ].join('\n');
}

/** What the fits say, in words. */
export function growthLines(what: string, growth: Growth | undefined, sizes: readonly SizeResult[]): string[] {
  if (growth === undefined) return [`${what}: no fit, which takes two sizes at least.`];
  const { power, root } = growth;
  const last = sizes.at(-1)!.n;
  return [
    `${what} grows as n^${power.exponent.toFixed(2)}${besideRoot(power)}.`,
    `  As a + b sqrt(n): a = ${short(root.constant)} us, b = ${short(root.perRoot)} us, so b sqrt(n) is ` +
      `${short(root.perRoot * Math.sqrt(last))} of ${short(rootAt(root, last))} us at n = ${whole(last)}; the largest relative residual is ` +
      `${(100 * root.worstResidual).toFixed(1)} %.`,
  ];
}

function besideRoot({ standardError, interval }: PowerFit): string {
  if (standardError === undefined || interval === undefined) return '; sqrt(n) would be 0.50';
  const { low, high } = interval;
  const verdict =
    low > 0.5
      ? 'and growth is faster than that'
      : high < 0.5
        ? 'and growth is slower than that'
        : 'which is among these';
  return ` +- ${standardError.toFixed(2)} (95 %: ${low.toFixed(2)} to ${high.toFixed(2)}); sqrt(n) would be 0.50, ${verdict}`;
}

const list = (sizes: readonly SizeResult[]): string => sizes.map(({ n }) => whole(n)).join('; ');

function notes(options: GrowthOptions, sizes: readonly SizeResult[]): string[] {
  const found: string[] = [];
  const unequal = sizes.filter(({ recall }) => Math.abs(recall - options.recall) > EQUAL_RECALL);
  if (unequal.length > 0)
    found.push(
      `recall is not within ${EQUAL_RECALL} of ${options.recall} at n = ${list(unequal)}, so latencies are not of equal recall`,
    );
  const all = sizes.filter(({ leaves, leavesToSearch }) => leavesToSearch >= leaves);
  if (all.length > 0) found.push(`all leaves are searched at n = ${list(all)}`);
  if (sizes.length < 3) found.push('a standard error takes three sizes at least');
  else
    found.push(
      '+- is one standard error; it and the interval tell how far the sizes lie off a line. Other data would give another exponent',
    );
  const waiting = sizes.filter(({ typical }) => typical.p50 - typical.workerP50 > LONG_OUTSIDE);
  if (waiting.length > 0)
    found.push(
      `more than ${LONG_OUTSIDE} us pass outside the workers at n = ${list(waiting)}, so other programs most likely kept processors busy: latency then says ` +
        'more of the machine than of n, and only the time in the worker is of use',
    );
  const processors = availableParallelism();
  if (options.threads >= processors)
    found.push(`${options.threads} thread(s) and the caller share ${processors} processor(s)`);
  return ['', ...found.map((note) => `Note: ${note}.`)];
}
