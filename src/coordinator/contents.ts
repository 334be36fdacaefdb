import { setImmediate as nextTurn } from 'node:timers/promises';
import { invalid } from '../protocol/check.ts';
import type { IndexData } from './build.ts';
import type { Place } from './deletions.ts';
import { eachSlice } from './each-slice.ts';
import { checkId } from './id-column.ts';
import { hashId, RowTable } from './row-table.ts';
import { needsVectors, type VectorReader, vectorReader } from './stored-vectors.ts';
import { throwIfAborted } from './threads.ts';
import type { DeleteResult, Id, StoredVector } from './types.ts';

/** Rows that an iteration passes between two turns of the event loop. */
const PASSED = 2048;

/** The row that an id was given to, deleted or not; -1 if there is none. */
type RowOf = (id: Id) => number;

/** The vectors of an index by their ids, and the order of its writes. */
export class Contents {
  readonly #data: IndexData;
  #finding: Promise<RowOf> | undefined;
  #readers: readonly VectorReader[] | undefined;
  /** Settles, without an error, when all writes so far have. */
  #written: Promise<void> = Promise.resolve();

  constructor(data: IndexData) {
    this.#data = data;
  }

  /** Vectors that are not deleted. */
  get size(): number {
    return this.#data.size - this.#data.deletions.count;
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
    const { size, ids, deletions } = this.#data;
    for (let row = 0; row < size; row++) {
      if (row % PASSED === PASSED - 1) await nextTurn();
      if (deletions.count > 0 && deletions.locate(row) === undefined) continue;
      yield ids.at(row);
    }
  }

  /** Deletes what has these ids; all of it disappears at once. */
  async delete(ids: unknown, signal: AbortSignal | undefined): Promise<DeleteResult> {
    if (!Array.isArray(ids) && (!ArrayBuffer.isView(ids) || ids instanceof DataView)) {
      throw invalid('ids', ids, 'an array or typed array of ids');
    }
    return this.exclusive(async () => {
      throwIfAborted(signal);
      return this.#delete(ids as ArrayLike<unknown>);
    });
  }

  async #delete(ids: ArrayLike<unknown>): Promise<DeleteResult> {
    const { deletions } = this.#data;
    const checked: Id[] = [];
    await eachSlice(ids.length, (i) => {
      const id = ids[i];
      checkId(id, i, 'id');
      checked.push(id);
    });
    const rowOf = await this.#finder();
    const places = new Map<number, Place>();
    await eachSlice(checked.length, (i) => {
      const place = deletions.locate(rowOf(checked[i]!));
      if (place !== undefined) places.set(place.row, place);
    });
    await deletions.add([...places.values()]);
    return { deleted: places.size, unknown: checked.length - places.size };
  }

  /** Does something after all writes before it, and before all that come later. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#written.then(work);
    this.#written = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  /** Waits for the writes so far. */
  settled(): Promise<void> {
    return this.#written;
  }

  async #find(id: unknown): Promise<Place | undefined> {
    checkId(id, 0, 'id');
    const rowOf = await this.#finder();
    return this.#data.deletions.locate(rowOf(id));
  }

  /** Made when it is first needed, a slice at a time. */
  #finder(): Promise<RowOf> {
    this.#finding ??= this.#makeFinder();
    return this.#finding;
  }

  async #makeFinder(): Promise<RowOf> {
    const { ids, size } = this.#data;
    if (ids.kind === 'row') return (id) => (typeof id === 'number' && id >= 0 && id < size ? id : -1);
    const hashOf = (row: number): number => hashId(ids.at(row));
    const table = new RowTable(hashOf, size);
    await eachSlice(size, (row) => table.add(row, hashOf(row)));
    return (id) => table.find(hashId(id), (row) => ids.at(row) === id);
  }
}
