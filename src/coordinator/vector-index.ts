import { invalid } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { Metric } from '../protocol/metrics.ts';
import {
  type BuildOptions,
  type OpenOptions,
  type RecallOptions,
  resolveBuildOptions,
  resolveRecallOptions,
  resolveTuneOptions,
  resolveWriteOptions,
  type SearchOptions,
  type TuneOptions,
  type WriteOptions,
} from '../protocol/options.ts';
import type { Companion, OpenIndexWith, SaveIndexWith } from './companion.ts';
import type { Contents } from './contents.ts';
import { isVector, querySource } from './inputs.ts';
import { measureRecall, tuneIndex, withDefaults } from './measuring.ts';
import { openIndex } from './open.ts';
import { buildParts, openParts, openPartsWith, type Parts } from './parts.ts';
import { readRequest, runRequest } from './requests.ts';
import { saveIndex } from './save.ts';
import { describe } from './stats.ts';
import { throwIfAborted } from './threads.ts';
import type {
  DeleteResult,
  Explanation,
  Id,
  IndexStats,
  Query,
  QueryBatch,
  SearchResult,
  StoredVector,
  TuneResult,
  UpsertInput,
  UpsertResult,
  VectorChunk,
} from './types.ts';

// For src/recommender alone, which saves an index as a part of more. Neither is among the public names: the class assigns them
// where its private members are in reach.
export let saveIndexWith: SaveIndexWith;
export let openIndexWith: OpenIndexWith;

/** A vector index: shards in worker threads, searched together. Made by `Index.build` or `Index.open`. */
export class Index {
  /** Numbers per vector. */
  readonly dimensions: number;
  readonly metric: Metric;
  /** Null once closed, so that the memory can go. */
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  #sizeWhenClosed = 0;

  static {
    saveIndexWith = (index, directory, companion) => index.#save(directory, companion);
    openIndexWith = async (directory, options, name, kind) => {
      const { index, ...beside } = await openPartsWith(directory, options, { name, kind });
      return { index: new Index(index), ...beside };
    };
  }

  private constructor(parts: Parts) {
    this.dimensions = parts.data.dimensions;
    this.metric = parts.data.metric;
    this.#parts = parts;
  }

  /** Vectors in the index that are not deleted. */
  get size(): number {
    return this.#parts?.contents.size ?? this.#sizeWhenClosed;
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
    const index = new Index(await buildParts(input, resolved));
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

  /**
   * Opens a saved index. Its files are read straight into shared memory and compared with their checksums.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED,
   *   SCANNERY_CHECKSUM, SCANNERY_IO, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Index> {
    return new Index(await openParts(options, (kernels, resolved) => openIndex(directory, kernels, resolved)));
  }

  /**
   * The k nearest vectors of one query, best first; fewer if the index holds fewer. The query may be reused once the promise
   * settles.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED,
   *   SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED
   */
  async search(query: Query, options?: SearchOptions): Promise<SearchResult> {
    return this.#searchOne(query, options, false);
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
    return (await this.#searchOne(query, options, true)) as Explanation;
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
    this.#parts = { ...parts, data: withDefaults(parts.data, result) };
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
    const { data, contents, kernels } = this.#open();
    return contents.exclusive(() => saveIndex(directory, data, kernels, companion));
  }

  /**
   * Adds vectors; one whose id the index has takes the place of the other. Every search that begins after the promise resolves sees
   * all of them, one that is under way sees none; none ever sees both vectors of an id. Searches never wait for it. Vectors are
   * assigned to the leaves there are and hashed by the codebooks there are: build anew when they become very different.
   *
   * @param input vectors [n x dimensions] and their ids
   * @param options.signal ends the call with SCANNERY_ABORTED if it has not begun: writes and saves take their turns
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID and SCANNERY_DUPLICATE_ID with the row,
   *   SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED, SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED; then nothing
   *   has changed
   */
  async upsert(input: UpsertInput, options?: WriteOptions): Promise<UpsertResult> {
    const { contents, signal } = this.#prepareWrite(options);
    return contents.upsert(input, signal);
  }

  /**
   * Deletes vectors. Every search that begins after the promise resolves finds none of them; one that is under way answers as if
   * they were there. Searches never wait for it. Their room is not used again before the vectors are built into another index.
   *
   * @param ids array or typed array; ids that the index does not have are counted, not an error
   * @param options.signal ends the call with SCANNERY_ABORTED if it has not begun: writes and saves take their turns
   * @throws {ScanneryError} SCANNERY_INVALID_ID with the row, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED,
   *   SCANNERY_OUT_OF_MEMORY; then nothing is deleted
   */
  async delete(ids: ArrayLike<Id>, options?: WriteOptions): Promise<DeleteResult> {
    const { contents, signal } = this.#prepareWrite(options);
    return contents.delete(ids, signal);
  }

  /**
   * Whether the index has a vector of this id. The first call of this, `get` or `delete` on an index with ids of its own makes a
   * table of them, about 12 bytes an id, in slices of a millisecond.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_ID, SCANNERY_CLOSED
   */
  async has(id: Id): Promise<boolean> {
    return this.#open().contents.has(id);
  }

  /**
   * The stored vector of an id, or undefined.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_ID, SCANNERY_CLOSED; SCANNERY_NOT_SUPPORTED for an index that keeps no vectors
   */
  async get(id: Id): Promise<StoredVector | undefined> {
    return this.#open().contents.get(id);
  }

  /**
   * Every id, in the order in which vectors were added. What is deleted meanwhile is left out from then on.
   *
   * @throws {ScanneryError} SCANNERY_CLOSED
   */
  async *ids(): AsyncGenerator<Id, void, undefined> {
    for await (const id of this.#open().contents.ids()) {
      this.#open();
      yield id;
    }
  }

  /**
   * What the index is made of, what it uses and what it has done.
   *
   * @throws {ScanneryError} SCANNERY_CLOSED
   */
  stats(): IndexStats {
    const { data, serving, threads, kernels } = this.#open();
    return describe(data, serving, threads, kernels.tier);
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
    const { serving, contents } = this.#parts!;
    await contents.settled();
    await serving.stop();
    this.#sizeWhenClosed = contents.size;
    this.#parts = null;
  }

  #open(): Parts {
    if (this.#closing === null && this.#parts !== null) return this.#parts;
    throw new ScanneryError('SCANNERY_CLOSED', 'the index is closed');
  }

  async #searchOne(query: Query, options: SearchOptions | undefined, explain: boolean): Promise<SearchResult> {
    const { request, signal, parts } = this.#prepare(options);
    if (!isVector(query)) throw invalid('query', query, 'an array or typed array of numbers');
    const source = { count: 1, row: () => query };
    const [result] = await runRequest(parts.data, parts.serving, source, { ...request, explain }, signal);
    return result!;
  }

  #prepareWrite(options: WriteOptions | undefined): { contents: Contents; signal: AbortSignal | undefined } {
    const { contents } = this.#open();
    const { signal } = options === undefined ? {} : resolveWriteOptions(options);
    throwIfAborted(signal);
    return { contents, signal };
  }

  #prepare(options: SearchOptions | undefined): ReturnType<typeof readRequest> & { parts: Parts } {
    const parts = this.#open();
    return { parts, ...readRequest(parts.data, options) };
  }
}
