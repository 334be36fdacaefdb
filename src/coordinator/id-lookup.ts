import type { IndexData } from './build.ts';
import { eachSlice } from './each-slice.ts';
import { hashId, RowTable } from './row-table.ts';
import type { Place } from './rows.ts';
import type { Id } from './types.ts';

/** Finds vectors by their ids. */
export class IdLookup {
  readonly #data: IndexData;
  /** Rows of the packed ids; null where these are row numbers. */
  readonly #packed: RowTable | null;
  /** Rows that were added since. */
  readonly #added = new RowTable((row) => hashId(this.#data.ids.at(row)));

  private constructor(data: IndexData, packed: RowTable | null) {
    this.#data = data;
    this.#packed = packed;
  }

  /** About 12 bytes an id, made a slice at a time. */
  static async make(data: IndexData): Promise<IdLookup> {
    const { rows } = data;
    const { base } = data.ids;
    if (base.kind === 'row') return new IdLookup(data, null);
    const hashOf = (row: number): number => hashId(base.at(row));
    const table = new RowTable(hashOf, base.size);
    // An id may have been given to several rows, of which one is not deleted at the most; a search for it stops there.
    const anyDeleted = rows.deletedCount > 0;
    await eachSlice(base.size, (row) => {
      if (!anyDeleted || rows.locate(row) !== undefined) table.add(row, hashOf(row));
    });
    return new IdLookup(data, table);
  }

  /** Where the vector of an id is, or undefined. */
  find(id: Id): Place | undefined {
    const { ids, rows } = this.#data;
    let place: Place | undefined;
    const isIt = (row: number): boolean => {
      if (ids.at(row) !== id) return false;
      place = rows.locate(row);
      return place !== undefined;
    };
    const hash = hashId(id);
    if (this.#added.find(hash, isIt) !== -1) return place;
    if (this.#packed !== null) this.#packed.find(hash, isIt);
    else if (typeof id === 'number' && id < ids.base.size) place = rows.locate(id);
    return place;
  }

  /** Adds a row, which has its id already and is found once it is committed. */
  add(row: number): void {
    const { ids, rows } = this.#data;
    const id = ids.at(row);
    // What had the id before is not deleted yet; what had it before that makes room, so that no id has more than two entries.
    const isStale = (other: number): boolean =>
      ids.at(other) === id && other < rows.count && rows.locate(other) === undefined;
    this.#added.put(row, hashId(id), isStale);
  }
}
