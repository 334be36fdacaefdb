import { rowSource } from '../../coordinator/inputs.ts';
import type { Id, SearchResult, VectorChunk, VectorsInput } from '../../coordinator/types.ts';
import { Index } from '../../coordinator/vector-index.ts';
import { invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import type { Metric } from '../../protocol/metrics.ts';
import type { BuildOptions, SearchOptions } from '../../protocol/options.ts';
import { isIterable, opened } from '../data/dataset-steps.ts';
import { saveLayer } from './artefact.ts';
import { BatchReader, type CandidateDataset, type CheckedBatch } from './candidate-batches.ts';
import type { Exclusions } from './exclusions.ts';
import { IdentifierRows } from './identifier-rows.ts';
import { type Identifiers, IdentifiersBuilder, type IdentifiersInput } from './identifiers.ts';
import { countQueries, type Embedded, nothingFound, type Retrieved } from './retrieved.ts';
import { type CallOptions, TopK, type TopKOptions } from './top-k.ts';

/** What a layer serves from. */
export interface IndexedCandidates {
  /** Its ids are row numbers. */
  readonly index: Index;
  /** Null when candidates are identified by their rows. */
  readonly identifiers: Identifiers | null;
}

/** A layer that serves from an `Index`, which it builds from its candidates. */
export abstract class IndexedTopK<
  P extends TopKOptions = TopKOptions,
  O extends CallOptions = CallOptions,
> extends TopK<O> {
  /** @internal The options with their defaults in place, as a saver needs them; `queryModel` is among them. */
  readonly options: Readonly<P>;
  #served: IndexedCandidates | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #rows: { readonly of: Identifiers; readonly made: Promise<IdentifierRows> } | null = null;

  protected constructor(options: Readonly<P>) {
    super(options);
    this.options = options;
  }

  /** The name that it is saved under. */
  protected abstract readonly layer: string;
  protected abstract readonly metric: Metric;
  protected abstract buildOptions(): BuildOptions;
  protected abstract searchOptions(options: Readonly<O> & { readonly k: number }): SearchOptions;

  /** Candidates of the index; 0 before there is one. */
  get size(): number {
    return this.#served?.index.size ?? 0;
  }

  /** Numbers per candidate; 0 before `index`, and for an index of no candidates whose dimensions nobody gave. */
  get dimensions(): number {
    if (this.#served === null) return this.options.dimensions ?? 0;
    return this.size === 0 ? (this.options.dimensions ?? 0) : this.#served.index.dimensions;
  }

  async index(candidates: VectorsInput, identifiers?: IdentifiersInput): Promise<this> {
    const reader = new BatchReader(this.options.dimensions);
    const read = (): CheckedBatch | undefined => reader.read(candidates, identifiers);
    return this.#replace(() =>
      this.#build(
        (async function* () {
          const batch = read();
          if (batch !== undefined) yield batch;
        })(),
      ),
    );
  }

  async indexFromDataset(dataset: CandidateDataset): Promise<this> {
    if (!isIterable(dataset)) throw invalid('dataset', dataset, 'an iterable or async iterable of batches');
    const reader = new BatchReader(this.options.dimensions);
    return this.#replace(() => this.#build(reader.readAll(opened(dataset))));
  }

  /** @internal What a saver saves. @throws {ScanneryError} SCANNERY_NOT_INDEXED, SCANNERY_CLOSED */
  get served(): IndexedCandidates {
    this.assertNotClosed();
    this.assertIndexed();
    return this.#served!;
  }

  /**
   * Saves index, identifiers and query model as one artefact, for `load`: atomic and checksummed, as `Index.save`. Of the query
   * models only a `Tower` can be saved; any other has to be given to `load` again.
   *
   * @throws {ScanneryError} SCANNERY_NOT_INDEXED, SCANNERY_IO, SCANNERY_CLOSED
   */
  async save(directory: string): Promise<void> {
    return saveLayer(directory, this.layer, this.options, this.served);
  }

  /**
   * @internal Serves from an index that exists already, which then belongs to the layer.
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION, SCANNERY_INVALID_ID when they are not those of a layer such as this
   */
  async restore(index: Index, identifiers: Identifiers | null): Promise<this> {
    if (index.metric !== this.metric) throw invalid('index', index.metric, `an index by ${this.metric}`);
    if (identifiers !== null && identifiers.size !== index.size) {
      const message = `there are ${identifiers.size} identifiers for ${index.size} candidates; there must be one for each`;
      throw new ScanneryError('SCANNERY_INVALID_ID', message, { value: identifiers.size });
    }
    return this.#replace(async () => ({ index, identifiers }));
  }

  protected async retrieve(
    queries: Embedded,
    options: Readonly<O> & { readonly k: number },
    excluded?: Exclusions,
  ): Promise<Retrieved> {
    const { index, identifiers } = this.#served!;
    const { dimensions } = this;
    if (dimensions === 0) {
      const nothing = nothingFound(queries, dimensions);
      excluded?.checkCount(nothing.scores.length);
      return nothing;
    }
    const count = countQueries(queries, dimensions);
    excluded?.checkCount(count);
    const searchOptions = this.searchOptions(options);
    const results =
      excluded === undefined
        ? await index.searchBatch(queries.embeddings, searchOptions)
        : await this.#searchWithout(queries, excluded, searchOptions);
    return {
      scores: results.map((result) => result.scores),
      rows: results.map((result) => result.ids as number[]),
      identifierOf: identifiers === null ? (row): Id => row : (row): Id => identifiers.at(row),
    };
  }

  /** The index passes over what is excluded, which differs from query to query. */
  async #searchWithout(
    { embeddings }: Embedded,
    excluded: Exclusions,
    options: SearchOptions,
  ): Promise<SearchResult[]> {
    const { index, identifiers } = this.#served!;
    const rowsOf = identifiers === null ? rowItself : await this.#rowsOf(identifiers);
    const { count, row } = rowSource(embeddings, this.dimensions, 'queries');
    return Promise.all(
      Array.from({ length: count }, async (_, query) => {
        const excludeIds = Array.from(excluded.of(query), rowsOf).flatMap((rows) => Array.from(rows));
        try {
          return await index.search(row(query), { ...options, excludeIds });
        } catch (error) {
          throw ofQuery(error, query);
        }
      }),
    );
  }

  /** Made when it is first needed, for the candidates that are served then. */
  async #rowsOf(identifiers: Identifiers): Promise<(identifier: Id) => ArrayLike<number>> {
    if (this.#rows?.of !== identifiers) this.#rows = { of: identifiers, made: IdentifierRows.make(identifiers) };
    const rows = await this.#rows.made;
    return (identifier) => rows.of(identifier);
  }

  protected assertIndexed(): void {
    if (this.#served !== null) return;
    throw new ScanneryError(
      'SCANNERY_NOT_INDEXED',
      'call index or indexFromDataset first, to give the layer candidates',
    );
  }

  protected async release(): Promise<void> {
    await this.#turn;
    await this.#served?.index.close();
  }

  /** Makes candidates ready, and only then lets go of those from before. Calls take turns. */
  async #replace(make: () => Promise<IndexedCandidates>): Promise<this> {
    this.assertNotClosed();
    const turn = this.#turn.then(async () => {
      const made = await make();
      if (this.closed) {
        await made.index.close();
        this.assertNotClosed();
      }
      const before = this.#served;
      this.#served = made;
      await before?.index.close();
    });
    this.#turn = turn.catch(() => {});
    await turn;
    return this;
  }

  async #build(batches: AsyncGenerator<CheckedBatch>): Promise<IndexedCandidates> {
    try {
      const first = await batches.next();
      const identifiers = first.done || first.value.identifiers === undefined ? null : new IdentifiersBuilder();
      // An index must have dimensions, though without vectors they are of no consequence.
      const dimensions = first.done ? (this.options.dimensions ?? 1) : first.value.dimensions;
      const chunks = first.done ? [] : chunksOf(first.value, batches, identifiers);
      const { threads } = this.options;
      const index = await Index.build(chunks, { ...this.buildOptions(), metric: this.metric, dimensions, threads });
      return { index, identifiers: identifiers?.finish() ?? null };
    } finally {
      await batches.return(undefined);
    }
  }
}

/** Where candidates are identified by their rows. */
const rowItself = (identifier: Id): ArrayLike<number> => (typeof identifier === 'number' ? [identifier] : []);

/** An error of one of several queries. */
function ofQuery(error: unknown, query: number): unknown {
  if (!(error instanceof ScanneryError) || error.code !== 'SCANNERY_INVALID_VECTOR') return error;
  const message = error.message.replace('the query', `query ${query}`);
  return new ScanneryError(error.code, message, { row: query, value: error.value });
}

/** Batches as the index takes them; their identifiers are collected on the way. */
async function* chunksOf(
  first: CheckedBatch,
  others: AsyncIterable<CheckedBatch>,
  identifiers: IdentifiersBuilder | null,
): AsyncGenerator<VectorChunk> {
  await identifiers?.addAll(first.identifiers!);
  yield { vectors: first.vectors };
  for await (const batch of others) {
    await identifiers?.addAll(batch.identifiers!);
    yield { vectors: batch.vectors };
  }
}
