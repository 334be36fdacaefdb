import { invalid } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { Metric } from '../protocol/metrics.ts';
import {
  type BuildOptions,
  type OpenOptions,
  type RecallOptions,
  resolveBuildOptions,
  resolveOpenOptions,
  resolveRecallOptions,
  resolveSearchOptions,
  resolveTuneOptions,
  type SearchOptions,
  type TuneOptions,
} from '../protocol/options.ts';
import { chooseTier, type KernelSource, loadKernels } from '../shard/kernels/load.ts';
import { NOTHING_EXPLAINED } from './answers.ts';
import { buildIndex, type IndexData } from './build.ts';
import type { Companion, OpenedWith, OpenIndexWith, SaveIndexWith } from './companion.ts';
import { ingest } from './ingest.ts';
import { isVector, querySource } from './inputs.ts';
import { measureRecall, tuneIndex } from './measuring.ts';
import { openIndex, openIndexAndCompanion } from './open.ts';
import { chooseRequest, runRequest } from './requests.ts';
import { saveIndex } from './save.ts';
import { Serving } from './serving.ts';
import type { Request } from './slots.ts';
import { describe } from './stats.ts';
import { defaultThreads, Threads, throwIfAborted } from './threads.ts';
import type { Explanation, IndexStats, Query, QueryBatch, SearchResult, TuneResult, VectorChunk } from './types.ts';

/** Staging memory of at most this size may stay with the threads that built the index; starting others would take longer. */
const KEEP_STAGED_BYTES = 1 << 25;

/** What an open index consists of. */
interface Parts {
  readonly data: IndexData;
  readonly serving: Serving;
  readonly threads: Threads;
}

// For src/recommender alone, which saves an index as a part of more. Neither is among the public names: the class assigns them
// where its private members are in reach.

/** `Index.save`, and a companion in the same generation of the directory. */
export let saveIndexWith: SaveIndexWith;

/**
 * `Index.open`, and the companion that was saved with that index.
 *
 * @throws {ScanneryError} as `Index.open` does; SCANNERY_NOT_FOUND also when the index was saved without such a companion
 */
export let openIndexWith: OpenIndexWith;

/** A vector index: shards in worker threads, searched together. Made by `Index.build` or `Index.open`. */
export class Index {
  /** Vectors in the index. */
  readonly size: number;
  /** Numbers per vector. */
  readonly dimensions: number;
  readonly metric: Metric;
  readonly #kernels: KernelSource;
  /** Null once closed, so that the memory can go. */
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  #saving: Promise<void> = Promise.resolve();

  static {
    saveIndexWith = (index, directory, companion) => index.#save(directory, companion);
    openIndexWith = async (directory, options, name, kind) => {
      let beside: Omit<OpenedWith, 'index'>;
      const index = await Index.#openFrom(options, async (kernels, resolved) => {
        const { data, ...rest } = await openIndexAndCompanion(directory, kernels, resolved, { name, kind });
        beside = rest;
        return data;
      });
      return { index, ...beside! };
    };
  }

  private constructor(parts: Parts, kernels: KernelSource) {
    this.size = parts.data.size;
    this.dimensions = parts.data.dimensions;
    this.metric = parts.data.metric;
    this.#parts = parts;
    this.#kernels = kernels;
  }

  /**
   * Builds an index over vectors, given at once or as an (async) iterable of chunks, which is consumed one chunk at a time.
   * The vectors are copied into shared memory; training, assignment and encoding run in worker threads.
   *
   * @param input vectors [n x dimensions], and their ids (default: the row number)
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION, SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID, SCANNERY_DUPLICATE_ID (with
   *   the row), SCANNERY_ABORTED, SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED
   */
  static async build(
    input: VectorChunk | AsyncIterable<VectorChunk> | Iterable<VectorChunk>,
    options: BuildOptions = {},
  ): Promise<Index> {
    const resolved = resolveBuildOptions(options);
    throwIfAborted(resolved.signal);
    const index = await Index.#build(input, resolved);
    const { targetRecall, signal, seed, onProgress } = resolved;
    if (targetRecall === undefined || resolved.reordering === false) return index;
    try {
      const report = (done: number): void => onProgress?.({ phase: 'tune', done, total: undefined });
      await index.tune({ targetRecall, signal, seed, onProgress: report });
    } catch (error) {
      await index.close();
      throw error;
    }
    return index;
  }

  static async #build(input: unknown, resolved: Readonly<BuildOptions>): Promise<Index> {
    const kernels = loadKernels(chooseTier());
    const report = resolved.onProgress ?? (() => {});
    const count = resolved.threads ?? defaultThreads();
    const staging = await ingest(input, resolved, kernels, count, report);
    const threads = new Threads(count);
    const context = { threads, kernels, options: resolved, report };
    if (staging.bytes <= KEEP_STAGED_BYTES) {
      return Index.#start(threads, kernels, resolved.maxInFlight!, () => buildIndex(staging, context));
    }
    // Threads in their serving loop would hold on to the staging memory; let others serve.
    let data: IndexData;
    try {
      data = await buildIndex(staging, context);
    } finally {
      await threads.destroy();
    }
    return Index.#start(new Threads(count), kernels, resolved.maxInFlight!, async () => data);
  }

  /**
   * Opens a saved index. Its files are read straight into shared memory and compared with their checksums.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED,
   *   SCANNERY_CHECKSUM, SCANNERY_IO, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Index> {
    return Index.#openFrom(options, (kernels, resolved) => openIndex(directory, kernels, resolved));
  }

  static async #openFrom(
    options: OpenOptions,
    read: (kernels: KernelSource, resolved: Readonly<OpenOptions>) => Promise<IndexData>,
  ): Promise<Index> {
    const resolved = resolveOpenOptions(options);
    throwIfAborted(resolved.signal);
    const kernels = loadKernels(chooseTier());
    // The threads start while the files are read.
    const threads = new Threads(resolved.threads ?? defaultThreads());
    return Index.#start(threads, kernels, resolved.maxInFlight!, () => read(kernels, resolved));
  }

  static async #start(
    threads: Threads,
    kernels: KernelSource,
    maxInFlight: number,
    make: () => Promise<IndexData>,
  ): Promise<Index> {
    try {
      const data = await make();
      const serving = await Serving.start(data, threads, kernels, maxInFlight);
      return new Index({ data, serving, threads }, kernels);
    } catch (error) {
      await threads.destroy();
      throw error;
    }
  }

  /**
   * The k nearest vectors of one query, best first; fewer if the index holds fewer. The query may be reused once the promise
   * settles.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED,
   *   SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED
   */
  async search(query: Query, options?: SearchOptions): Promise<SearchResult> {
    const { request, signal, parts } = this.#prepare(options);
    if (!isVector(query)) throw invalid('query', query, 'an array or typed array of numbers');
    const [result] = await runRequest(parts.data, parts.serving, { count: 1, row: () => query }, request, signal);
    return result!;
  }

  /**
   * The k nearest vectors of each of many queries. Throughput grows with the batch; a single query of another caller gets its
   * turn in between.
   *
   * @param queries row-major numbers [m x dimensions], or one array per query
   */
  async searchBatch(queries: QueryBatch, options?: SearchOptions): Promise<SearchResult[]> {
    const { request, signal, parts } = this.#prepare(options);
    const source = querySource(queries, this.dimensions);
    return source.count === 0 ? [] : runRequest(parts.data, parts.serving, source, request, signal);
  }

  /**
   * As `search`, with an account of how the answer was found: leaves, codes, candidates, and the time of each stage, per shard.
   *
   * @throws {ScanneryError} as `search`
   */
  async explain(query: Query, options?: SearchOptions): Promise<Explanation> {
    const { request, signal, parts } = this.#prepare(options);
    if (!isVector(query)) throw invalid('query', query, 'an array or typed array of numbers');
    const source = { count: 1, row: () => query };
    const [result] = await runRequest(parts.data, parts.serving, source, { ...request, explain: true }, signal);
    return this.size > 0 ? (result as Explanation) : { ...result!, ...NOTHING_EXPLAINED };
  }

  /**
   * Recall@k of a setting, or of the defaults: the fraction of the k nearest by exact search that `search` finds. A vector as
   * near as the k-th counts, so ties do.
   *
   * @throws {ScanneryError} as `searchBatch`; SCANNERY_NOT_SUPPORTED for an index without stored vectors
   */
  async measureRecall(options?: RecallOptions): Promise<number> {
    return measureRecall(this.#open(), resolveRecallOptions(options));
  }

  /**
   * Finds the setting of `numLeavesToSearch` and `numReorderingCandidates` that reaches a recall in the least time, and makes it
   * what a search uses by default; `save` keeps it. Queries go on being answered meanwhile. Give real queries where they are
   * unlike the vectors, as those of recommenders are.
   *
   * @throws {ScanneryError} as `measureRecall`; SCANNERY_ABORTED
   */
  async tune(options?: TuneOptions): Promise<TuneResult> {
    const resolved = resolveTuneOptions(options);
    throwIfAborted(resolved.signal);
    const result = await tuneIndex(this.#open(), resolved);
    const parts = this.#open();
    const { k, numLeavesToSearch, numReorderingCandidates } = result;
    const config = { ...parts.data.config, defaults: { k, numLeavesToSearch, numReorderingCandidates } };
    this.#parts = { ...parts, data: { ...parts.data, config } };
    return result;
  }

  /**
   * Saves the index into a directory, which is made if needed. A reader, or a crash, finds either the index saved before or
   * this one, never a mixture.
   *
   * @throws {ScanneryError} SCANNERY_IO, SCANNERY_CLOSED
   */
  async save(directory: string): Promise<void> {
    return this.#save(directory);
  }

  async #save(directory: string, companion?: Companion): Promise<void> {
    const { data } = this.#open();
    const turn = this.#saving.then(() => saveIndex(directory, data, this.#kernels, companion));
    this.#saving = turn.catch(() => {});
    return turn;
  }

  /**
   * What the index is made of, what it uses and what it has done.
   *
   * @throws {ScanneryError} SCANNERY_CLOSED
   */
  stats(): IndexStats {
    const { data, serving, threads } = this.#open();
    return describe(data, serving, threads, this.#kernels.tier);
  }

  /** Waits for the calls in flight, then frees threads and memory. Calls made afterwards fail with SCANNERY_CLOSED. */
  async close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #stop(): Promise<void> {
    const { serving } = this.#parts!;
    await this.#saving;
    await serving.stop();
    this.#parts = null;
  }

  #open(): Parts {
    if (this.#closing === null && this.#parts !== null) return this.#parts;
    throw new ScanneryError('SCANNERY_CLOSED', 'the index is closed');
  }

  #prepare(options: SearchOptions | undefined): { request: Request; signal: AbortSignal | undefined; parts: Parts } {
    const parts = this.#open();
    const given = options === undefined ? NO_OPTIONS : resolveSearchOptions(options);
    throwIfAborted(given.signal);
    return { request: chooseRequest(parts.data, given), signal: given.signal, parts };
  }
}

const NO_OPTIONS: SearchOptions = Object.freeze({});
