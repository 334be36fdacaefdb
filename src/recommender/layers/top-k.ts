import { throwIfAborted } from '../../coordinator/threads.ts';
import type { Id, QueryBatch, VectorsInput } from '../../coordinator/types.ts';
import { abortSignal, integer, invalid, type OptionTable, optional, resolveOptions } from '../../protocol/check.ts';
import { MAX_THREADS } from '../../protocol/control-layout.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { MAX_DIMENSIONS } from '../../protocol/metrics.ts';
import { batchLength, type Features, type QueryModel, queryModel } from '../model/features.ts';
import type { CandidateDataset } from './candidate-batches.ts';
import { Exclusions } from './exclusions.ts';
import type { IdentifiersInput } from './identifiers.ts';
import { type Embedded, embedded, type Retrieved, type TopKResult } from './retrieved.ts';

export type { TopKResult } from './retrieved.ts';

export interface TopKOptions {
  /** Turns the raw features given to `call` into embeddings. Default: none, `call` takes embeddings. */
  queryModel?: QueryModel | undefined;
  /** Candidates per query, at least 1, when a call does not say. Default 10. */
  k?: number | undefined;
  /** Numbers per candidate, 1 to 4,096. Default: what the candidates show; needed for flat arrays without identifiers. */
  dimensions?: number | undefined;
  /** Worker threads, 1 to 64. Default: os.availableParallelism(). */
  threads?: number | undefined;
}

export interface CallOptions {
  /** Candidates per query, at least 1. Default: the layer's `k`. */
  k?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** What a layer is asked: raw features if it has a query model, otherwise embeddings [m x dimensions]. */
export type Queries = Features | QueryBatch;

/** Per query, best first: the scores, and the row numbers of the candidates. */
export type PositionsResult = [scores: Float32Array[], positions: number[][]];

export const K = integer(1, 2 ** 31 - 1);

export const TOP_K: OptionTable<TopKOptions> = {
  queryModel: { default: undefined, check: queryModel },
  k: { default: 10, check: K },
  dimensions: { default: undefined, check: optional(integer(1, MAX_DIMENSIONS)) },
  threads: { default: undefined, check: optional(integer(1, MAX_THREADS)) },
};

export const CALL: OptionTable<CallOptions> = {
  k: { default: undefined, check: K },
  signal: { default: undefined, check: abortSignal },
};

/**
 * A layer that retrieves the k best candidates for each query: `BruteForce`, `ScaNN` and `Streaming` (TensorFlow
 * Recommenders, layers/factorized_top_k.py). Give it candidates by `index` or `indexFromDataset`, then call it.
 */
export abstract class TopK<O extends CallOptions = CallOptions> {
  /** Candidates per query when a call does not say. */
  readonly k: number;
  readonly queryModel: QueryModel | undefined;
  #closing: Promise<void> | undefined;

  protected constructor(options: Pick<TopKOptions, 'k' | 'queryModel'>) {
    this.k = options.k!;
    this.queryModel = options.queryModel;
  }

  /** Candidates of the index; 0 before there is one. */
  abstract get size(): number;

  /** Numbers per candidate; 0 while that is not known. */
  abstract get dimensions(): number;

  /**
   * Takes candidates [n x dimensions] in, in place of those from before; if that fails, those from before stay in service.
   *
   * @param candidates row-major numbers, or one array per candidate
   * @param identifiers one per candidate, repeated or not. Default: row numbers
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION, SCANNERY_INVALID_VECTOR and SCANNERY_INVALID_ID (with the row),
   *   SCANNERY_CLOSED, SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED; SCANNERY_NOT_SUPPORTED from `Streaming`
   */
  abstract index(candidates: VectorsInput, identifiers?: IdentifiersInput): Promise<this>;

  /**
   * The same for candidates that come in batches: embeddings, or pairs of identifiers and embeddings.
   *
   * @throws {ScanneryError} as `index`; errors of the dataset's own come back as they are
   */
  abstract indexFromDataset(dataset: CandidateDataset): Promise<this>;

  /** Whether scores are those of all candidates' true embeddings, as the metrics of score-based evaluation need. */
  abstract isExact(): boolean;

  /** The best candidates of each query, of those that it does not exclude. */
  protected abstract retrieve(
    queries: Embedded,
    options: Readonly<O> & { readonly k: number },
    excluded?: Exclusions,
  ): Promise<Retrieved>;
  protected abstract release(): Promise<void>;
  /** Throws unless there are candidates. */
  protected abstract assertIndexed(): void;

  /** The table of the options of a call. */
  protected get callTable(): OptionTable<O> {
    return CALL as OptionTable<O>;
  }

  /**
   * The k best candidates of each query; fewer if there are fewer candidates.
   *
   * @param queries raw features if the layer has a query model, otherwise embeddings
   * @param k how many, or options. Default: the layer's `k`
   * @returns one entry per query, best first; ties go to the lower row
   * @throws {ScanneryError} SCANNERY_NOT_INDEXED, SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED,
   *   SCANNERY_CLOSED, SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED. Errors of the query model come back as they are
   */
  async call(queries: Queries, k?: number | O): Promise<TopKResult> {
    const options = this.#prepare(k);
    return identified(await this.retrieve(await this.#embed(queries, options), options));
  }

  /** As `call`, with row numbers in place of identifiers, which may repeat. Rows are counted from 0 over all batches. */
  async callPositions(queries: Queries, k?: number | O): Promise<PositionsResult> {
    const options = this.#prepare(k);
    const { scores, rows } = await this.retrieve(await this.#embed(queries, options), options);
    return [scores, rows];
  }

  /** As `call`, but the query model is passed by: what is given are embeddings [m x dimensions]. */
  async searchEmbeddings(embeddings: QueryBatch, k?: number | O): Promise<TopKResult> {
    const options = this.#prepare(k);
    return identified(await this.retrieve(embedded(embeddings), options));
  }

  /**
   * As `call`, without certain candidates: each query has a list of identifiers that it wants none of, which are passed over by
   * the scan. As long as enough other candidates exist, k of them come back.
   *
   * @param exclusions one list of identifiers per query
   * @throws {ScanneryError} as `call`; SCANNERY_INVALID_ID for what cannot be an identifier, with the query in `row`
   */
  async queryWithExclusions(
    queries: Queries,
    exclusions: readonly (readonly Id[])[],
    k?: number | O,
  ): Promise<TopKResult> {
    const options = this.#prepare(k);
    const excluded = new Exclusions(exclusions);
    return identified(await this.retrieve(await this.#embed(queries, options), options, excluded));
  }

  /** Waits for the calls in flight, then frees threads and memory. Calls made afterwards fail with SCANNERY_CLOSED. */
  async close(): Promise<void> {
    this.#closing ??= this.release();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  protected get closed(): boolean {
    return this.#closing !== undefined;
  }

  #assertOpen(): void {
    this.assertNotClosed();
    this.assertIndexed();
  }

  protected assertNotClosed(): void {
    if (this.closed) throw new ScanneryError('SCANNERY_CLOSED', 'the layer is closed');
  }

  #prepare(given: number | O | undefined): Readonly<O> & { readonly k: number } {
    this.#assertOpen();
    const k = typeof given === 'object' || given === undefined ? undefined : K(given, 'k');
    const options = resolveOptions(this.callTable, k === undefined ? given : { k });
    throwIfAborted(options.signal);
    return { ...options, k: options.k ?? this.k };
  }

  async #embed(queries: Queries, { signal }: Readonly<O>): Promise<Embedded> {
    const model = this.queryModel;
    if (model === undefined) return embedded(queries);
    const examples = batchLength(queries as Features, 'queries');
    if (examples === 0) return { embeddings: new Float32Array(0), examples };
    const embeddings: unknown = await model.embed(queries as Features);
    throwIfAborted(signal);
    // The layer may have been closed in the meantime.
    this.#assertOpen();
    if (embeddings instanceof Float32Array) return { embeddings, examples };
    throw invalid('queryModel', embeddings, 'a model whose embed gives a Float32Array');
  }
}

function identified({ scores, rows, identifierOf }: Retrieved): TopKResult {
  return [scores, rows.map((found, query) => found.map((row) => identifierOf(row, query)))];
}
