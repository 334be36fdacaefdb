import { integer, numberAbove, type OptionTable, oneOf, optional, resolveOptions } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { METRICS, type Metric } from '../../protocol/metrics.ts';
import type { BuildOptions, SearchOptions } from '../../protocol/options.ts';
import { IndexedTopK } from './indexed-top-k.ts';
import { CALL, type CallOptions, TOP_K, type TopKOptions } from './top-k.ts';

export interface ScaNNOptions extends TopKOptions {
  /** Default 'dot_product'. Scores of 'squared_l2' are distances, lowest first. */
  distanceMeasure?: Metric | undefined;
  /** Leaves of the tree, 1 to 1,000,000; never more than candidates. Default 100. */
  numLeaves?: number | undefined;
  /** Leaves scanned per query, at least 1. Default 10. */
  numLeavesToSearch?: number | undefined;
  /** Iterations of k-means for the tree, 0 to 1,000. Default 12. */
  trainingIterations?: number | undefined;
  /** Dimensions that share one 4-bit code, 1 to 16. Default 2. */
  dimensionsPerBlock?: number | undefined;
  /**
   * Candidates rescored from their embeddings, at least 1. Default: none; embeddings are then not kept, and scores are
   * approximate.
   */
  numReorderingCandidates?: number | undefined;
  /** Threshold of the score-aware loss, 0 (off) to 0.999. Default: that of `Index`, 0.2. */
  anisotropicQuantizationThreshold?: number | undefined;
  /** Candidates that tree and codebooks are trained on, sampled. Default 100,000. */
  trainingSampleSize?: number | undefined;
  /** Seed of everything random in the build. Default 42. */
  seed?: number | undefined;
  /** Shards, 1 to 1,024. Default: one per GiB of candidates, and at least as many as threads. */
  shards?: number | undefined;
}

export interface ScaNNCallOptions extends CallOptions {
  /** Leaves scanned, at least 1. Default: the layer's. */
  numLeavesToSearch?: number | undefined;
  /** Candidates rescored, at least 1. Default: the layer's. Only for a layer that has the option too. */
  numReorderingCandidates?: number | undefined;
}

const count = integer(1, 2 ** 31 - 1);

const SCANN: OptionTable<ScaNNOptions> = {
  ...TOP_K,
  distanceMeasure: { default: 'dot_product', check: oneOf(...METRICS) },
  numLeaves: { default: 100, check: integer(1, 1_000_000) },
  numLeavesToSearch: { default: 10, check: count },
  trainingIterations: { default: 12, check: integer(0, 1000) },
  dimensionsPerBlock: { default: 2, check: integer(1, 16) },
  numReorderingCandidates: { default: undefined, check: optional(count) },
  anisotropicQuantizationThreshold: {
    default: undefined,
    check: (value, option) => (value === 0 ? 0 : numberAbove(0, 0.999)(value, option)),
  },
  trainingSampleSize: { default: 100_000, check: integer(1, 2 ** 24) },
  seed: { default: 42, check: integer(0, 2 ** 32 - 1) },
  shards: { default: undefined, check: optional(integer(1, 1024)) },
};

const SCANN_CALL: OptionTable<ScaNNCallOptions> = {
  ...CALL,
  numLeavesToSearch: { default: undefined, check: count },
  numReorderingCandidates: { default: undefined, check: count },
};

/**
 * Approximate retrieval by a tree, 4-bit asymmetric hashing and, if asked for, exact reordering of the best (TensorFlow
 * Recommenders, layers/factorized_top_k.py, ScaNN; Guo et al. 2020).
 */
export class ScaNN extends IndexedTopK<ScaNNOptions, ScaNNCallOptions> {
  protected readonly layer = 'ScaNN';
  protected readonly metric: Metric;

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
  constructor(options: ScaNNOptions = {}) {
    super(resolveOptions(SCANN, options));
    this.metric = this.options.distanceMeasure!;
  }

  /** False: a candidate may be missed, and without reordering scores are approximate. */
  isExact(): boolean {
    return false;
  }

  protected override get callTable(): OptionTable<ScaNNCallOptions> {
    return SCANN_CALL;
  }

  protected buildOptions(): BuildOptions {
    const { numLeaves, trainingIterations, trainingSampleSize, seed, shards, ...rest } = this.options;
    const { dimensionsPerBlock, anisotropicQuantizationThreshold, numReorderingCandidates } = rest;
    return {
      tree: { numLeaves, trainingIterations, trainingSampleSize },
      hashing: { dimensionsPerBlock, anisotropicQuantizationThreshold, trainingSampleSize },
      reordering: numReorderingCandidates === undefined ? false : { vectors: 'float32' },
      seed,
      shards,
    };
  }

  protected searchOptions({ k, signal, numLeavesToSearch, numReorderingCandidates }: ScaNNCallOptions): SearchOptions {
    const own = this.options;
    if (numReorderingCandidates !== undefined && own.numReorderingCandidates === undefined) {
      throw new ScanneryError(
        'SCANNERY_NOT_SUPPORTED',
        'numReorderingCandidates needs stored embeddings; give the option to the layer too',
        { option: 'numReorderingCandidates', value: numReorderingCandidates },
      );
    }
    return {
      k,
      signal,
      numLeavesToSearch: numLeavesToSearch ?? own.numLeavesToSearch,
      numReorderingCandidates: numReorderingCandidates ?? own.numReorderingCandidates,
    };
  }
}
