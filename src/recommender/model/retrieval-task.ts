import {
  boolean,
  type Check,
  integer,
  invalid,
  numberAbove,
  type OptionTable,
  optional,
  resolveOptions,
  text,
} from '../../protocol/check.ts';
import { FactorizedTopK } from '../layers/factorized-top-k.ts';

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

const batchMetricList: Check<readonly BatchTopKAccuracy[]> = (value, option) => {
  if (!Array.isArray(value)) throw invalid(option, value, 'an array of BatchTopKAccuracy');
  return value.map((metric: unknown, i) => {
    if (metric instanceof BatchTopKAccuracy) return metric;
    throw invalid(`${option}[${i}]`, metric, 'a BatchTopKAccuracy');
  });
};

const OPTIONS: OptionTable<RetrievalOptions> = {
  metrics: {
    default: null,
    check: (value, option) => {
      if (value === null || value instanceof FactorizedTopK) return value;
      throw invalid(option, value, 'a FactorizedTopK or null');
    },
  },
  batchMetrics: { default: [], check: batchMetricList },
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
    const { metrics, batchMetrics, temperature, numHardNegatives, removeAccidentalHits } = resolveOptions(
      OPTIONS,
      options,
    );
    this.temperature = temperature!;
    this.numHardNegatives = numHardNegatives;
    this.removeAccidentalHits = removeAccidentalHits!;
    this.batchMetrics = batchMetrics!;
    this.factorizedMetrics = metrics!;
  }
}

export interface BatchTopKAccuracyOptions {
  /** Default 5. */
  k?: number | undefined;
  /** Default `batch_top_${k}_categorical_accuracy`. */
  name?: string | undefined;
}

const ACCURACY: OptionTable<BatchTopKAccuracyOptions> = {
  k: { default: 5, check: integer(1) },
  name: { default: undefined, check: text },
};

/** How often a query's own candidate is among the k best of its batch. As Keras's TopKCategoricalAccuracy over the logits. */
export class BatchTopKAccuracy {
  readonly k: number;
  readonly name: string;
  #hits = 0;
  #weight = 0;

  constructor(options: BatchTopKAccuracyOptions = {}) {
    const { k, name } = resolveOptions(ACCURACY, options);
    this.k = k!;
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
