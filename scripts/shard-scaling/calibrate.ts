import { Index, type SearchResult } from '../../src/index.ts';
import type { Dataset } from '../datasets/index.ts';
import { median, recall, seconds } from '../measure.ts';
import {
  COSTS_VERSION,
  type Coefficient,
  type CostSample,
  type Costs,
  codeBytesOf,
  coefficientOf,
  fitCosts,
  type RecallPoint,
} from './costs.ts';
import { leavesOf } from './sweep.ts';
import type { UslOutcome } from './usl.ts';

/** Parts of the data set that are indexed, and the shards of each: sizes and shards vary apart from each other. */
const SHAPES = [
  { part: 1 / 4, shards: 1 },
  { part: 1 / 2, shards: 4 },
  { part: 1, shards: 2 },
] as const;
/** Share of the leaves and candidates, for costs: varied apart from each other, so that their costs can be told apart. */
const FRACTIONS = [1 / 48, 1 / 12, 1 / 4];
const CANDIDATES = [40, 150, 600];
/** Along the frontier of recall, as the benchmark's. */
const FRONTIER = [
  [1 / 48, 80],
  [1 / 24, 80],
  [1 / 16, 100],
  [1 / 12, 150],
  [1 / 8, 200],
  [1 / 4, 300],
  [1 / 2, 500],
] as const;
const REPEATS = 3;
const TINY_ROWS = 32;

export interface CalibrationOptions {
  readonly k: number;
  readonly seed: number;
  /** Queries per measurement. */
  readonly queries: number;
}

/** Indexes parts of the data set and times queries of many kinds on one thread. */
export async function calibrate(
  dataset: Dataset,
  { k, seed, queries: wanted }: CalibrationOptions,
  threadLaw: UslOutcome | undefined,
  log: (line: string) => void = () => {},
): Promise<Costs> {
  const { dimensions, vectors, ids } = dataset;
  const queries = dataset.queries.subarray(0, Math.min(dataset.queries.length, wanted * dimensions));
  const count = queries.length / dimensions;
  const samples: CostSample[] = [];
  const skews: number[] = [];
  const recallPoints: RecallPoint[] = [];
  let kernels = '';
  let recallLeaves = 0;
  for (const { part, shards } of SHAPES) {
    const rows = Math.max(1, Math.floor(ids.length * part));
    await using index = await Index.build(
      { vectors: vectors.subarray(0, rows * dimensions) },
      {
        ...{ dimensions, metric: 'cosine', shards, threads: 1, seed, hashing: {} },
        tree: { numLeaves: leavesOf(rows), spherical: true },
      },
    );
    const leaves = index.stats().numLeaves;
    kernels = index.stats().kernels;
    for (const fraction of FRACTIONS) {
      const searched = Math.max(1, Math.round(fraction * leaves));
      for (const candidates of CANDIDATES) {
        const options = { k, numLeavesToSearch: searched, numReorderingCandidates: candidates };
        const times: number[] = [];
        let codesScanned = 0;
        for (let repeat = 0; repeat <= REPEATS; repeat++) {
          const before = { ...index.stats().queries };
          await index.searchBatch(queries, options);
          const after = index.stats().queries;
          codesScanned = (after.codesScanned - before.codesScanned) / count;
          if (repeat > 0) times.push((after.kernelMicroseconds - before.kernelMicroseconds) / count);
        }
        skews.push(codesScanned / ((searched / leaves) * rows));
        samples.push({
          ...{
            shards: index.stats().shards.length,
            leaves,
            dimensions,
            codesScanned,
            codeBytes: codeBytesOf(dimensions),
          },
          // No more candidates can be rescored than codes were scanned.
          candidates: Math.min(candidates, codesScanned),
          kernelMicroseconds: median(times),
        });
      }
    }
    log(`calibrated on ${rows} vectors, ${shards} shard(s)`);
    if (part === 1) {
      recallLeaves = leaves;
      recallPoints.push(...(await recallCurve(index, queries, leaves, k)));
    }
  }
  return {
    version: COSTS_VERSION,
    source: `${dataset.name}, ${ids.length} x ${dimensions}, Node ${process.versions.node}`,
    ...{ kernels, dimensions, k },
    ...fitCosts(samples, seed),
    callerMicroseconds: await callerMicroseconds(dataset, queries, k),
    skew: median(skews),
    recallLeaves,
    recall: recallPoints,
    threads: threadCosts(threadLaw),
  };
}

async function recallCurve(index: Index, queries: Float32Array, leaves: number, k: number): Promise<RecallPoint[]> {
  const truth: SearchResult[] = await index.searchBatch(queries, { k, exact: true });
  const points: RecallPoint[] = [];
  for (const [fraction, candidates] of FRONTIER) {
    const searched = Math.max(1, Math.round(fraction * leaves));
    const options = { k, numLeavesToSearch: searched, numReorderingCandidates: candidates };
    const found = await index.searchBatch(queries, options);
    points.push({ fraction: searched / leaves, candidates, recall: recall(found, truth) });
  }
  return points;
}

/** Queries of an index that is next to empty cost little else than the way there and back. */
async function callerMicroseconds({ dimensions, vectors }: Dataset, queries: Float32Array, k: number): Promise<number> {
  await using index = await Index.build(
    { vectors: vectors.subarray(0, TINY_ROWS * dimensions) },
    { dimensions, metric: 'cosine', shards: 1, threads: 1 },
  );
  const times: number[] = [];
  for (let repeat = 0; repeat <= 5 * REPEATS; repeat++) {
    const elapsed = await seconds(() => index.searchBatch(queries, { k }));
    if (repeat > 0) times.push((elapsed * 1e6) / (queries.length / dimensions));
  }
  return median(times);
}

/** What the planner needs of a law of threads; none where there was no fit with intervals. */
function threadCosts(law: UslOutcome | undefined): Costs['threads'] {
  if (law === undefined || !('fit' in law) || law.fit.intervals === undefined) return undefined;
  const { fit } = law;
  const coefficient = (name: 'sigma' | 'kappa'): Coefficient => coefficientOf(fit[name], fit.intervals![name]);
  return { sigma: coefficient('sigma'), kappa: coefficient('kappa') };
}
