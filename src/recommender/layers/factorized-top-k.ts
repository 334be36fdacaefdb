import { throwIfAborted } from '../../coordinator/threads.ts';
import type { Id, QueryBatch } from '../../coordinator/types.ts';
import { abortSignal, type Check, invalid, type OptionTable, resolveOptions, text } from '../../protocol/check.ts';
import { ScanneryError, show } from '../../protocol/errors.ts';
import { paddedDimensions } from '../../protocol/metrics.ts';
import { dotAt } from '../../shard/kernels/scalar/vector.ts';
import { isIterable } from '../data/dataset-steps.ts';
import type { CandidateDataset } from './candidate-batches.ts';
import { checkIdentifier, type IdentifiersInput, isIdentifierList } from './identifiers.ts';
import { countQueries, embedded } from './retrieved.ts';
import { Streaming } from './streaming.ts';
import { K, TopK } from './top-k.ts';

export interface FactorizedTopKOptions {
  /** A layer that has its candidates, or a dataset of candidates, for which the metric makes a `Streaming` layer. */
  candidates: TopK | CandidateDataset;
  /** At which k to measure: integers of at least 1, in any order. Default [1, 5, 10, 50, 100]. */
  ks?: readonly number[] | undefined;
  /** First part of the names of results. Default 'factorized_top_k'. */
  name?: string | undefined;
}

export interface UpdateOptions {
  /** The true candidate's identifier for each query. Default: none, scores are compared. */
  trueCandidateIds?: IdentifiersInput | undefined;
  /** A weight for each query, at least 0. Default: 1 each. */
  sampleWeight?: ArrayLike<number> | undefined;
  signal?: AbortSignal | undefined;
}

const OPTIONS: OptionTable<FactorizedTopKOptions> = {
  candidates: { default: [], check: (value) => value as CandidateDataset },
  ks: { default: [1, 5, 10, 50, 100], check: checkKs },
  name: { default: 'factorized_top_k', check: text },
};

const list: Check<ArrayLike<never>> = (value, option) => {
  if (isIdentifierList(value)) return value as ArrayLike<never>;
  throw invalid(option, value, 'an array or typed array');
};
const UPDATE: OptionTable<UpdateOptions> = {
  trueCandidateIds: { default: undefined, check: list },
  sampleWeight: { default: undefined, check: list },
  signal: { default: undefined, check: abortSignal },
};

function checkKs(value: unknown, option: string): readonly number[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(option, value, 'a non-empty array of integers');
  return Object.freeze(value.map((k, i) => K(k, `${option}[${i}]`)));
}

/**
 * How often the true candidate is among the first k that a layer retrieves: the mean over all queries since the last reset
 * (TensorFlow Recommenders, metrics/factorized_top_k.py, FactorizedTopK).
 *
 * With `trueCandidateIds` it counts as found when its identifier is among those of the first k. Without, when fewer than k of
 * the retrieved scores are above its own, as in tf.math.in_top_k; the true candidate need not be in the layer for that, but
 * the layer must be exact.
 */
export class FactorizedTopK {
  readonly ks: readonly number[];
  readonly name: string;
  readonly #layer: TopK;
  readonly #owned: boolean;
  /** Per k: the sum of weights of those found. */
  #found: Float64Array;
  #weight = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
  constructor(options: FactorizedTopKOptions) {
    const { candidates, ks, name } = resolveOptions(OPTIONS, options);
    this.ks = ks!;
    this.name = name!;
    this.#found = new Float64Array(this.ks.length);
    this.#owned = !(candidates instanceof TopK);
    if (candidates instanceof TopK) this.#layer = candidates;
    else {
      if (options?.candidates === undefined || !isIterable(candidates)) {
        throw invalid('candidates', options?.candidates, 'a layer or a dataset of batches');
      }
      this.#layer = new Streaming({ k: Math.max(...this.ks) }).useDataset(candidates);
    }
  }

  /**
   * Takes queries and their true candidates into account. Nothing changes when it fails.
   *
   * @param queryEmbeddings [m x dimensions]
   * @param trueCandidateEmbeddings [m x dimensions]; where the score is not finite, the candidate counts as not found
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID and SCANNERY_INVALID_OPTION (with the row),
   *   SCANNERY_NOT_SUPPORTED when scores are to be compared and the layer is not exact, and whatever the layer throws
   */
  async updateState(
    queryEmbeddings: QueryBatch,
    trueCandidateEmbeddings: QueryBatch,
    options?: UpdateOptions,
  ): Promise<void> {
    if (this.#closed) throw new ScanneryError('SCANNERY_CLOSED', 'the metric is closed');
    const { trueCandidateIds, sampleWeight, signal } = resolveOptions(UPDATE, options);
    throwIfAborted(signal);
    if (trueCandidateIds === undefined && !this.#layer.isExact()) {
      throw new ScanneryError(
        'SCANNERY_NOT_SUPPORTED',
        `${this.#layer.constructor.name} gives no exact scores to compare with; give trueCandidateIds`,
        { option: 'trueCandidateIds', value: undefined },
      );
    }
    const update: Update = {
      queries: embedded(queryEmbeddings).embeddings,
      truths: embedded(trueCandidateEmbeddings).embeddings,
      ids: trueCandidateIds === undefined ? undefined : Array.from(trueCandidateIds, checkIdentifier),
      weights: sampleWeight === undefined ? undefined : Float64Array.from(sampleWeight, checkWeight),
    };
    // Only a Streaming layer that was never called leaves the number of queries open.
    const count = countQueries(embedded(queryEmbeddings), this.#layer.dimensions);
    const early = count === undefined ? undefined : positiveScores(update, count);
    const k = Math.max(...this.ks);
    const before = this.#turn;
    const work = this.#layer.searchEmbeddings(update.queries, { k, signal }).then(async ([scores, identifiers]) => {
      const positives = early ?? positiveScores(update, scores.length);
      // Sums depend on their order: that of the calls.
      await before;
      this.#add(update, positives, scores, identifiers);
    });
    this.#turn = Promise.allSettled([before, work]);
    return work;
  }

  /** The mean for each k by name, such as `factorized_top_k/top_10_categorical_accuracy`; 0 when nothing was seen. */
  result(): Record<string, number> {
    const mean = (found: number): number => (this.#weight === 0 ? 0 : found / this.#weight);
    return Object.fromEntries(
      this.ks.map((k, i) => [`${this.name}/top_${k}_categorical_accuracy`, mean(this.#found[i]!)]),
    );
  }

  /** Forgets all that was seen. Await updates before. */
  resetStates(): void {
    this.#found = new Float64Array(this.ks.length);
    this.#weight = 0;
  }

  /** Waits for updates, then closes the layer that was made of a dataset; a layer that was given stays open. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    if (this.#owned) await this.#layer.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #add(
    { ids, weights }: Update,
    positives: Float32Array,
    scores: readonly Float32Array[],
    identifiers: readonly Id[][],
  ): void {
    for (let query = 0; query < positives.length; query++) {
      const weight = weights === undefined ? 1 : weights[query]!;
      const rank =
        ids === undefined ? rankByScore(positives[query]!, scores[query]!) : identifiers[query]!.indexOf(ids[query]!);
      this.#weight += weight;
      if (rank < 0) continue;
      for (let i = 0; i < this.ks.length; i++) if (rank < this.ks[i]!) this.#found[i]! += weight;
    }
  }
}

interface Update {
  readonly queries: QueryBatch;
  readonly truths: QueryBatch;
  readonly ids: readonly Id[] | undefined;
  readonly weights: Float64Array | undefined;
}

/** How many retrieved scores, best first, are above this one; -1 when it is not finite. */
function rankByScore(positive: number, scores: Float32Array): number {
  if (!Number.isFinite(positive)) return -1;
  let above = 0;
  while (above < scores.length && scores[above]! > positive) above++;
  return above;
}

/** Checks that there is one of everything per query, and scores true candidates as the layer scores its own: f32 [count]. */
function positiveScores({ queries, truths, ids, weights }: Update, count: number): Float32Array {
  if (ids !== undefined) checkCount('trueCandidateIds', ids.length, count, 'SCANNERY_INVALID_ID');
  if (weights !== undefined) checkCount('sampleWeight', weights.length, count, 'SCANNERY_INVALID_OPTION');
  const positives = new Float32Array(count);
  if (Array.isArray(truths) || count === 0) checkCount('trueCandidateEmbeddings', truths.length, count);
  if (count === 0) return positives;
  const dimensions = Array.isArray(queries) ? queries[0]?.length : queries.length / count;
  if (!Number.isInteger(dimensions)) throw wrongRow('queryEmbeddings', 0, 'is no array of numbers');
  if (!Array.isArray(truths)) checkCount('trueCandidateEmbeddings', truths.length / dimensions, count);
  const stride = paddedDimensions(dimensions);
  const query = new Float32Array(stride);
  const truth = new Float32Array(stride);
  for (let row = 0; row < count; row++) {
    copyRow('queryEmbeddings', queries, row, dimensions, query);
    copyRow('trueCandidateEmbeddings', truths, row, dimensions, truth);
    positives[row] = dotAt(query, 0, truth, 0, stride);
  }
  return positives;
}

function copyRow(name: string, rows: QueryBatch, row: number, dimensions: number, out: Float32Array): void {
  if (!Array.isArray(rows)) {
    out.set((rows as Float32Array).subarray(row * dimensions, (row + 1) * dimensions));
    return;
  }
  const numbers = rows[row] as ArrayLike<unknown> | null | undefined;
  if (numbers?.length !== dimensions) throw wrongRow(name, row, `has ${numbers?.length} numbers, not ${dimensions}`);
  for (let j = 0; j < dimensions; j++) {
    const value = numbers[j];
    if (typeof value !== 'number') throw wrongRow(name, row, `has ${show(value)} at position ${j}`);
    out[j] = value;
  }
}

function wrongRow(name: string, row: number, problem: string): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_VECTOR', `row ${row} of ${name} ${problem}`, { option: name, row });
}

function checkCount(
  name: string,
  received: number,
  count: number,
  code: 'SCANNERY_INVALID_VECTOR' | 'SCANNERY_INVALID_ID' | 'SCANNERY_INVALID_OPTION' = 'SCANNERY_INVALID_VECTOR',
): void {
  if (received === count) return;
  throw new ScanneryError(code, `${name} has ${received} rows for ${count} queries; there must be one for each`, {
    option: name,
    value: received,
    row: Math.min(Math.floor(received), count),
  });
}

function checkWeight(weight: unknown, row: number): number {
  if (typeof weight === 'number' && weight >= 0 && weight < Number.POSITIVE_INFINITY) return weight;
  throw new ScanneryError(
    'SCANNERY_INVALID_OPTION',
    `sampleWeight[${row}] is ${show(weight)}, not a number of at least 0`,
    {
      ...{ option: 'sampleWeight', value: weight, row },
    },
  );
}
