import { invalid } from '../protocol/check.ts';
import { MODE_EXACT, MODE_HASHED } from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { Metric } from '../protocol/metrics.ts';
import {
  type BuildOptions,
  type OpenOptions,
  resolveBuildOptions,
  resolveOpenOptions,
  resolveSearchOptions,
  type SearchOptions,
} from '../protocol/options.ts';
import { chooseTier, type KernelSource, loadKernels } from '../shard/kernels/load.ts';
import { buildIndex, type IndexData, searchMode } from './build.ts';
import { type QuerySource, writeQuery } from './call.ts';
import type { Companion, OpenedWith, OpenIndexWith, SaveIndexWith } from './companion.ts';
import { chunksOf, isVector, querySource } from './inputs.ts';
import { openIndex, openIndexAndCompanion } from './open.ts';
import { saveIndex } from './save.ts';
import { Serving } from './serving.ts';
import type { Request } from './slots.ts';
import { Staging } from './staging.ts';
import { describe } from './stats.ts';
import { defaultThreads, Threads, throwIfAborted } from './threads.ts';
import type { IndexStats, Query, QueryBatch, SearchResult, VectorChunk } from './types.ts';

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
    const kernels = loadKernels(chooseTier());
    const report = resolved.onProgress ?? (() => {});
    const chunks = chunksOf(input);
    const { hashing } = resolved;
    const staging = new Staging(kernels, {
      dimensions: resolved.dimensions,
      dimensionsPerBlock: hashing === false ? 1 : (hashing?.dimensionsPerBlock ?? 2),
      normalise: resolved.metric === 'cosine',
      expected: chunks.expected === undefined ? undefined : chunks.expected(resolved.dimensions),
      signal: resolved.signal,
      onProgress: (done) => report({ phase: 'ingest', done, total: chunks.expected?.(resolved.dimensions) }),
    });
    for await (const chunk of chunks.iterable) await staging.add(chunk);
    const count = resolved.threads ?? defaultThreads();
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
    const [result] = await run(parts, { count: 1, row: () => query }, request, signal);
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
    return source.count === 0 ? [] : run(parts, source, request, signal);
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

/** Fills in what the options leave open, and keeps them within what there is. */
function chooseRequest(data: IndexData, given: Readonly<SearchOptions>): Request {
  const { size, numLeaves, config } = data;
  const { defaults } = config;
  const mode = searchMode(data, given.exact === true);
  if (mode === MODE_EXACT && config.reordering === false) {
    throw new ScanneryError(
      'SCANNERY_NOT_SUPPORTED',
      'exact search needs stored vectors; this index was built with reordering: false',
      {
        option: 'exact',
        value: true,
      },
    );
  }
  const k = Math.min(given.k ?? defaults.k, Math.max(1, size));
  const candidates = Math.min(size, given.numReorderingCandidates ?? Math.max(defaults.numReorderingCandidates, k));
  return {
    mode,
    k,
    limit: mode === MODE_HASHED ? Math.max(k, candidates) : k,
    numLeavesToSearch:
      mode === MODE_EXACT ? 0 : Math.min(numLeaves, given.numLeavesToSearch ?? defaults.numLeavesToSearch),
  };
}

function run(
  { data, serving }: Parts,
  source: QuerySource,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<SearchResult[]> {
  if (data.size > 0) return serving.run(source, request, signal);
  // Nothing to search, but a bad query is still an error.
  const { dimensions, stride, metric } = data;
  const scratch = new Float32Array(stride);
  const shape = { dimensions, stride, normalise: metric === 'cosine' };
  for (let i = 0; i < source.count; i++)
    writeQuery(source.row(i), source.count === 1 ? undefined : i, shape, scratch, 0);
  return Promise.resolve(Array.from({ length: source.count }, () => ({ ids: [], scores: new Float32Array(0) })));
}

const NO_OPTIONS: SearchOptions = Object.freeze({});
