import { invalid, type OptionTable } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { batchLength, type FeatureColumn, type Features, isColumn } from './features.ts';
import { badValue } from './string-lookup.ts';
import type { Tower } from './tower.ts';

/** What a part of the model takes of a batch: a column by its name, or whatever a function makes of the batch. */
export type Selector<T> = string | ((batch: Features) => T);

export interface BatchSelectors {
  /** What the query tower takes. Default: the whole batch, from which a tower of named features takes its columns. */
  queryFeatures?: Selector<Features> | undefined;
  /** What the candidate tower takes. Default: the whole batch. */
  candidateFeatures?: Selector<Features> | undefined;
  /** Identifies each example's candidate: for accidental hits, and for metrics by id. Default: none. */
  candidateIds?: Selector<FeatureColumn> | undefined;
  /** Weight of each example, at least 0. Default: 1. */
  sampleWeight?: Selector<ArrayLike<number>> | undefined;
  /**
   * Probability, above 0 and at most 1, with which each example's candidate comes up in a batch: its logarithm is subtracted
   * from the candidate's logits (Yi et al. 2019, "logQ correction"). Default: none.
   */
  candidateSamplingProbability?: Selector<ArrayLike<number>> | undefined;
}

const selector = <T>(value: unknown, option: string): Selector<T> => {
  if (typeof value === 'string' || typeof value === 'function') return value as Selector<T>;
  throw invalid(option, value, 'the name of a column, or a function of the batch');
};

export const SELECTORS: OptionTable<BatchSelectors> = {
  queryFeatures: { default: undefined, check: selector<Features> },
  candidateFeatures: { default: undefined, check: selector<Features> },
  candidateIds: { default: undefined, check: selector<FeatureColumn> },
  sampleWeight: { default: undefined, check: selector<ArrayLike<number>> },
  candidateSamplingProbability: { default: undefined, check: selector<ArrayLike<number>> },
};

/** One batch, checked. */
export interface TrainingBatch {
  readonly rows: number;
  readonly query: readonly FeatureColumn[];
  readonly candidate: readonly FeatureColumn[];
  readonly candidateIds: FeatureColumn | null;
  readonly sampleWeight: Float32Array | null;
  /** f32 [rows]: what is subtracted from each candidate's logits. */
  readonly corrections: Float32Array | null;
}

/** TFRS clips probabilities from below at this. */
const LEAST_PROBABILITY = 1e-6;

/** Takes a batch apart and checks it; throws before anything has changed. */
export function trainingBatch(
  batch: Features,
  selectors: BatchSelectors,
  queryTower: Tower,
  candidateTower: Tower,
): TrainingBatch {
  const rows = batchLength(batch, 'batch');
  if (rows === 0) throw invalid('batch', batch, 'at least one example');
  const query = select(batch, selectors.queryFeatures, 'queryFeatures');
  const candidate = select(batch, selectors.candidateFeatures, 'candidateFeatures');
  const sizes = [
    ['queryFeatures', batchLength(query, 'queryFeatures')],
    ['candidateFeatures', batchLength(candidate, 'candidateFeatures')],
  ] as const;
  for (const [name, size] of sizes) checkLength(name, size, rows);
  const ids = column(batch, selectors.candidateIds, 'candidateIds', rows);
  const weights = column(batch, selectors.sampleWeight, 'sampleWeight', rows);
  const probabilities = column(batch, selectors.candidateSamplingProbability, 'candidateSamplingProbability', rows);
  return {
    rows,
    query: queryTower.columns(query, 'queryFeatures'),
    candidate: candidateTower.columns(candidate, 'candidateFeatures'),
    candidateIds: ids as FeatureColumn | null,
    sampleWeight:
      weights &&
      numbers(weights, 'sampleWeight', 'a finite f32 of at least 0', (w) => w >= 0 && Math.fround(w) < Infinity),
    corrections:
      probabilities &&
      numbers(
        probabilities,
        'candidateSamplingProbability',
        'a number above 0 and at most 1',
        (p) => p > 0 && p <= 1,
      ).map((p) => Math.log(Math.max(p, LEAST_PROBABILITY))),
  };
}

function select<T>(batch: Features, selector: Selector<T> | undefined, name: string): Features {
  if (selector === undefined) return batch;
  if (typeof selector === 'function') return selector(batch) as Features;
  if (isColumn(batch)) throw invalid('batch', batch, `columns by name, among them ${selector}`);
  const found = batch[selector];
  if (found === undefined) throw invalid(name, selector, `a column of the batch, which has ${Object.keys(batch)}`);
  return found;
}

function column<T>(
  batch: Features,
  selector: Selector<T> | undefined,
  name: string,
  rows: number,
): ArrayLike<unknown> | null {
  if (selector === undefined) return null;
  const found = select(batch, selector, name);
  if (!isColumn(found)) throw invalid(name, found, 'a column of values');
  checkLength(name, found.length, rows);
  return found;
}

function checkLength(name: string, length: number, rows: number): void {
  if (length === rows) return;
  throw new ScanneryError('SCANNERY_INVALID_OPTION', `${name} has ${length} values for ${rows} examples`, {
    option: name,
    value: length,
  });
}

function numbers(
  values: ArrayLike<unknown>,
  name: string,
  allowed: string,
  good: (value: number) => boolean,
): Float32Array {
  return Float32Array.from({ length: values.length }, (_, i) => {
    const value = values[i];
    if (typeof value === 'number' && good(value)) return value;
    throw badValue(name, i, value, allowed);
  });
}
