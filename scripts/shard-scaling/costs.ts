// What each stage of a query costs, fitted to measured queries. Times are microseconds of one thread.
import { type Interval, nonNegativeLeastSquares, percentileInterval, resamples } from './least-squares.ts';

const RESAMPLES = 300;
export const COSTS_VERSION = 1;

/** Queries of one setting over one index: averages per query. */
export interface CostSample {
  readonly shards: number;
  readonly leaves: number;
  readonly dimensions: number;
  readonly codesScanned: number;
  readonly codeBytes: number;
  readonly candidates: number;
  readonly kernelMicroseconds: number;
}

export interface Coefficient extends Interval {
  readonly value: number;
}

export const STAGES = ['query', 'unit', 'route', 'scan', 'reorder'] as const;
export type Stage = (typeof STAGES)[number];
/** Per query, per unit (a shard's part of a query), per centroid-dimension, per code byte, per candidate. */
export type StageCosts = Readonly<Record<Stage, Coefficient>>;

/** Recall that a share of the leaves and a number of candidates reached. */
export interface RecallPoint {
  readonly fraction: number;
  readonly candidates: number;
  readonly recall: number;
}

export interface Costs {
  readonly version: number;
  /** Where the numbers come from, in words. */
  readonly source: string;
  readonly kernels: string;
  /** Dimensions of the data that was measured: reordering is per candidate of that length. */
  readonly dimensions: number;
  /** Results per query that recall was counted over. */
  readonly k: number;
  readonly stages: StageCosts;
  /** Median distance of a sample from the fit, relative. */
  readonly residual: number;
  /** A query's share of the caller's thread and of the queue, at most: throughput of one process ends at its inverse. */
  readonly callerMicroseconds: number;
  /** Codes scanned over those of leaves of even size: leaves near a query are larger than the average. */
  readonly skew: number;
  /** Leaves of the index that the recall points were measured on. */
  readonly recallLeaves: number;
  readonly recall: readonly RecallPoint[];
  /** Contention of threads, from a sweep of three or more thread counts. */
  readonly threads?: { readonly sigma: Coefficient; readonly kappa: Coefficient } | undefined;
}

export const paddedTo = (value: number, step: number): number => Math.ceil(value / step) * step;
/** Bytes of a vector's codes with the default of two dimensions a code: 4 bits each, an even number of them. */
export const codeBytesOf = (dimensions: number): number => paddedTo(Math.ceil(dimensions / 2), 2) / 2;

/** A percentile interval may miss the value itself by a little; for planning it is widened to hold it. */
export function coefficientOf(value: number, { low, high }: Interval): Coefficient {
  return { value, low: Math.min(low, value), high: Math.max(high, value) };
}

/** How much of each stage a query needs. */
export function amounts(sample: Omit<CostSample, 'kernelMicroseconds'>): number[] {
  const stride = paddedTo(sample.dimensions, 4);
  return [1, sample.shards, sample.leaves * stride, sample.codesScanned * sample.codeBytes, sample.candidates];
}

/** Least squares of relative residuals, costs of at least 0, with bootstrap intervals over the samples. */
export function fitCosts(samples: readonly CostSample[], seed = 1): { stages: StageCosts; residual: number } {
  if (samples.length <= STAGES.length)
    throw new RangeError(`${STAGES.length} costs need more than ${STAGES.length} samples, not ${samples.length}.`);
  const rows = samples.map((sample) => amounts(sample).map((amount) => amount / sample.kernelMicroseconds));
  const solution = (picks: readonly number[]): number[] =>
    nonNegativeLeastSquares(
      picks.map((i) => rows[i]!),
      picks.map(() => 1),
    );
  const all = samples.map((_, i) => i);
  const values = solution(all);
  const drawn = resamples(samples.length, RESAMPLES, seed).map(solution);
  const stage = (i: number): Coefficient =>
    coefficientOf(values[i]!, percentileInterval(drawn.map((found) => found[i]!)));
  const residuals = rows
    .map((row) => Math.abs(row.reduce((sum, share, i) => sum + share * values[i]!, 0) - 1))
    .sort((a, b) => a - b);
  return {
    stages: { query: stage(0), unit: stage(1), route: stage(2), scan: stage(3), reorder: stage(4) },
    residual: residuals[Math.floor(residuals.length / 2)]!,
  };
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isCoefficient = (value: unknown): value is Coefficient => {
  const { value: middle, low, high } = (value ?? {}) as Partial<Coefficient>;
  return isNumber(middle) && isNumber(low) && isNumber(high) && low <= high;
};
const isPoint = (value: unknown): value is RecallPoint => {
  const { fraction, candidates, recall } = (value ?? {}) as Partial<RecallPoint>;
  return isNumber(fraction) && fraction > 0 && fraction <= 1 && isNumber(candidates) && isNumber(recall) && recall <= 1;
};

/** Reads what a sweep saved; throws a RangeError that says what is wrong with it. */
export function parseCosts(text: string): Costs {
  let costs: Partial<Costs> | null;
  try {
    costs = JSON.parse(text) as Partial<Costs> | null;
  } catch {
    throw new RangeError('the costs are not JSON');
  }
  if (costs?.version !== COSTS_VERSION)
    throw new RangeError(`the costs are of version ${costs?.version}, not ${COSTS_VERSION}`);
  for (const stage of STAGES)
    if (!isCoefficient(costs.stages?.[stage])) throw new RangeError(`the costs lack a sound 'stages.${stage}'`);
  for (const name of ['dimensions', 'k', 'callerMicroseconds', 'skew', 'recallLeaves'] as const)
    if (!isNumber(costs[name]) || costs[name] === 0) throw new RangeError(`the costs lack a sound '${name}'`);
  if (!Array.isArray(costs.recall) || costs.recall.length === 0 || !costs.recall.every(isPoint))
    throw new RangeError("the costs lack a sound 'recall'");
  if (costs.threads && !(isCoefficient(costs.threads.sigma) && isCoefficient(costs.threads.kappa)))
    throw new RangeError("the costs lack a sound 'threads'");
  return costs as Costs;
}
