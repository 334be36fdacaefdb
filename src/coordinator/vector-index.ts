import {
  type OpenOptions,
  type RebalanceOptions,
  resolveRebalanceOptions,
  resolveWriteOptions,
  type WriteOptions,
} from '../protocol/live-options.ts';
import type { Metric } from '../protocol/metrics.ts';
import {
  type BuildOptions,
  type RecallOptions,
  resolveBuildOptions,
  resolveRecallOptions,
  resolveTuneOptions,
  type SearchOptions,
  type TuneOptions,
} from '../protocol/options.ts';
import type { OpenIndexWith, SaveIndexWith } from './companion.ts';
import { healthOf } from './health.ts';
import { Live } from './live.ts';
import { measureRecall, tuneIndex } from './measuring.ts';
import { openLive, repairLog } from './open-live.ts';
import { buildParts, openPartsWith } from './parts.ts';
import { searchMany, searchOne } from './requests.ts';
import { describe } from './stats.ts';
import { throwIfAborted } from './threads.ts';
import type {
  DeleteResult,
  Explanation,
  Id,
  IndexHealth,
  IndexStats,
  Query,
  QueryBatch,
  RefreshResult,
  RepairResult,
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
  readonly #live: Live;

  static {
    saveIndexWith = (index, directory, companion) => index.#live.save(directory, companion);
    openIndexWith = async (directory, options, name, kind) => {
      const { index, ...beside } = await openPartsWith(directory, options, { name, kind });
      return { index: new Index(new Live(index)), ...beside };
    };
  }

  private constructor(live: Live) {
    ({ dimensions: this.dimensions, metric: this.metric } = live.open().data);
    this.#live = live;
    live.owner = this;
  }

  /** Vectors in the index that are not deleted. */
  get size(): number {
    return this.#live.size;
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
    const index = new Index(new Live(await buildParts(input, resolved), { rebalanceAt: resolved.rebalanceAt }));
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
   * Opens a saved index, with the writes that were logged since it was saved. Its files are read straight into shared memory and
   * compared with their checksums. With `durability`, writes are kept from now on, and nobody else may write to the directory.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED,
   *   SCANNERY_CHECKSUM, SCANNERY_IO, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED; SCANNERY_LOCKED with `durability`
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Index> {
    return new Index(await openLive(directory, options));
  }

  /**
   * Cuts the log of a directory off at the first damage, which `open` refuses with SCANNERY_CHECKSUM. Writes before it are kept,
   * all from there on are lost.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_LOCKED, SCANNERY_IO; SCANNERY_TRUNCATED and SCANNERY_CHECKSUM where
   *   the log's header is damaged
   */
  static async repair(directory: string): Promise<RepairResult> {
    return repairLog(directory);
  }

  /**
   * The k nearest vectors of one query, best first; fewer if the index holds fewer. The query may be reused once the promise
   * settles.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED,
   *   SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED
   */
  async search(query: Query, options?: SearchOptions): Promise<SearchResult> {
    return searchOne(this.#live, query, options, false);
  }

  /**
   * The k nearest vectors of each of many queries. Throughput grows with the batch; a single query of another caller gets its
   * turn in between.
   *
   * @param queries row-major numbers [m x dimensions], or one array per query
   */
  async searchBatch(queries: QueryBatch, options?: SearchOptions): Promise<SearchResult[]> {
    return searchMany(this.#live, queries, options);
  }

  /**
   * As `search`, with an account of how the answer was found: leaves, codes, candidates, and the time of each stage, per shard.
   *
   * @throws {ScanneryError} as `search`
   */
  async explain(query: Query, options?: SearchOptions): Promise<Explanation> {
    return (await searchOne(this.#live, query, options, true)) as Explanation;
  }

  /**
   * Recall@k of a setting, or of the defaults: the fraction of the k nearest by exact search that `search` finds. A vector as
   * near as the k-th counts, so ties do.
   *
   * @throws {ScanneryError} as `searchBatch`; SCANNERY_NOT_SUPPORTED for an index without stored vectors
   */
  async measureRecall(options?: RecallOptions): Promise<number> {
    const resolved = resolveRecallOptions(options);
    return this.#live.use((parts) => measureRecall(parts, resolved));
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
    const result = await this.#live.use((parts) => tuneIndex(parts, resolved));
    await this.#live.setDefaults(result);
    return result;
  }

  /**
   * Saves the index into a directory, which is made if needed. A reader, or a crash, finds either the index saved before or
   * this one, never a mixture. Writes wait meanwhile.
   *
   * @param directory may be left out where the index was opened with `durability`: then its log starts anew, too
   * @throws {ScanneryError} SCANNERY_IO, SCANNERY_CLOSED, SCANNERY_LOCKED
   */
  async save(directory?: string): Promise<void> {
    return this.#live.save(directory);
  }

  /**
   * Takes in what another process has written to the directory since this index, opened with `readOnly`, last did.
   *
   * @throws {ScanneryError} SCANNERY_NOT_SUPPORTED without `readOnly`; SCANNERY_CLOSED; those of `open`
   */
  async refresh(): Promise<RefreshResult> {
    return this.#live.refresh();
  }

  /**
   * Adds vectors; one whose id the index has takes the place of the other. Every search that begins after the promise resolves sees
   * all of them, one that is under way sees none; none ever sees both vectors of an id. Searches never wait for it. Vectors are
   * assigned to the leaves there are and hashed by the codebooks there are: `rebalance` when they become very different.
   *
   * @param input vectors [n x dimensions] and their ids
   * @param options.signal ends the call with SCANNERY_ABORTED if it has not begun: writes and saves take their turns
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID and SCANNERY_DUPLICATE_ID with the row,
   *   SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED, SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED; then nothing
   *   has changed
   */
  async upsert(input: UpsertInput, options?: WriteOptions): Promise<UpsertResult> {
    const write = { kind: 'upsert' as const, ids: input?.ids, ...resolveWriteOptions(options) };
    return this.#live.change(write, ({ contents }) => contents.checkUpsert(input));
  }

  /**
   * Deletes vectors. Every search that begins after the promise resolves finds none of them; one that is under way answers as if
   * they were there. Searches never wait for it. Their room is not used again before `rebalance`.
   *
   * @param ids array or typed array; ids that the index does not have are counted, not an error
   * @param options.signal ends the call with SCANNERY_ABORTED if it has not begun: writes and saves take their turns
   * @throws {ScanneryError} SCANNERY_INVALID_ID with the row, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED,
   *   SCANNERY_OUT_OF_MEMORY; then nothing is deleted
   */
  async delete(ids: ArrayLike<Id>, options?: WriteOptions): Promise<DeleteResult> {
    const write = { kind: 'delete' as const, ids, ...resolveWriteOptions(options) };
    return this.#live.change(write, ({ contents }) => contents.checkDelete(ids));
  }

  /**
   * Whether the index has a vector of this id. The first call that looks up ids makes a table of them, about 12 bytes an id.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_ID, SCANNERY_CLOSED
   */
  async has(id: Id): Promise<boolean> {
    return this.#live.open().contents.has(id);
  }

  /**
   * The stored vector of an id, or undefined.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_ID, SCANNERY_CLOSED; SCANNERY_NOT_SUPPORTED for an index that keeps no vectors
   */
  async get(id: Id): Promise<StoredVector | undefined> {
    return this.#live.open().contents.get(id);
  }

  /**
   * Every id, in the order in which vectors were added. What is deleted meanwhile is left out from then on. Throws as `has`.
   */
  async *ids(): AsyncGenerator<Id, void, undefined> {
    const { contents } = this.#live.open();
    for await (const id of contents.ids()) {
      const now = this.#live.open().contents;
      // Once the index was rebalanced, deletions are known to the new one only.
      if (now === contents || (await now.has(id))) yield id;
    }
  }

  /**
   * Builds the vectors there are into a new tree and new codebooks, with the options that the index was built with, and puts the
   * result in the place of what there is; it does so by itself at `rebalanceAt`. Deleted vectors and their room are gone then. One
   * thread builds beside those that serve; searches and writes go on, and memory is taken twice. Search defaults are kept, for the
   * same part of the leaves; `tune` chooses them anew.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED, SCANNERY_OUT_OF_MEMORY,
   *   SCANNERY_WORKER_FAILED; then the index is as it was. SCANNERY_NOT_SUPPORTED for an index that keeps no vectors
   */
  async rebalance(options?: RebalanceOptions): Promise<void> {
    return this.#live.rebalance(resolveRebalanceOptions(options));
  }

  /**
   * How far the index has come from what a build would make of its vectors: sizes of leaves, deleted vectors, and whether its tree
   * suits what was added. Takes some milliseconds, in slices.
   *
   * @throws {ScanneryError} SCANNERY_CLOSED
   */
  async health(): Promise<IndexHealth> {
    return this.#live.use(({ data }) => healthOf(data));
  }

  /** What the index is made of, what it uses and what it has done. @throws {ScanneryError} SCANNERY_CLOSED */
  stats(): IndexStats {
    const { data, serving, threads, kernels } = this.#live.open();
    const { log } = this.#live;
    return { ...describe(data, serving, threads, kernels.tier), ...(log && { log }) };
  }

  /** Waits for the calls in flight, then frees threads and memory. Calls made afterwards fail with SCANNERY_CLOSED. */
  async close(): Promise<void> {
    return this.#live.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
