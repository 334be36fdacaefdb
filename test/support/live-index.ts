import { buildIndex, type IndexData, searchMode } from '../../src/coordinator/build.ts';
import { oneMemoryBytes } from '../../src/coordinator/configure.ts';
import { IdLookup } from '../../src/coordinator/id-lookup.ts';
import { Serving } from '../../src/coordinator/serving.ts';
import type { Request } from '../../src/coordinator/slots.ts';
import { Staging } from '../../src/coordinator/staging.ts';
import { describe } from '../../src/coordinator/stats.ts';
import { Threads } from '../../src/coordinator/threads.ts';
import { Upserter } from '../../src/coordinator/upsert.ts';
import type { BuildOptions, Id, IndexStats, SearchResult, UpsertResult } from '../../src/index.ts';
import { resolveBuildOptions } from '../../src/protocol/options.ts';
import { type KernelSource, loadKernels } from '../../src/shard/kernels/load.ts';
import type { Data } from './vectors.ts';

/** Takes vectors in as `Index.build` does. */
export async function stage(data: Data, kernels: KernelSource, options: BuildOptions = {}): Promise<Staging> {
  const { hashing, metric, signal } = options;
  const staging = new Staging(kernels, {
    dimensions: data.dimensions,
    dimensionsPerBlock: hashing === false ? 1 : (hashing?.dimensionsPerBlock ?? 2),
    normalise: metric === 'cosine',
    oneMemoryBytes: oneMemoryBytes(options, options.threads ?? 2),
    expected: data.count,
    signal,
    onProgress: () => {},
  });
  await staging.add({ vectors: data.vectors, ids: data.ids });
  return staging;
}

/** What `Index` keeps private: an index with its threads within reach, so that a test can end them. */
export class LiveIndex implements AsyncDisposable {
  readonly data: IndexData;
  readonly threads: Threads;
  readonly serving: Serving;
  readonly #kernels: KernelSource;
  #upserter: Upserter | undefined;
  #lookup: IdLookup | undefined;

  private constructor(data: IndexData, threads: Threads, serving: Serving, kernels: KernelSource) {
    this.data = data;
    this.threads = threads;
    this.serving = serving;
    this.#kernels = kernels;
  }

  /** `bytesPerMemory`: bytes of vectors that share a memory; as by default if not given. */
  static async build(data: Data, options: BuildOptions = {}, bytesPerMemory?: number): Promise<LiveIndex> {
    const resolved = resolveBuildOptions({ threads: 2, ...options });
    const kernels = loadKernels();
    const staging = await stage(data, kernels, resolved);
    const threads = new Threads(resolved.threads!);
    const context = { threads, kernels, options: resolved, report: () => {} };
    const built = await buildIndex(staging, { ...context, ...(bytesPerMemory && { bytesPerMemory }) });
    const serving = await Serving.start(built, threads, kernels, resolved.maxInFlight!);
    return new LiveIndex(built, threads, serving, kernels);
  }

  request(k: number, limit = 4 * k, numLeavesToSearch = 4, exact = false): Request {
    const { rows, numLeaves } = this.data;
    const size = rows.count;
    const most = Math.min(k, size);
    const leaves = Math.min(numLeaves, numLeavesToSearch);
    const mode = searchMode(this.data, exact);
    return {
      mode,
      k: most,
      limit: Math.min(Math.max(most, limit), size),
      numLeavesToSearch: exact ? 0 : leaves,
      snapshot: rows.snapshot,
    };
  }

  /** Upserts vectors, row-major, by ids. */
  async upsert(ids: readonly Id[], vectors: Float32Array): Promise<UpsertResult> {
    const { dimensions } = this.data;
    this.#upserter ??= new Upserter(this.data, this.serving, this.#kernels);
    this.#lookup ??= await IdLookup.make(this.data);
    const row = (i: number): Float32Array => vectors.subarray(i * dimensions, (i + 1) * dimensions);
    return this.#upserter.upsert({ ids, row }, this.#lookup);
  }

  async search(query: ArrayLike<number>, request = this.request(10)): Promise<SearchResult> {
    const [result] = await this.serving.search({ count: 1, row: () => query }, request, undefined);
    return result!;
  }

  batch(queries: readonly ArrayLike<number>[], request = this.request(10)): Promise<SearchResult[]> {
    return this.serving.search({ count: queries.length, row: (i) => queries[i]! }, request, undefined);
  }

  stats(): IndexStats {
    return describe(this.data, this.serving, this.threads, this.#kernels.tier);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serving.stop();
  }
}
