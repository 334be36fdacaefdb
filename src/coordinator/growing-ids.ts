import { eachSlice } from './each-slice.ts';
import { type IdColumn, IdPacker } from './id-column.ts';
import type { Id } from './types.ts';

/** The ids of an index by row: a packed column, and those of vectors that were added to it. */
export class GrowingIds {
  readonly base: IdColumn;
  readonly #added: Id[] = [];

  constructor(base: IdColumn) {
    this.base = base;
  }

  at(row: number): Id {
    const { size } = this.base;
    return row < size ? this.base.at(row) : this.#added[row - size]!;
  }

  /** Sets the id of a row: one that has an id already, or the next. */
  set(row: number, id: Id): void {
    this.#added[row - this.base.size] = id;
  }

  /** The ids of the first `count` rows as one packed column, made a slice at a time. */
  async packed(count: number): Promise<IdColumn> {
    if (count === this.base.size) return this.base;
    const packer = new IdPacker();
    await eachSlice(count, (row) => packer.append(this.at(row)));
    return packer.finish();
  }
}
