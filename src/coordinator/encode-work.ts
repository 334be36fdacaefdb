import { SLOT_MERGED, SLOT_TABLES } from '../protocol/control-layout.ts';
import { TABLES_HEADER_BYTES } from '../protocol/shard-layout.ts';
import { type EncodedRows, layEncodedRows, type StoredForm } from '../shard/encoded-rows.ts';
import { type VectorShape, type Work, writeVector } from './call.ts';
import type { Slots } from './slots.ts';

/** Vectors per slot: as many as the kernel of assignment multiplies at once, few enough for searches not to wait long. */
export const ROWS_PER_SLOT = 4;

/** Vectors of a slot in the form in which they are stored; its pointers are into the arrays. */
export interface EncodedSlot extends EncodedRows {
  readonly count: number;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly f32: Float32Array;
}

/** Vectors [first, first + size) of an input, brought into the form in which they are stored. */
export class EncodeWork implements Work<EncodedSlot> {
  readonly isSearch = false;
  readonly count: number;
  readonly #row: (i: number) => ArrayLike<number>;
  readonly #first: number;
  readonly #end: number;
  readonly #form: StoredForm;
  readonly #shape: VectorShape;

  constructor(
    row: (i: number) => ArrayLike<number>,
    { first, size }: { readonly first: number; readonly size: number },
    form: StoredForm,
    shape: VectorShape,
  ) {
    this.count = Math.ceil(size / ROWS_PER_SLOT);
    this.#row = row;
    this.#first = first;
    this.#end = first + size;
    this.#form = form;
    this.#shape = shape;
  }

  place(slots: Slots, i: number): number {
    const [first, count] = this.#rowsOf(i);
    const slot = slots.takeToEncode(count, this.#form);
    try {
      for (let row = first; row < first + count; row++) {
        const at = slots.queryAt(slot) + (row - first) * this.#shape.stride;
        writeVector(this.#row(row), `row ${row}`, row, this.#shape, slots.views.f32, at);
      }
    } catch (error) {
      slots.free(slot);
      throw error;
    }
    return slot;
  }

  read(slots: Slots, slot: number, i: number): EncodedSlot {
    const { u8, u32 } = slots.views;
    const h = slots.header(slot);
    const [, count] = this.#rowsOf(i);
    const tables = u32[h + SLOT_TABLES]!;
    const laid = layEncodedRows(u32[h + SLOT_MERGED]! - tables, TABLES_HEADER_BYTES, count, this.#form);
    const bytes = u8.slice(tables, tables + laid.end);
    return { ...laid, count, u8: bytes, u32: new Uint32Array(bytes.buffer), f32: new Float32Array(bytes.buffer) };
  }

  #rowsOf(i: number): [first: number, count: number] {
    const first = this.#first + i * ROWS_PER_SLOT;
    return [first, Math.min(ROWS_PER_SLOT, this.#end - first)];
  }
}
