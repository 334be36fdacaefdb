import { rowSource } from '../../coordinator/inputs.ts';
import { defaultThreads, Threads, throwIfAborted } from '../../coordinator/threads.ts';
import type { Id } from '../../coordinator/types.ts';
import { invalid, resolveOptions } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { chooseTier, loadKernels } from '../../shard/kernels/load.ts';
import { isIterable, opened } from '../data/dataset-steps.ts';
import { BatchReader, type CandidateDataset } from './candidate-batches.ts';
import type { Exclusions } from './exclusions.ts';
import { countQueries, type Embedded, nothingFound, type Retrieved } from './retrieved.ts';
import { StreamMemory } from './stream-memory.ts';
import { type PassAnswer, StreamPass } from './stream-pass.ts';
import { type CallOptions, TOP_K, TopK, type TopKOptions } from './top-k.ts';

/** Memory of at most this size stays with an idle layer. */
const KEEP_BYTES = 1 << 26;

type CallRequest = Readonly<CallOptions> & { readonly k: number };

/**
 * Exact retrieval from a dataset that is read anew by every call, batch by batch, and never held as a whole. Scores, ties and
 * positions are those of `BruteForce` (TensorFlow Recommenders, layers/factorized_top_k.py, Streaming).
 *
 * Calls on one layer take turns. Their signals are looked at between batches.
 */
export class Streaming extends TopK {
  readonly #options: Readonly<TopKOptions>;
  #dataset: CandidateDataset | null = null;
  #size = 0;
  #dimensions: number;
  #threads: Threads | null = null;
  #memory: StreamMemory | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  /** For tests: bytes of queries and their best candidates in one pass. */
  protected readonly passBytes: number | undefined = undefined;

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
  constructor(options: TopKOptions = {}) {
    const resolved = resolveOptions(TOP_K, options);
    super(resolved);
    this.#options = resolved;
    this.#dimensions = resolved.dimensions ?? 0;
  }

  /** Candidates that the last call saw; 0 before it. */
  get size(): number {
    return this.#size;
  }

  /** Numbers per candidate: as given, or as the last call saw; 0 before it. */
  get dimensions(): number {
    return this.#dimensions;
  }

  /** True: scores are those of the embeddings as given. */
  isExact(): boolean {
    return true;
  }

  /** Rejects: this layer takes datasets only. @throws {ScanneryError} SCANNERY_NOT_SUPPORTED */
  async index(): Promise<never> {
    this.assertNotClosed();
    throw new ScanneryError('SCANNERY_NOT_SUPPORTED', 'Streaming only accepts datasets; call indexFromDataset instead');
  }

  /**
   * Keeps the dataset, for calls to iterate. Nothing of it is read yet, so errors in it are those of the calls. What can be
   * iterated only once, such as a generator object, serves one call; the next fails with SCANNERY_INVALID_OPTION.
   */
  async indexFromDataset(dataset: CandidateDataset): Promise<this> {
    return this.useDataset(dataset);
  }

  /** @internal As `indexFromDataset`, at once. */
  useDataset(dataset: CandidateDataset): this {
    this.assertNotClosed();
    if (!isIterable(dataset)) throw invalid('dataset', dataset, 'an iterable or async iterable of batches');
    this.#dataset = dataset;
    this.#size = 0;
    this.#dimensions = this.#options.dimensions ?? 0;
    return this;
  }

  protected retrieve(queries: Embedded, options: CallRequest, excluded?: Exclusions): Promise<Retrieved> {
    const dataset = this.#dataset!;
    const turn = this.#turn.then(() => this.#search(dataset, queries, options, excluded));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  protected assertIndexed(): void {
    if (this.#dataset !== null) return;
    throw new ScanneryError('SCANNERY_NOT_INDEXED', 'call indexFromDataset first, to give the layer candidates');
  }

  protected async release(): Promise<void> {
    await this.#turn;
    this.#memory = null;
    await this.#threads?.destroy();
  }

  async #search(
    dataset: CandidateDataset,
    queries: Embedded,
    options: CallRequest,
    excluded: Exclusions | undefined,
  ): Promise<Retrieved> {
    const scores: Float32Array[] = [];
    const rows: number[][] = [];
    const identifiers: PassAnswer['identifiers'][] = [];
    let total: number;
    try {
      do {
        const pass = await this.#pass(dataset, queries, scores.length, options, excluded);
        if (pass === null) {
          const nothing = nothingFound(queries, this.#options.dimensions ?? 0);
          excluded?.checkCount(nothing.scores.length);
          return nothing;
        }
        total = pass.total;
        for (const one of pass.scores) scores.push(one);
        for (const one of pass.rows) {
          rows.push(one);
          identifiers.push(pass.identifiers);
        }
      } while (scores.length < total);
    } catch (error) {
      // A thread may have ended in the midst of it: the next call starts others.
      if (error instanceof ScanneryError && error.code === 'SCANNERY_WORKER_FAILED') await this.#restart();
      throw error;
    } finally {
      if (this.#memory !== null && this.#memory.bytes > KEEP_BYTES) this.#memory = null;
    }
    return { scores, rows, identifierOf: (row, query): Id => identifiers[query]?.get(row) ?? row };
  }

  /** Reads all candidates once, for the queries from `first` on, or as many of them as there is room for. */
  async #pass(
    dataset: CandidateDataset,
    queries: Embedded,
    first: number,
    { k, signal }: CallRequest,
    excluded: Exclusions | undefined,
  ): Promise<(PassAnswer & { readonly total: number }) | null> {
    throwIfAborted(signal);
    const reader = new BatchReader(this.#options.dimensions);
    let total = 0;
    let pass: StreamPass | null = null;
    for await (const batch of reader.readAll(opened(dataset))) {
      throwIfAborted(signal);
      if (pass === null) {
        const { dimensions } = batch;
        countQueries(queries, dimensions);
        this.#memory ??= new StreamMemory(loadKernels(chooseTier()));
        this.#threads ??= new Threads(this.#options.threads ?? defaultThreads());
        const [memory, threads] = [this.#memory, this.#threads];
        const source = rowSource(queries.embeddings, dimensions, 'queries');
        total = source.count;
        excluded?.checkCount(total);
        const asked = { dimensions, k, memory, threads, signal, excluded, bytes: this.passBytes };
        pass = new StreamPass(source, first, asked);
      }
      await pass.add(batch);
    }
    throwIfAborted(signal);
    // A dataset that was put in its place in the meantime has a size of its own.
    if (dataset === this.#dataset) {
      this.#size = reader.rows;
      this.#dimensions = reader.dimensions ?? 0;
    }
    return pass === null ? null : { ...(await pass.finish()), total };
  }

  async #restart(): Promise<void> {
    this.#memory = null;
    const threads = this.#threads;
    this.#threads = null;
    await threads?.destroy();
  }
}
