import {
  DEATHS_WORD,
  KEPT_WORD,
  RESERVED_BYTES,
  SHARD_CHUNK_SHIFT,
  SHARD_CHUNKS,
  SHARD_COUNT,
  SHARD_NUM_CHUNKS,
} from '../protocol/shard-layout.ts';
import { allocate } from '../shard/arena.ts';
import { Views } from '../shard/views.ts';
import { eachSlice } from './each-slice.ts';

/** Where the vector of a row is: its memory, and its number there. */
export interface Place {
  readonly row: number;
  readonly memory: number;
  readonly local: number;
}

/**
 * What was deleted of an index. Vectors stay where they are; beside them is written since when each is dead, and a search sees
 * them as they were when it began. The caller's thread alone writes here, so searches never wait.
 */
export class Deletions {
  readonly #memories: readonly MemoryDeaths[];
  #rows = new Uint32Array(0);
  #count = 0;
  #epoch = 0;

  constructor(shards: readonly WebAssembly.Memory[]) {
    this.#memories = shards.map((memory) => new MemoryDeaths(memory));
  }

  /** Vectors deleted. */
  get count(): number {
    return this.#count;
  }

  /** Grows with every write; what a search sees are the writes up to the epoch in which it began. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The deleted rows, in the order in which they were deleted. */
  get rows(): Uint32Array {
    return this.#rows.subarray(0, this.#count);
  }

  /** Where a row is, or undefined if it is deleted or no memory has it. */
  locate(row: number): Place | undefined {
    for (const [memory, deaths] of this.#memories.entries()) {
      const local = deaths.localOf(row);
      if (local >= 0) return deaths.isDead(local) ? undefined : { row, memory, local };
    }
    return undefined;
  }

  /**
   * Deletes vectors, each given once, all at the same time: no search sees some of them and not the others.
   *
   * @throws {ScanneryError} SCANNERY_OUT_OF_MEMORY, with nothing deleted
   */
  async add(places: readonly Place[]): Promise<void> {
    // So there are fewer epochs than rows, and the count of either fits 32 bits.
    if (places.length === 0) return;
    const epoch = this.#epoch + 1;
    await eachSlice(places.length, (i) => this.#memories[places[i]!.memory]!.reserve(places[i]!.local));
    // Until the epoch is reached all of this is in the future of every search.
    await eachSlice(places.length, (i) => this.#memories[places[i]!.memory]!.kill(places[i]!.local, epoch));
    this.#append(places.map(({ row }) => row));
    this.#epoch = epoch;
  }

  /** Deletes the rows of a saved index before it is searched; returns whether it has each of them, and none twice. */
  async restore(rows: Uint32Array): Promise<boolean> {
    let sound = true;
    await eachSlice(rows.length, (i) => {
      const place = this.locate(rows[i]!);
      if (place === undefined) {
        sound = false;
        return;
      }
      const deaths = this.#memories[place.memory]!;
      deaths.reserve(place.local);
      deaths.kill(place.local, 1);
    });
    this.#append(rows);
    this.#epoch = 1;
    return sound;
  }

  #append(rows: ArrayLike<number>): void {
    const count = this.#count + rows.length;
    if (count > this.#rows.length) {
      const more = new Uint32Array(Math.max(1024, 2 * this.#rows.length, count));
      more.set(this.rows);
      this.#rows = more;
    }
    this.#rows.set(rows, this.#count);
    this.#count = count;
  }
}

/** When vectors of one memory died. */
class MemoryDeaths {
  readonly #memory: WebAssembly.Memory;
  readonly #views: Views;
  readonly #count: number;
  readonly #shift: number;
  readonly #chunks: number;
  readonly #numChunks: number;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.#views = new Views(memory);
    const header = (word: number): number => this.#views.u32[(RESERVED_BYTES + word) >>> 2]!;
    this.#count = header(SHARD_COUNT);
    this.#shift = header(SHARD_CHUNK_SHIFT);
    this.#chunks = header(SHARD_CHUNKS) >>> 2;
    this.#numChunks = header(SHARD_NUM_CHUNKS);
  }

  /** The number of a row here, or -1: rows are in ascending order. */
  localOf(row: number): number {
    const { u32 } = this.#views.refresh();
    const rowAt = (local: number): number =>
      u32[(u32[this.#chunks + (local >>> this.#shift)]! >>> 2) + this.#slotOf(local)]!;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (rowAt(middle) < row) low = middle + 1;
      else high = middle;
    }
    return low < this.#count && rowAt(low) === row ? low : -1;
  }

  isDead(local: number): boolean {
    const deaths = this.#deathsOf(local);
    return deaths !== 0 && Atomics.load(this.#views.i32, (deaths >>> 2) + this.#slotOf(local)) !== 0;
  }

  /** Makes room for the deaths of a vector's chunk. */
  reserve(local: number): void {
    const { i32 } = this.#views.refresh();
    if (i32[DEATHS_WORD] === 0) this.#take(DEATHS_WORD, this.#numChunks * 4);
    if (this.#deathsOf(local) !== 0) return;
    this.#take((this.#views.u32[DEATHS_WORD]! >>> 2) + (local >>> this.#shift), 4 << this.#shift);
  }

  kill(local: number, epoch: number): void {
    const { i32 } = this.#views.refresh();
    Atomics.store(i32, (this.#deathsOf(local) >>> 2) + this.#slotOf(local), epoch | 0);
  }

  #slotOf(local: number): number {
    return local & ((1 << this.#shift) - 1);
  }

  /** Pointer to the deaths of a vector's chunk, or 0. */
  #deathsOf(local: number): number {
    const { u32 } = this.#views.refresh();
    const table = u32[DEATHS_WORD]! >>> 2;
    return table === 0 ? 0 : u32[table + (local >>> this.#shift)]!;
  }

  /** Takes zeroed memory, and leaves a pointer to it in a word. */
  #take(word: number, bytes: number): void {
    const pointer = allocate(this.#memory, bytes);
    const { u8, i32 } = this.#views.refresh();
    u8.fill(0, pointer, pointer + bytes);
    i32[KEPT_WORD] = (pointer + bytes) | 0;
    Atomics.store(i32, word, pointer | 0);
  }
}
