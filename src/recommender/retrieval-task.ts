import {
  boolean,
  integer,
  invalid,
  numberAbove,
  type OptionTable,
  optional,
  resolveOptions,
} from '../protocol/check.ts';
import type { FactorizedTopK } from './factorized-top-k.ts';

export interface RetrievalOptions {
  /** Metric over all candidates, updated by `evaluate`. Default none. */
  metrics?: FactorizedTopK | null | undefined;
  /** Metrics over the candidates of the batch. Default none. */
  batchMetrics?: readonly BatchTopKAccuracy[] | undefined;
  /** Divides the logits; above 0. Default 1. */
  temperature?: number | undefined;
  /** Negatives per query that count: those with the largest logits. Default: all of the batch. */
  numHardNegatives?: number | undefined;
  /** Whether a candidate counts as no negative where it has the same id as the positive. Default false. */
  removeAccidentalHits?: boolean | undefined;
}

const OPTIONS: OptionTable<Omit<RetrievalOptions, 'metrics' | 'batchMetrics'>> = {
  temperature: { default: 1, check: numberAbove(0, 1e10) },
  numHardNegatives: { default: undefined, check: optional(integer(1)) },
  removeAccidentalHits: { default: false, check: boolean },
};

/**
 * The retrieval task: softmax cross-entropy of each query's own candidate against the other candidates of the batch, summed
 * over the batch. As TensorFlow Recommenders' `tasks.Retrieval`.
 */
export class Retrieval {
  readonly temperature: number;
  readonly numHardNegatives: number | undefined;
  readonly removeAccidentalHits: boolean;
  readonly batchMetrics: readonly BatchTopKAccuracy[];
  /** May be replaced at any time, to evaluate over other candidates. */
  factorizedMetrics: FactorizedTopK | null;

  constructor(options: RetrievalOptions = {}) {
    const { metrics = null, batchMetrics = [], ...rest } = options;
    const { temperature, numHardNegatives, removeAccidentalHits } = resolveOptions(OPTIONS, rest);
    for (const [i, metric] of batchMetrics.entries()) {
      if (!(metric instanceof BatchTopKAccuracy)) throw invalid(`batchMetrics[${i}]`, metric, 'a BatchTopKAccuracy');
    }
    this.temperature = temperature!;
    this.numHardNegatives = numHardNegatives;
    this.removeAccidentalHits = removeAccidentalHits!;
    this.batchMetrics = batchMetrics;
    this.factorizedMetrics = metrics;
  }
}

/** How often a query's own candidate is among the k best of its batch. As Keras's TopKCategoricalAccuracy over the logits. */
export class BatchTopKAccuracy {
  readonly k: number;
  readonly name: string;
  #hits = 0;
  #weight = 0;

  /** @param options `k`: default 5; `name`: default `batch_top_${k}_categorical_accuracy` */
  constructor({ k = 5, name }: { k?: number | undefined; name?: string | undefined } = {}) {
    this.k = integer(1)(k, 'k');
    this.name = name ?? `batch_top_${k}_categorical_accuracy`;
  }

  /**
   * @param ranks per query, the logits above that of its own candidate
   * @internal
   */
  update(ranks: ArrayLike<number>, weights: ArrayLike<number> | null): void {
    for (let i = 0; i < ranks.length; i++) {
      const weight = weights === null ? 1 : weights[i]!;
      this.#weight += weight;
      if (ranks[i]! < this.k) this.#hits += weight;
    }
  }

  /** The fraction so far; 0 when there was nothing. */
  result(): number {
    return this.#weight === 0 ? 0 : this.#hits / this.#weight;
  }

  resetStates(): void {
    this.#hits = 0;
    this.#weight = 0;
  }
}
