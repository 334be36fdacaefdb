import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Index, type SearchOptions, type SearchResult } from '../../src/index.ts';
import type { Dataset } from '../datasets/index.ts';
import { concurrently, median, quantile, recall, seconds } from '../measure.ts';
import { type Interval, medianInterval } from './least-squares.ts';
import type { UslSeries } from './usl.ts';

/** Below this many calls the 99th percentile is next to the maximum and says little. */
const LEAST_CALLS_FOR_P99 = 100;

export interface SweepOptions {
  readonly shards: readonly number[];
  readonly threads: readonly number[];
  /** Queries per call of `searchBatch`, one call at a time. */
  readonly batch: readonly number[];
  /** Calls of `search` in flight. */
  readonly concurrency: readonly number[];
  readonly rounds: number;
  readonly k: number;
  /** Leaves of the tree; 1.7 times the square root of the number of vectors, unless given. */
  readonly numLeaves?: number | undefined;
  /** Leaves to search and candidates to reorder; the index's defaults, unless given. */
  readonly leaves?: number | undefined;
  readonly candidates?: number | undefined;
  /** Queries per measurement at the least; a larger batch, or four times the calls in flight, raises it. */
  readonly queries: number;
  /** Queries that recall is measured with. */
  readonly recallQueries: number;
  readonly seed: number;
}

export interface Setting {
  readonly shards: number;
  readonly threads: number;
  /** 'batch': size queries per call, one call at a time. 'search': size calls of one query in flight. */
  readonly mode: 'batch' | 'search';
  readonly size: number;
}

export interface Measurement extends Setting {
  /** Queries a second, per round. */
  readonly qps: readonly number[];
  readonly median: number;
  /** 95 % bootstrap interval of the median; none below three rounds. */
  readonly interval?: Interval | undefined;
  /** Milliseconds of a call, over all rounds; p99 only from 100 calls on. */
  readonly p50: number;
  readonly p99?: number | undefined;
  /** Throughput over threads times that of one thread with one shard, median of the rounds' ratios; none without that setting. */
  readonly efficiency?: number | undefined;
}

export interface SweepResult {
  readonly dataset: { readonly name: string; readonly rows: number; readonly dimensions: number };
  readonly options: SweepOptions;
  readonly kernels: string;
  readonly numLeaves: number;
  readonly leavesToSearch: number;
  readonly candidates: number;
  readonly recall: number;
  readonly buildSeconds: readonly { readonly shards: number; readonly seconds: number }[];
  readonly measurements: readonly Measurement[];
}

interface Opened {
  readonly shards: number;
  readonly threads: number;
  readonly index: Index;
}

/** Identifies answers by every id and every bit of every score. */
function digest(results: readonly SearchResult[]): string {
  const hash = createHash('sha256');
  for (const { ids, scores } of results) {
    hash.update(`${ids.length}:${ids.join('\n')}\n`);
    hash.update(new Uint8Array(scores.buffer, scores.byteOffset, scores.byteLength));
  }
  return hash.digest('hex');
}

export const leavesOf = (rows: number): number => Math.min(rows, Math.max(1, Math.round(1.7 * Math.sqrt(rows))));

/** All pairs of settings to measure, in the order of the table. */
export function settingsOf({ shards, threads, batch, concurrency }: SweepOptions): Setting[] {
  const modes = [
    ...batch.map((size) => ({ mode: 'batch' as const, size })),
    ...concurrency.map((size) => ({ mode: 'search' as const, size })),
  ];
  return shards.flatMap((s) => threads.flatMap((t) => modes.map((mode) => ({ shards: s, threads: t, ...mode }))));
}

/** Builds one index per shard count, opens each with every number of threads, and measures all settings in turns. */
export async function runSweep(
  dataset: Dataset,
  options: SweepOptions,
  log: (line: string) => void = () => {},
): Promise<SweepResult> {
  const { dimensions, vectors, ids } = dataset;
  const numLeaves = options.numLeaves ?? leavesOf(ids.length);
  const folder = await mkdtemp(join(tmpdir(), 'scannery-shards-'));
  const opened: Opened[] = [];
  try {
    const buildSeconds: { shards: number; seconds: number }[] = [];
    for (const shards of options.shards) {
      let index!: Index;
      const elapsed = await seconds(async () => {
        index = await Index.build(
          { vectors, ids },
          {
            ...{ dimensions, metric: 'cosine', shards, seed: options.seed, hashing: {} },
            ...{ threads: Math.max(...options.threads), tree: { numLeaves, spherical: true } },
          },
        );
      });
      buildSeconds.push({ shards, seconds: elapsed });
      log(`built with ${shards} shard(s) in ${elapsed.toFixed(1)} s`);
      try {
        await index.save(join(folder, `${shards}`));
      } finally {
        await index.close();
      }
      for (const threads of options.threads)
        opened.push({ shards, threads, index: await Index.open(join(folder, `${shards}`), { threads }) });
    }
    const stats = opened[0]!.index.stats();
    const search: SearchOptions = {
      k: options.k,
      numLeavesToSearch: options.leaves ?? stats.config.defaults.numLeavesToSearch,
      numReorderingCandidates: options.candidates ?? stats.config.defaults.numReorderingCandidates,
    };
    const found = await commonRecall(dataset, opened, search, options);
    log(`recall@${options.k} ${found.toFixed(4)}; answers are the same, bit for bit, for all shards and threads`);
    return {
      dataset: { name: dataset.name, rows: ids.length, dimensions },
      options,
      kernels: stats.kernels,
      numLeaves: stats.numLeaves,
      leavesToSearch: search.numLeavesToSearch!,
      candidates: search.numReorderingCandidates!,
      recall: found,
      buildSeconds,
      measurements: await measureAll(dataset, opened, search, options, log),
    };
  } finally {
    for (const { index } of opened) await index.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Recall against the exact scan, once per index; throws when shards or threads change any answer. */
async function commonRecall(
  { queries, dimensions }: Dataset,
  opened: readonly Opened[],
  search: SearchOptions,
  { k, recallQueries }: SweepOptions,
): Promise<number> {
  const asked = queries.subarray(0, Math.min(queries.length, recallQueries * dimensions));
  const truths = new Map<number, SearchResult[]>();
  let first: { answers: string; truth: string; recall: number } | undefined;
  for (const { shards, threads, index } of opened) {
    if (!truths.has(shards)) truths.set(shards, await index.searchBatch(asked, { k, exact: true }));
    const truth = truths.get(shards)!;
    const found = await index.searchBatch(asked, search);
    const mine = { answers: digest(found), truth: digest(truth), recall: recall(found, truth) };
    first ??= mine;
    if (mine.answers !== first.answers || mine.truth !== first.truth || mine.recall !== first.recall)
      throw new Error(`answers with ${shards} shard(s) and ${threads} thread(s) differ from those of the first index`);
  }
  return first!.recall;
}

/** Queries per second of one setting, and the milliseconds of each call. */
async function measureOnce(
  index: Index,
  { mode, size }: Setting,
  { queries, dimensions }: Dataset,
  search: SearchOptions,
  least: number,
): Promise<{ qps: number; calls: number[] }> {
  const held = queries.length / dimensions;
  const perCall = mode === 'batch' ? size : 1;
  const count = mode === 'batch' ? Math.ceil(least / size) : Math.max(least, 4 * size);
  // Batches are cut out beforehand: copying queries is no part of what is measured.
  const parts = Array.from({ length: Math.min(count, Math.max(1, Math.ceil(held / perCall))) }, (_, part) => {
    const rows = new Float32Array(perCall * dimensions);
    for (let i = 0; i < perCall; i++) {
      const row = (part * perCall + i) % held;
      rows.set(queries.subarray(row * dimensions, (row + 1) * dimensions), i * dimensions);
    }
    return rows;
  });
  const calls = new Array<number>(count).fill(0);
  const elapsed = await seconds(() =>
    concurrently(count, mode === 'batch' ? 1 : size, async (i) => {
      const started = performance.now();
      const asked = parts[i % parts.length]!;
      await (mode === 'batch' ? index.searchBatch(asked, search) : index.search(asked, search));
      calls[i] = performance.now() - started;
    }),
  );
  return { qps: (count * perCall) / elapsed, calls };
}

async function measureAll(
  dataset: Dataset,
  opened: readonly Opened[],
  search: SearchOptions,
  options: SweepOptions,
  log: (line: string) => void,
): Promise<Measurement[]> {
  const settings = settingsOf(options);
  const qps: number[][] = settings.map(() => []);
  const calls: number[][] = settings.map(() => []);
  for (let round = 0; round <= options.rounds; round++) {
    for (let turn = 0; turn < settings.length; turn++) {
      // Each round starts elsewhere, so that no setting always follows the same stretch of another's noise.
      const at = (turn + round) % settings.length;
      const setting = settings[at]!;
      const { index } = opened.find(({ shards, threads }) => shards === setting.shards && threads === setting.threads)!;
      const measured = await measureOnce(index, setting, dataset, search, options.queries);
      if (round === 0) continue; // warm-up
      qps[at]!.push(measured.qps);
      for (const call of measured.calls) calls[at]!.push(call);
    }
    log(round === 0 ? 'warmed up' : `round ${round} of ${options.rounds}`);
  }
  return settings.map((setting, i) => ({
    ...setting,
    qps: qps[i]!,
    median: median(qps[i]!),
    interval: medianInterval(qps[i]!),
    p50: median(calls[i]!),
    p99: calls[i]!.length >= LEAST_CALLS_FOR_P99 ? quantile(calls[i]!, 0.99) : undefined,
    efficiency: efficiencyOf(setting, qps[i]!, qps[settings.findIndex((other) => isBaseline(other, setting))]),
  }));
}

const isBaseline = (other: Setting, { mode, size }: Setting): boolean =>
  other.shards === 1 && other.threads === 1 && other.mode === mode && other.size === size;

/** Ratios are taken within a round, where both were measured under like conditions. */
export function efficiencyOf(
  { threads }: Setting,
  qps: readonly number[],
  baseline: readonly number[] | undefined,
): number | undefined {
  return baseline && median(qps.map((value, round) => value / baseline[round]! / threads));
}

/** The shard count that is fastest with the most threads and the largest batch (or, without batches, the most in flight). */
export function bestShards(measurements: readonly Measurement[]): number {
  const most = Math.max(...measurements.map(({ threads }) => threads));
  const modes = measurements.some(({ mode }) => mode === 'batch') ? 'batch' : 'search';
  const rows = measurements.filter(({ threads, mode }) => threads === most && mode === modes);
  const largest = Math.max(...rows.map(({ size }) => size));
  const candidates = rows.filter(({ size }) => size === largest);
  return candidates.reduce((best, row) => (row.median > best.median ? row : best)).shards;
}

/** Throughput by threads at the best shard count and the largest batch, and by calls in flight with the most threads. */
export function seriesOf(measurements: readonly Measurement[]): { threads: UslSeries[]; concurrency: UslSeries[] } {
  const shards = bestShards(measurements);
  const mine = measurements.filter((row) => row.shards === shards);
  const mode = mine.some((row) => row.mode === 'batch') ? 'batch' : 'search';
  const largest = Math.max(...mine.filter((row) => row.mode === mode).map(({ size }) => size));
  const most = Math.max(...mine.map(({ threads }) => threads));
  return {
    threads: mine
      .filter((row) => row.mode === mode && row.size === largest)
      .map(({ threads, qps }) => ({ n: threads, rounds: qps })),
    concurrency: mine
      .filter((row) => row.mode === 'search' && row.threads === most)
      .map(({ size, qps }) => ({ n: size, rounds: qps })),
  };
}
