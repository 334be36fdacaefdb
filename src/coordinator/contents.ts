import { setImmediate as nextTurn } from 'node:timers/promises';
import { invalid } from '../protocol/check.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import type { Change, CheckedRows } from './changes.ts';
import { eachSlice } from './each-slice.ts';
import { checkId } from './id-column.ts';
import { IdLookup } from './id-lookup.ts';
import { isVector } from './inputs.ts';
import type { Place } from './rows.ts';
import type { Serving } from './serving.ts';
import { needsVectors, type VectorReader, vectorReader } from './stored-vectors.ts';
import type { DeleteResult, Id, StoredVector, UpsertResult } from './types.ts';
import { checkRows, Upserter } from './upsert.ts';

/** Rows that an iteration passes between two turns of the event loop. */
const PASSED = 2048;

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

  constructor({ data, serving, kernels }: ContentsParts) {
    this.#data = data;
    this.#serving = serving;
    this.#kernels = kernels;
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
    return { id, vector };
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
