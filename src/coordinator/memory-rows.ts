import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  CODEC_INT8,
  DEATHS_WORD,
  KEPT_WORD,
  RESERVED_BYTES,
  SHARD_CAPACITY,
  SHARD_CHUNK_SHIFT,
  SHARD_CHUNKS,
  SHARD_CODEC,
  SHARD_COUNT,
  SHARD_DATA_END,
  SHARD_NUM_CHUNKS,
  SHARD_ROW_BYTES,
  TOP_WORD,
} from '../protocol/shard-layout.ts';
import { align, allocate, MAX_BYTES } from '../shard/arena.ts';
import { vectorsInChunk } from '../shard/shard-image.ts';
import { firstLocalFrom, rowAt, storedCount } from '../shard/stored-rows.ts';
import { Views } from '../shard/views.ts';

/** Bytes copied or cleared between two turns of the event loop. */
const SLICE_BYTES = 1 << 20;

/** Bytes [start, end) of a memory that belong to its saved image. */
export type Span = readonly [start: number, end: number];

/**
 * The vectors of one memory: where rows are, since when they are deleted, and room for more. The caller's thread alone writes
 * here, in an order that keeps what searches under way look at as it is.
 */
export class MemoryRows {
  readonly memory: WebAssembly.Memory;
  readonly #views: Views;
  readonly #shift: number;
  readonly #spans: Span[];
  /** Pointers to chunks that the table of chunks, and that of deaths, have room for. */
  #tableRoom: number;
  #deathsRoom = 0;

  /** `spans`: of a memory that was read; one that was just built has one. */
  constructor(memory: WebAssembly.Memory, spans?: readonly Span[]) {
    this.memory = memory;
    this.#views = new Views(memory);
    this.#shift = this.#header(SHARD_CHUNK_SHIFT);
    this.#tableRoom = this.#header(SHARD_NUM_CHUNKS);
    this.#spans = spans === undefined ? [[RESERVED_BYTES, this.#header(SHARD_DATA_END)]] : [...spans];
  }

  get count(): number {
    return storedCount(this.#views.refresh());
  }

  get views(): Views {
    return this.#views.refresh();
  }

  /** What of the memory is to be saved: in ascending order, and not one right behind the other. */
  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** The number of a row here, or -1. */
  localOf(row: number): number {
    const { count } = this;
    const local = firstLocalFrom(this.#views, row, count);
    return local < count && rowAt(this.#views, local) === row ? local : -1;
  }

  /** Whether a vector is deleted by that epoch. */
  isDead(local: number, epoch: number): boolean {
    const deaths = this.#deathsOf(local);
    if (deaths === 0) return false;
    const death = Atomics.load(this.#views.i32, (deaths >>> 2) + this.#slotOf(local)) >>> 0;
    return death !== 0 && death <= epoch;
  }

  /** Makes room for the death of a vector. */
  reserveDeath(local: number): void {
    const chunks = this.#header(SHARD_NUM_CHUNKS);
    if (this.#deathsRoom < chunks) this.#growDeaths(Math.max(chunks, this.#tableRoom));
    if (this.#deathsOf(local) !== 0) return;
    const bytes = 4 << this.#shift;
    const pointer = this.#take(bytes);
    const { u8, i32, u32 } = this.#views.refresh();
    u8.fill(0, pointer, pointer + bytes);
    Atomics.store(i32, (u32[DEATHS_WORD]! >>> 2) + (local >>> this.#shift), pointer | 0);
  }

  /** The vector is deleted from an epoch on. */
  kill(local: number, epoch: number): void {
    const { i32 } = this.#views.refresh();
    Atomics.store(i32, (this.#deathsOf(local) >>> 2) + this.#slotOf(local), epoch | 0);
  }

  /** Whether one more vector fits what there is; otherwise `reserve` makes room. */
  get hasRoom(): boolean {
    return this.count < this.#header(SHARD_CAPACITY);
  }

  /** Whether the memory can grow by another chunk and its lanes. */
  get canGrow(): boolean {
    return Atomics.load(this.#views.refresh().u32, TOP_WORD) + 2 * this.#chunkBytes < MAX_BYTES;
  }

  /** Makes room for another chunk of vectors, or makes the last one whole. */
  async reserve(): Promise<void> {
    const capacity = this.#header(SHARD_CAPACITY);
    const inLast = capacity & (2 ** this.#shift - 1);
    const chunks = this.#header(SHARD_NUM_CHUNKS);
    if (inLast === 0 && chunks === this.#tableRoom) await this.#growTable(2 * chunks + 8);
    const pointer = await this.keep(this.#chunkBytes);
    const { u8, i32, u32 } = this.#views.refresh();
    const last = (this.#header(SHARD_CHUNKS) >>> 2) + (inLast === 0 ? chunks : chunks - 1);
    if (inLast === 0) {
      // Searches look at deaths by the chunk's number, so that table grows first.
      if (this.#deathsRoom > 0 && this.#deathsRoom <= chunks) this.#growDeaths(this.#tableRoom);
      this.#setHeader(SHARD_NUM_CHUNKS, chunks + 1);
    } else {
      // Searches read the cut chunk, whose content does not change, as long as they have its pointer.
      const bytes = this.#vectorsAt + inLast * this.#header(SHARD_ROW_BYTES);
      for (let at = 0; at < bytes; at += SLICE_BYTES) {
        if (at > 0) await nextTurn();
        u8.copyWithin(pointer + at, u32[last]! + at, u32[last]! + Math.min(bytes, at + SLICE_BYTES));
      }
    }
    Atomics.store(i32, last, pointer | 0);
    this.#setHeader(SHARD_CAPACITY, this.#header(SHARD_NUM_CHUNKS) * 2 ** this.#shift);
  }

  /** Adds a vector where there is room; returns its local number. */
  add(row: number, vector: Uint8Array, scale: number): number {
    const local = this.count;
    const { u8, u32, f32 } = this.#views;
    const chunk = u32[(this.#header(SHARD_CHUNKS) >>> 2) + (local >>> this.#shift)]!;
    const slot = this.#slotOf(local);
    u32[(chunk >>> 2) + slot] = row;
    if (this.#header(SHARD_CODEC) === CODEC_INT8) f32[(chunk >>> 2) + 2 ** this.#shift + slot] = scale;
    u8.set(vector, chunk + this.#vectorsAt + slot * this.#header(SHARD_ROW_BYTES));
    this.#setHeader(SHARD_COUNT, local + 1);
    return local;
  }

  /** Takes the last vector back, which no search has seen. */
  undo(): void {
    this.#setHeader(SHARD_COUNT, this.count - 1);
  }

  /** Takes memory that belongs to the saved image, and clears it. */
  async keep(bytes: number): Promise<number> {
    const pointer = this.#take(bytes);
    const [start, end] = this.#spans.at(-1)!;
    const follows = pointer === align(end);
    for (let at = follows ? end : pointer; at < pointer + bytes; ) {
      const to = Math.min(pointer + bytes, at + SLICE_BYTES);
      this.#views.refresh().u8.fill(0, at, to);
      at = to;
      if (at < pointer + bytes) await nextTurn();
    }
    if (follows) this.#spans[this.#spans.length - 1] = [start, pointer + bytes];
    else this.#spans.push([pointer, pointer + bytes]);
    return pointer;
  }

  async #growTable(room: number): Promise<void> {
    const pointer = await this.keep(room * 4);
    const { u32 } = this.#views.refresh();
    const from = this.#header(SHARD_CHUNKS) >>> 2;
    u32.copyWithin(pointer >>> 2, from, from + this.#tableRoom);
    this.#setHeader(SHARD_CHUNKS, pointer);
    this.#tableRoom = room;
  }

  #growDeaths(room: number): void {
    const pointer = this.#take(room * 4);
    const { u8, u32, i32 } = this.#views.refresh();
    u8.fill(0, pointer, pointer + room * 4);
    const from = u32[DEATHS_WORD]! >>> 2;
    if (from !== 0) u32.copyWithin(pointer >>> 2, from, from + this.#deathsRoom);
    Atomics.store(i32, DEATHS_WORD, pointer | 0);
    this.#deathsRoom = room;
  }

  /** Takes memory that stays taken when the workers' scratch is given back. */
  #take(bytes: number): number {
    const pointer = allocate(this.memory, bytes);
    Atomics.store(this.#views.refresh().i32, KEPT_WORD, (pointer + bytes) | 0);
    return pointer;
  }

  get #vectorsAt(): number {
    return vectorsInChunk(this.#header(SHARD_CODEC), 2 ** this.#shift);
  }

  get #chunkBytes(): number {
    return this.#vectorsAt + 2 ** this.#shift * this.#header(SHARD_ROW_BYTES);
  }

  #slotOf(local: number): number {
    return local & (2 ** this.#shift - 1);
  }

  /** Pointer to the deaths of a vector's chunk, or 0. */
  #deathsOf(local: number): number {
    const { u32 } = this.#views.refresh();
    const table = u32[DEATHS_WORD]! >>> 2;
    const chunk = local >>> this.#shift;
    return table === 0 || chunk >= this.#deathsRoom ? 0 : u32[table + chunk]!;
  }

  #header(word: number): number {
    return this.#views.refresh().u32[(RESERVED_BYTES + word) >>> 2]!;
  }

  #setHeader(word: number, value: number): void {
    Atomics.store(this.#views.refresh().i32, (RESERVED_BYTES + word) >>> 2, value | 0);
  }
}
