import {
  FILTER_ALLOWED,
  FILTER_ALLOWS,
  FILTER_EXCLUDED,
  FILTER_EXCLUDES,
  FILTER_HEADER_BYTES,
  FILTER_LISTS,
  FILTER_NUM_ALLOWED,
  FILTER_NUM_EXCLUDED,
  FILTER_NUMBER,
  FILTER_STEPS,
  OPERATION_AND,
  OPERATION_CODE,
  OPERATION_CODES,
  OPERATION_EVERY,
  OPERATION_NOT,
  OPERATION_OR,
  OPERATION_RANGE,
  STEP_BYTES,
  STEP_CODES,
  STEP_COLUMN,
  STEP_LEAST,
  STEP_MOST,
  STEP_NUM_CODES,
  STEP_OPERATION,
} from '../protocol/control-layout.ts';
import {
  COLUMN_CHUNKS,
  COLUMN_ROOM,
  RESERVED_BYTES,
  SHARD_CHUNK_SHIFT,
  SHARD_COLUMNS,
} from '../protocol/shard-layout.ts';
import { allocate } from './arena.ts';
import { firstLocalFrom, rowAt } from './stored-rows.ts';
import type { Views } from './views.ts';

/** Filters whose bitmaps a worker keeps for each memory. */
const KEPT = 8;
const HEADER = RESERVED_BYTES >>> 2;

/** A bitmap in the memory: the bits of vectors [0, bound) are right. */
interface Bitmap {
  number: number;
  pointer: number;
  words: number;
  bound: number;
}

/** What filters let through of one memory, as bitmaps in it that are one worker's own. Views must be fresh. */
export class FilterBitmaps {
  readonly #memory: WebAssembly.Memory;
  readonly #views: Views;
  /** The latest first. */
  readonly #kept: Bitmap[] = [];
  /** For filters that are asked for once: those with lists of rows. */
  readonly #own: Bitmap = { number: 0, pointer: 0, words: 0, bound: 0 };
  /** Words on the stack of steps; a query rarely needs more than two. */
  #stack = new Uint32Array(64);

  constructor(memory: WebAssembly.Memory, views: Views) {
    this.#memory = memory;
    this.#views = views;
  }

  /** Pointer to a filter's bitmap of vectors [0, bound). `filter` points to it in the control memory. */
  of(control: Views, filter: number, bound: number): number {
    const word = (at: number): number => control.u32[(filter + at) >>> 2]!;
    const passing = this.#stepsBitmap(control, filter, word(FILTER_NUMBER), word(FILTER_STEPS), bound);
    const lists = word(FILTER_LISTS);
    if (lists === 0) return passing.pointer;
    const own = this.#own;
    const words = this.#room(own, bound);
    const { u32 } = this.#views;
    const [from, to] = [passing.pointer >>> 2, own.pointer >>> 2];
    if ((lists & FILTER_ALLOWS) === 0) u32.copyWithin(to, from, from + words);
    else {
      u32.fill(0, to, to + words);
      this.#eachListed(control, word(FILTER_ALLOWED), word(FILTER_NUM_ALLOWED), bound, (local) => {
        u32[to + (local >>> 5)]! |= u32[from + (local >>> 5)]! & (1 << (local & 31));
      });
    }
    if ((lists & FILTER_EXCLUDES) !== 0) {
      this.#eachListed(control, word(FILTER_EXCLUDED), word(FILTER_NUM_EXCLUDED), bound, (local) => {
        u32[to + (local >>> 5)]! &= ~(1 << (local & 31));
      });
    }
    return own.pointer;
  }

  /** What the steps of a filter let through, from before if the worker has it. */
  #stepsBitmap(control: Views, filter: number, number: number, steps: number, bound: number): Bitmap {
    const kept = this.#kept;
    let at = kept.findIndex((bitmap) => bitmap.number === number);
    if (at < 0) {
      at = kept.length < KEPT ? kept.push({ number, pointer: 0, words: 0, bound: 0 }) - 1 : KEPT - 1;
      kept[at]!.number = number;
      kept[at]!.bound = 0;
    }
    const [bitmap] = kept.splice(at, 1) as [Bitmap];
    kept.unshift(bitmap);
    if (bitmap.bound >= bound) return bitmap;
    const words = this.#room(bitmap, bound);
    const out = bitmap.pointer >>> 2;
    for (let w = bitmap.bound >>> 5; w < words; w++) {
      this.#views.u32[out + w] = this.#word(
        control,
        filter + FILTER_HEADER_BYTES,
        steps,
        w * 32,
        Math.min(32, bound - w * 32),
      );
    }
    bitmap.bound = bound;
    return bitmap;
  }

  /** Makes room for as many bits, and keeps those there are; returns the words they take. */
  #room(bitmap: Bitmap, bits: number): number {
    const words = (bits + 31) >>> 5;
    if (words > bitmap.words) {
      const room = words + (words >>> 2);
      const pointer = allocate(this.#memory, room * 4);
      const { u32 } = this.#views.refresh();
      u32.copyWithin(pointer >>> 2, bitmap.pointer >>> 2, (bitmap.pointer >>> 2) + ((bitmap.bound + 31) >>> 5));
      bitmap.pointer = pointer;
      bitmap.words = room;
    }
    return words;
  }

  /** Works the steps off for vectors [first, first + count), at most 32; a bit of what is beyond them may be anything. */
  #word(control: Views, steps: number, numSteps: number, first: number, count: number): number {
    if (this.#stack.length < numSteps) this.#stack = new Uint32Array(numSteps);
    const stack = this.#stack;
    let top = -1;
    for (let i = 0, step = steps; i < numSteps; i++, step += STEP_BYTES) {
      switch (control.u32[(step + STEP_OPERATION) >>> 2]) {
        case OPERATION_EVERY:
          stack[++top] = 0xffffffff;
          break;
        case OPERATION_CODE:
          stack[++top] = this.#withCode(control, step, first, count);
          break;
        case OPERATION_CODES:
          stack[++top] = this.#withCodes(control, step, first, count);
          break;
        case OPERATION_RANGE:
          stack[++top] = this.#inRange(control, step, first, count);
          break;
        case OPERATION_AND:
          top--;
          stack[top]! &= stack[top + 1]!;
          break;
        case OPERATION_OR:
          top--;
          stack[top]! |= stack[top + 1]!;
          break;
        case OPERATION_NOT:
          stack[top] = ~stack[top]!;
          break;
      }
    }
    return stack[0]!;
  }

  #withCode(control: Views, step: number, first: number, count: number): number {
    const wanted = control.u32[(step + STEP_CODES) >>> 2]!;
    const column = control.u32[(step + STEP_COLUMN) >>> 2]!;
    const { u32 } = this.#views;
    let bits = 0;
    for (let i = 0; i < count; ) {
      const [values, end] = this.#valuesOf(column, first + i, count - i, 2);
      if (values === 0) i += end;
      else for (let at = values, stop = i + end; i < stop; i++, at++) bits |= Number(u32[at] === wanted) << i;
    }
    return bits;
  }

  #withCodes(control: Views, step: number, first: number, count: number): number {
    const wanted = control.u32[(step + STEP_CODES) >>> 2]! >>> 2;
    const known = control.u32[(step + STEP_NUM_CODES) >>> 2]!;
    const column = control.u32[(step + STEP_COLUMN) >>> 2]!;
    const { u32 } = this.#views;
    let bits = 0;
    for (let i = 0; i < count; ) {
      const [values, end] = this.#valuesOf(column, first + i, count - i, 2);
      if (values === 0) {
        i += end;
        continue;
      }
      for (let at = values, stop = i + end; i < stop; i++, at++) {
        const code = u32[at]!;
        if (code < known) bits |= ((control.u32[wanted + (code >>> 5)]! >>> (code & 31)) & 1) << i;
      }
    }
    return bits;
  }

  #inRange(control: Views, step: number, first: number, count: number): number {
    const least = control.f64[(step + STEP_LEAST) >>> 3]!;
    const most = control.f64[(step + STEP_MOST) >>> 3]!;
    const column = control.u32[(step + STEP_COLUMN) >>> 2]!;
    const { f64 } = this.#views;
    let bits = 0;
    for (let i = 0; i < count; ) {
      const [values, end] = this.#valuesOf(column, first + i, count - i, 3);
      if (values === 0) i += end;
      else
        for (let at = values, stop = i + end; i < stop; i++, at++)
          bits |= Number(f64[at]! >= least && f64[at]! <= most) << i;
    }
    return bits;
  }

  /**
   * Where the values of a column begin for vectors from `local` on, in elements of 2^log2 bytes, 0 if there are none; and how many of
   * `count` lie there, one behind another.
   */
  #valuesOf(column: number, local: number, count: number, log2: number): [values: number, end: number] {
    const { i32, u32 } = this.#views;
    const shift = u32[HEADER + (SHARD_CHUNK_SHIFT >>> 2)]!;
    const slot = local & ((1 << shift) - 1);
    const end = Math.min(count, (1 << shift) - slot);
    const columns = Atomics.load(i32, HEADER + (SHARD_COLUMNS >>> 2)) >>> 2;
    const table = columns === 0 ? 0 : Atomics.load(i32, columns + column) >>> 2;
    const chunk = local >>> shift;
    if (table === 0 || chunk >= u32[table + (COLUMN_ROOM >>> 2)]!) return [0, end];
    const pointer = Atomics.load(i32, table + (COLUMN_CHUNKS >>> 2) + chunk) >>> 0;
    return [pointer === 0 ? 0 : (pointer >>> log2) + slot, end];
  }

  /** Calls `visit` with the local number of each row of a list that this memory has below the bound. */
  #eachListed(control: Views, list: number, count: number, bound: number, visit: (local: number) => void): void {
    for (let i = 0; i < count; i++) {
      const row = control.u32[(list >>> 2) + i]!;
      const local = firstLocalFrom(this.#views, row, bound);
      if (local < bound && rowAt(this.#views, local) === row) visit(local);
    }
  }
}
