import { setImmediate as nextTurn } from 'node:timers/promises';
import { invalid } from '../protocol/check.ts';
import type { SearchOptions } from '../protocol/options.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import type { Change, CheckedRows } from './changes.ts';
import { eachSlice } from './each-slice.ts';
import type { RowLists } from './filter-steps.ts';
import { Filters } from './filters.ts';
import { checkId } from './id-column.ts';
import { IdLookup } from './id-lookup.ts';
import { isVector } from './inputs.ts';
import type { Place, Snapshot } from './rows.ts';
import type { Serving } from './serving.ts';
import { needsVectors, type VectorReader, vectorReader } from './stored-vectors.ts';
import type { DeleteResult, Id, StoredVector, UpsertResult } from './types.ts';
import { checkRows, Upserter } from './upsert.ts';

/** Rows that an iteration passes between two turns of the event loop. */
const PASSED = 2048;

/** Writes may come between the slices in which long lists of ids are looked up; then, at last, it is done in one. */
const LIST_TRIES = 3;

/** What `Contents` works on. */
export interface ContentsParts {
  readonly data: IndexData;
  readonly serving: Serving;
  readonly kernels: KernelSource;
}

/** The vectors of an index by their ids. Only one write may be under way at a time. */
export class Contents {
  readonly #data: IndexData;
  readonly #serving: Serving;
  readonly #kernels: KernelSource;
  #lookup: Promise<IdLookup> | undefined;
  #readers: readonly VectorReader[] | undefined;
  #upserter: Upserter | undefined;
  #filters: Filters | undefined;

  constructor({ data, serving, kernels }: ContentsParts) {
    this.#data = data;
    this.#serving = serving;
    this.#kernels = kernels;
  }

  /** The filters of searches. */
  get filters(): Filters {
    this.#filters ??= new Filters(this.#data);
    return this.#filters;
  }

  /** Vectors that are not deleted. */
  get size(): number {
    return this.#data.rows.live;
  }

  async has(id: Id): Promise<boolean> {
    return (await this.#find(id)) !== undefined;
  }

  async get(id: Id): Promise<StoredVector | undefined> {
    const { config, dimensions, shards } = this.#data;
    if (config.reordering === false) throw needsVectors('get');
    const place = await this.#find(id);
    if (place === undefined) return undefined;
    this.#readers ??= shards.map((memory) => vectorReader(memory, dimensions));
    const vector = new Float32Array(dimensions);
    this.#readers[place.memory]!(place.local, vector);
    const attributes = this.#data.attributes.read(place);
    return { id, vector, ...(attributes && { attributes }) };
  }

  /** All ids in the order in which they came, without those that are deleted by the time it is their turn. */
  async *ids(): AsyncGenerator<Id, void, undefined> {
    const { ids, rows } = this.#data;
    for (let row = 0; row < rows.count; row++) {
      if (row % PASSED === PASSED - 1) await nextTurn();
      if (rows.deletedCount > 0 && rows.locate(row) === undefined) continue;
      yield ids.at(row);
    }
  }

  /** Checks what is to be upserted. */
  async checkUpsert(input: unknown): Promise<Change> {
    return { kind: 'upsert', ...(await checkRows(input, this.#data)) };
  }

  /** Checks what is to be deleted. */
  async checkDelete(ids: unknown): Promise<Change> {
    if (!isVector(ids)) throw invalid('ids', ids, 'an array or typed array of ids');
    const checked: Id[] = [];
    await eachSlice(ids.length, (i) => {
      const id: unknown = ids[i];
      checkId(id, i, 'id');
      checked.push(id);
    });
    return { kind: 'delete', ids: checked };
  }

  /** Adds vectors, each in place of the one with its id if there is one; all of it becomes visible at once. */
  async upsert(rows: CheckedRows): Promise<UpsertResult> {
    if (rows.ids.length === 0) return { inserted: 0, updated: 0 };
    const lookup = await this.#lookUp();
    this.#upserter ??= new Upserter(this.#data, this.#serving, this.#kernels);
    return this.#upserter.upsert(rows, lookup);
  }

  /** Deletes what has these ids; all of it disappears at once. */
  async delete(ids: readonly Id[]): Promise<DeleteResult> {
    const { rows } = this.#data;
    const lookup = await this.#lookUp();
    const places = new Map<number, Place>();
    await eachSlice(ids.length, (i) => {
      const place = lookup.find(ids[i]!);
      if (place !== undefined) places.set(place.row, place);
    });
    const found = [...places.values()];
    await rows.reserve(found);
    await rows.commit(found);
    return { deleted: places.size, unknown: ids.length - places.size };
  }

  /**
   * The rows of the ids that options allow and exclude, as searches of the snapshot see them, which comes with them.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_ID with the place in the list
   */
  async rowLists({ allowIds, excludeIds }: Readonly<SearchOptions>): Promise<RowLists & { snapshot: Snapshot }> {
    const { rows } = this.#data;
    if (allowIds === undefined && excludeIds === undefined) return { snapshot: rows.snapshot };
    const lookup = await this.#lookUp();
    for (let tries = 1; ; tries++) {
      const { snapshot } = rows;
      const allowed = new ListedRows(allowIds, 'allowed id', lookup);
      const excluded = new ListedRows(excludeIds, 'excluded id', lookup);
      if (tries === LIST_TRIES) return { allowed: allowed.findAtOnce(), excluded: excluded.findAtOnce(), snapshot };
      const lists = { allowed: await allowed.find(), excluded: await excluded.find() };
      if (rows.snapshot.epoch === snapshot.epoch && rows.snapshot.rows === snapshot.rows) return { ...lists, snapshot };
    }
  }

  /** Ids of deletions [from, to), in their order, that have not been given to another vector since. */
  async idsGone(from: number, to: number): Promise<Id[]> {
    if (from === to) return [];
    const { ids, rows } = this.#data;
    const deleted = rows.deleted.slice(from, to);
    const lookup = await this.#lookUp();
    const gone = new Set<Id>();
    await eachSlice(deleted.length, (i) => {
      const id = ids.at(deleted[i]!);
      if (lookup.find(id) === undefined) gone.add(id);
    });
    return [...gone];
  }

  async #find(id: unknown): Promise<Place | undefined> {
    checkId(id, 0, 'id');
    return (await this.#lookUp()).find(id);
  }

  /** Made when it is first needed. No write is under way then: writes need it, too. */
  #lookUp(): Promise<IdLookup> {
    this.#lookup ??= IdLookup.make(this.#data);
    return this.#lookup;
  }
}

/** Finds the rows of ids, ascending; of ids that the index does not have there are none. */
class ListedRows {
  readonly #ids: ArrayLike<unknown> | undefined;
  readonly #noun: string;
  readonly #lookup: IdLookup;
  readonly #found = new Set<number>();

  constructor(ids: ArrayLike<unknown> | undefined, noun: string, lookup: IdLookup) {
    this.#ids = ids;
    this.#noun = noun;
    this.#lookup = lookup;
  }

  async find(): Promise<Uint32Array | undefined> {
    await eachSlice(this.#ids?.length ?? 0, (i) => this.#add(i));
    return this.#rows();
  }

  /** In one turn of the event loop, between whose steps no write can come. */
  findAtOnce(): Uint32Array | undefined {
    for (let i = 0; i < (this.#ids?.length ?? 0); i++) this.#add(i);
    return this.#rows();
  }

  #add(i: number): void {
    const id = this.#ids![i];
    checkId(id, i, this.#noun);
    const place = this.#lookup.find(id);
    if (place !== undefined) this.#found.add(place.row);
  }

  #rows(): Uint32Array | undefined {
    return this.#ids && Uint32Array.from(this.#found).sort();
  }
}
