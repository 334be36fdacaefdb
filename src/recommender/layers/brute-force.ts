import { resolveOptions } from '../../protocol/check.ts';
import type { BuildOptions, SearchOptions } from '../../protocol/options.ts';
import { IndexedTopK } from './indexed-top-k.ts';
import { type CallOptions, TOP_K, type TopKOptions } from './top-k.ts';

/**
 * Retrieval by scoring every candidate: the dot product of query and candidate, in 32-bit floats, on all worker threads
 * (TensorFlow Recommenders, layers/factorized_top_k.py, BruteForce).
 */
export class BruteForce extends IndexedTopK {
  protected readonly layer = 'BruteForce';
  protected readonly metric = 'dot_product';

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
  constructor(options: TopKOptions = {}) {
    super(resolveOptions(TOP_K, options));
  }

  /** True: scores are those of the embeddings as given. */
  isExact(): boolean {
    return true;
  }

  protected buildOptions(): BuildOptions {
    return { tree: false, hashing: false };
  }

  protected searchOptions({ k, signal }: CallOptions): SearchOptions {
    return { k, signal };
  }
}
