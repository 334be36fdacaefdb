import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  COLUMN_CHUNKS,
  COLUMN_ROOM,
  MAX_COLUMNS,
  RESERVED_BYTES,
  SHARD_CHUNK_SHIFT,
  SHARD_COLUMNS,
} from '../protocol/shard-layout.ts';
import type { Attribute, Cell } from './attribute-schema.ts';
import type { MemoryRows } from './memory-rows.ts';

const COLUMNS = (RESERVED_BYTES + SHARD_COLUMNS) >>> 2;
const LEAST_ROOM = 16;

/** The attributes of the vectors of one memory. The caller's thread alone writes; workers read what is below their bound. */
export class AttributeColumns {
  readonly #rows: MemoryRows;
  readonly #shift: number;

  constructor(rows: MemoryRows) {
    this.#rows = rows;
    this.#shift = rows.views.u32[(RESERVED_BYTES + SHARD_CHUNK_SHIFT) >>> 2]!;
  }

  /** Makes room for the values of a vector, which has some. */
  async reserve(local: number, cells: readonly Cell[]): Promise<void> {
    if (this.#rows.views.u32[COLUMNS] === 0) {
      const columns = await this.#rows.keep(MAX_COLUMNS * 4);
      Atomics.store(this.#rows.views.i32, COLUMNS, columns | 0);
    }
    const chunk = local >>> this.#shift;
    for (const [{ column, kind }] of cells) {
      if (this.#roomOf(column) <= chunk) await this.#growTable(column, chunk + 1);
      if (this.#chunkAt(column, chunk) !== 0) continue;
      const bytes = (kind === 'number' ? 8 : 4) << this.#shift;
      const pointer = await this.#rows.keep(bytes);
      const { f64, i32 } = this.#rows.views;
      if (kind === 'number') f64.fill(Number.NaN, pointer >>> 3, (pointer + bytes) >>> 3);
      Atomics.store(i32, (this.#tableOf(column) >>> 2) + (COLUMN_CHUNKS >>> 2) + chunk, pointer | 0);
    }
  }

  /** Gives a vector its values, for which there is room, and none of the other attributes: one that was undone may have had them. */
  write(local: number, cells: readonly Cell[], all: Iterable<Attribute>): void {
    for (const attribute of all) this.#set(local, attribute, attribute.kind === 'number' ? Number.NaN : 0);
    for (const [attribute, value] of cells) this.#set(local, attribute, value);
  }

  /** The value of a vector: 0, or NaN of a number, if it has none. */
  read(local: number, { column, kind }: Pick<Attribute, 'column' | 'kind'>): number {
    const chunk = this.#chunkOf(column, local);
    if (chunk === 0) return kind === 'number' ? Number.NaN : 0;
    const slot = local & (2 ** this.#shift - 1);
    const { f64, u32 } = this.#rows.views;
    return kind === 'number' ? f64[(chunk >>> 3) + slot]! : u32[(chunk >>> 2) + slot]!;
  }

  #set(local: number, { column, kind }: Attribute, value: number): void {
    const chunk = this.#chunkOf(column, local);
    if (chunk === 0) return;
    const slot = local & (2 ** this.#shift - 1);
    const { f64, u32 } = this.#rows.views;
    if (kind === 'number') f64[(chunk >>> 3) + slot] = value;
    else u32[(chunk >>> 2) + slot] = value;
  }

  async #growTable(column: number, chunks: number): Promise<void> {
    const before = this.#roomOf(column);
    const room = Math.max(LEAST_ROOM, 2 * before, chunks);
    const pointer = await this.#rows.keep((room + 1) * 4);
    const { i32, u32 } = this.#rows.views;
    const [from, to] = [this.#tableOf(column) >>> 2, pointer >>> 2];
    u32[to + (COLUMN_ROOM >>> 2)] = room;
    const at = COLUMN_CHUNKS >>> 2;
    if (before > 0) u32.copyWithin(to + at, from + at, from + at + before);
    Atomics.store(i32, (u32[COLUMNS]! >>> 2) + column, pointer | 0);
    await nextTurn();
  }

  /** Pointer to the table of a column, or 0. */
  #tableOf(column: number): number {
    const { u32 } = this.#rows.views;
    return u32[COLUMNS] === 0 ? 0 : u32[(u32[COLUMNS]! >>> 2) + column]!;
  }

  #roomOf(column: number): number {
    const table = this.#tableOf(column);
    return table === 0 ? 0 : this.#rows.views.u32[(table + COLUMN_ROOM) >>> 2]!;
  }

  #chunkAt(column: number, chunk: number): number {
    return this.#rows.views.u32[((this.#tableOf(column) + COLUMN_CHUNKS) >>> 2) + chunk]!;
  }

  #chunkOf(column: number, local: number): number {
    const chunk = local >>> this.#shift;
    return chunk < this.#roomOf(column) ? this.#chunkAt(column, chunk) : 0;
  }
}
