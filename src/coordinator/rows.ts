import { eachSlice } from './each-slice.ts';
import { MemoryRows, type Span } from './memory-rows.ts';

/** Rows are 32-bit numbers; the highest is kept free. */
export const MAX_ROWS = 2 ** 32 - 2;

/** Where the vector of a row is: its memory, and its number there. */
export interface Place {
  readonly row: number;
  readonly memory: number;
  readonly local: number;
}

/** What a search sees of an index: what was there when it began. */
export interface Snapshot {
  /** Deletions up to this epoch. */
  readonly epoch: number;
  /** Rows below this one. */
  readonly rows: number;
}

/**
 * The rows of an index: where each is, which are deleted, and what a search sees of them. A vector keeps its row and its place;
 * one that is replaced is deleted, and the new one is a row of its own. The caller's thread alone writes, so searches never wait.
 */
export class Rows {
  readonly memories: readonly MemoryRows[];
  #count: number;
  #deleted = new Uint32Array(0);
  #deletedCount = 0;
  #epoch = 0;

  /** `spans` of each memory if they were read from files. */
  constructor(shards: readonly WebAssembly.Memory[], spans?: readonly (readonly Span[])[]) {
    this.memories = shards.map((memory, s) => new MemoryRows(memory, spans?.[s]));
    this.#count = this.sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Rows there are, deleted ones included; the next one gets this number. */
  get count(): number {
    return this.#count;
  }

  /** Vectors that are not deleted. */
  get live(): number {
    return this.#count - this.#deletedCount;
  }

  get deletedCount(): number {
    return this.#deletedCount;
  }

  /** The deleted rows, in the order in which they were deleted. */
  get deleted(): Uint32Array {
    return this.#deleted.subarray(0, this.#deletedCount);
  }

  /** What a search that begins now sees. */
  get snapshot(): Snapshot {
    return { epoch: this.#epoch, rows: this.#count };
  }

  /** Vectors in each memory, deleted ones included. */
  get sizes(): number[] {
    return this.memories.map(({ count }) => count);
  }

  /** Where a row is, or undefined if it is deleted or not there. */
  locate(row: number): Place | undefined {
    const place = this.placeOf(row);
    return place === undefined || this.memories[place.memory]!.isDead(place.local, this.#epoch) ? undefined : place;
  }

  /** Where a row is, deleted or not, or undefined if it is not there. */
  placeOf(row: number): Place | undefined {
    if (!(row >= 0 && row < this.#count)) return undefined;
    for (const [memory, rows] of this.memories.entries()) {
      const local = rows.localOf(row);
      if (local >= 0) return { row, memory, local };
    }
    return undefined;
  }

  /** Makes room for deletions, so that `commit` cannot fail. */
  async reserve(places: readonly Place[]): Promise<void> {
    await eachSlice(places.length, (i) => this.memories[places[i]!.memory]!.reserveDeath(places[i]!.local));
  }

  /**
   * Deletes vectors that room was made for, each given once, and adds as many rows as were written behind the last one, all at the
   * same time: no search sees some of it and not the rest.
   */
  async commit(places: readonly Place[], added = 0): Promise<void> {
    // So there are fewer epochs than rows, and the count of either fits 32 bits.
    const epoch = places.length === 0 ? this.#epoch : this.#epoch + 1;
    // Until the epoch is reached all of this is in the future of every search.
    await eachSlice(places.length, (i) => this.memories[places[i]!.memory]!.kill(places[i]!.local, epoch));
    this.#appendDeleted(places.map(({ row }) => row));
    this.#epoch = epoch;
    this.#count += added;
  }

  /** Deletes the rows of a saved index before it is searched; returns whether it has each of them, and none twice. */
  async restore(rows: Uint32Array): Promise<boolean> {
    let sound = true;
    this.#epoch = 1;
    await eachSlice(rows.length, (i) => {
      const place = this.locate(rows[i]!);
      if (place === undefined) {
        sound = false;
        return;
      }
      const memory = this.memories[place.memory]!;
      memory.reserveDeath(place.local);
      memory.kill(place.local, this.#epoch);
    });
    this.#appendDeleted(rows);
    return sound;
  }

  #appendDeleted(rows: ArrayLike<number>): void {
    const count = this.#deletedCount + rows.length;
    if (count > this.#deleted.length) {
      const more = new Uint32Array(Math.max(1024, 2 * this.#deleted.length, count));
      more.set(this.deleted);
      this.#deleted = more;
    }
    this.#deleted.set(rows, this.#deletedCount);
    this.#deletedCount = count;
  }
}
