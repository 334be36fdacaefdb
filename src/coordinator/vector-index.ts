import { availableParallelism } from 'node:os';
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
import { type QuerySource, type SearchResult, writeQuery } from './call.ts';
import { openIndex } from './open.ts';
import { saveIndex } from './save.ts';
import { Serving } from './serving.ts';
import type { Request } from './slots.ts';
import { Staging, type VectorChunk } from './staging.ts';
import { describe, type IndexStats } from './stats.ts';
import { Threads, throwIfAborted } from './threads.ts';

export type Query = ArrayLike<number>;
export type QueryBatch = Float32Array | Float64Array | readonly Query[];

/** A vector index: shards in worker threads, searched together. Made by `Index.build` or `Index.open`. */
export class Index {
  readonly #data: IndexData;
  readonly #serving: Serving;
  readonly #threads: Threads;
  readonly #kernels: KernelSource;
  #closing: Promise<void> | null = null;
  #saving: Promise<void> = Promise.resolve();

  private constructor(data: IndexData, serving: Serving, threads: Threads, kernels: KernelSource) {
    this.#data = data;
    this.#serving = serving;
    this.#threads = threads;
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
    if (staging.size > 0xfffffffe) {
      throw new ScanneryError('SCANNERY_NOT_SUPPORTED', `an index holds at most ${0xfffffffe} vectors`, {
        value: staging.size,
      });
    }
    void staging.dimensions;
    const threads = new Threads(resolved.threads ?? availableParallelism());
    return Index.#start(threads, kernels, resolved.maxInFlight!, () =>
      buildIndex(staging, { threads, kernels, options: resolved, report }),
    );
  }

  /**
   * Opens a saved index. Its files are read straight into shared memory and compared with their checksums.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED,
   *   SCANNERY_CHECKSUM, SCANNERY_IO, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Index> {
    const resolved = resolveOpenOptions(options);
    throwIfAborted(resolved.signal);
    const kernels = loadKernels(chooseTier());
    // The threads start while the files are read.
    const threads = new Threads(resolved.threads ?? availableParallelism());
    return Index.#start(threads, kernels, resolved.maxInFlight!, () => openIndex(directory, kernels, resolved));
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
      return new Index(data, serving, threads, kernels);
    } catch (error) {
      await threads.destroy();
      throw error;
    }
  }

  /** Vectors in the index. */
  get size(): number {
    return this.#data.size;
  }

  /** Numbers per vector. */
  get dimensions(): number {
    return this.#data.dimensions;
  }

  get metric(): Metric {
    return this.#data.metric;
  }

  /**
   * The k nearest vectors of one query, best first; fewer if the index holds fewer. The query may be reused once the promise
   * settles.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED, SCANNERY_CLOSED,
   *   SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED
   */
  async search(query: Query, options?: SearchOptions): Promise<SearchResult> {
    const { request, signal } = this.#prepare(options);
    if (!isVector(query)) throw invalid('query', query, 'an array or typed array of numbers');
    const [result] = await this.#run({ count: 1, row: () => query }, request, signal);
    return result!;
  }

  /**
   * The k nearest vectors of each of many queries. Throughput grows with the batch; a single query of another caller gets its
   * turn in between.
   *
   * @param queries row-major numbers [m x dimensions], or one array per query
   */
  async searchBatch(queries: QueryBatch, options?: SearchOptions): Promise<SearchResult[]> {
    const { request, signal } = this.#prepare(options);
    const source = querySource(queries, this.dimensions);
    return source.count === 0 ? [] : this.#run(source, request, signal);
  }

  /**
   * Saves the index into a directory, which is made if needed. A reader, or a crash, finds either the index saved before or
   * this one, never a mixture.
   *
   * @throws {ScanneryError} SCANNERY_IO, SCANNERY_CLOSED
   */
  async save(directory: string): Promise<void> {
    this.#checkOpen();
    const turn = this.#saving.then(() => saveIndex(directory, this.#data, this.#kernels));
    this.#saving = turn.catch(() => {});
    return turn;
  }

  /** What the index is made of, what it uses and what it has done. */
  stats(): IndexStats {
    return describe(this.#data, this.#serving, this.#threads, this.#kernels.tier);
  }

  /** Waits for the calls in flight, then frees threads and memory. Calls made afterwards fail with SCANNERY_CLOSED. */
  async close(): Promise<void> {
    this.#closing ??= this.#saving.then(() => this.#serving.stop());
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new ScanneryError('SCANNERY_CLOSED', 'the index is closed');
  }

  #prepare(options: SearchOptions | undefined): { request: Request; signal: AbortSignal | undefined } {
    this.#checkOpen();
    const given = options === undefined ? NO_OPTIONS : resolveSearchOptions(options);
    throwIfAborted(given.signal);
    return { request: this.#request(given), signal: given.signal };
  }

  #request(given: Readonly<SearchOptions>): Request {
    const { size, numLeaves, config } = this.#data;
    const { defaults } = config;
    const mode = searchMode(this.#data, given.exact === true);
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

  #run(source: QuerySource, request: Request, signal: AbortSignal | undefined): Promise<SearchResult[]> {
    if (this.#data.size > 0) return this.#serving.run(source, request, signal);
    // Nothing to search, but a bad query is still an error.
    const { dimensions, stride, metric } = this.#data;
    const scratch = new Float32Array(stride);
    const shape = { dimensions, stride, normalise: metric === 'cosine' };
    for (let i = 0; i < source.count; i++)
      writeQuery(source.row(i), source.count === 1 ? undefined : i, shape, scratch, 0);
    return Promise.resolve(Array.from({ length: source.count }, () => ({ ids: [], scores: new Float32Array(0) })));
  }
}

const NO_OPTIONS: SearchOptions = Object.freeze({});

function isVector(value: unknown): value is Query {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function querySource(queries: QueryBatch, dimensions: number): QuerySource {
  if (queries instanceof Float32Array || queries instanceof Float64Array) {
    const count = queries.length / dimensions;
    if (!Number.isInteger(count)) {
      const message = `queries have ${queries.length} numbers, which is no multiple of ${dimensions} dimensions`;
      throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { row: Math.floor(count), value: queries.length });
    }
    return { count, row: (i) => queries.subarray(i * dimensions, (i + 1) * dimensions) };
  }
  if (!Array.isArray(queries))
    throw invalid('queries', queries, 'a Float32Array, a Float64Array or an array of arrays');
  const rows = queries as readonly Query[];
  return {
    count: rows.length,
    row: (i) => {
      if (isVector(rows[i])) return rows[i]!;
      throw invalid(`queries[${i}]`, rows[i], 'an array or typed array of numbers');
    },
  };
}

interface Chunks {
  readonly iterable: AsyncIterable<unknown> | Iterable<unknown>;
  /** Vectors that will come, when that is known beforehand. */
  readonly expected?: (dimensions: number | undefined) => number | undefined;
}

function chunksOf(input: unknown): Chunks {
  if (typeof input === 'object' && input !== null) {
    if (Symbol.asyncIterator in input) return { iterable: input as AsyncIterable<unknown> };
    if (Symbol.iterator in input) return { iterable: input as Iterable<unknown> };
    if ('vectors' in input) {
      const { vectors } = input as { vectors: { length?: number } };
      const flat = ArrayBuffer.isView(vectors);
      return {
        iterable: [input],
        expected: (dimensions) =>
          flat ? (dimensions === undefined ? undefined : Math.ceil(vectors.length! / dimensions)) : vectors?.length,
      };
    }
  }
  throw invalid('input', input, 'an object with vectors, or an iterable of such objects');
}
