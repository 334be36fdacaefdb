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
} from '../protocol/control-layout.ts';
import { allocate } from './arena.ts';
import { FilterEvaluator } from './filter-evaluator.ts';
import type { Kernels } from './kernels/kernels.ts';
import { firstLocalFrom, rowAt } from './stored-rows.ts';
import type { Views } from './views.ts';

/** Filters whose bitmaps a worker keeps for each memory. */
const KEPT = 8;

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
  readonly #evaluator: FilterEvaluator;
  /** The latest first. */
  readonly #kept: Bitmap[] = [];
  /** Of the filter that is asked for now, if it has lists of rows. */
  readonly #own: Bitmap = { number: 0, pointer: 0, words: 0, bound: 0 };

  constructor(memory: WebAssembly.Memory, views: Views, kernels: Kernels) {
    this.#memory = memory;
    this.#views = views;
    this.#evaluator = new FilterEvaluator(memory, views, kernels);
  }

  /** Pointer to a filter's bitmap of vectors [0, bound). `filter` points to it in the control memory. */
  of(control: Views, filter: number, bound: number): number {
    const word = (at: number): number => control.u32[(filter + at) >>> 2]!;
    const passing = this.#passing(control, filter, word(FILTER_NUMBER), word(FILTER_STEPS), bound);
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

  /** What the steps of a filter let through, as far as it is known from before, and the rest. */
  #passing(control: Views, filter: number, number: number, numSteps: number, bound: number): Bitmap {
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
    this.#room(bitmap, bound);
    this.#evaluator.evaluate(control, filter + FILTER_HEADER_BYTES, numSteps, bitmap.bound, bound, bitmap.pointer);
    bitmap.bound = bound;
    return bitmap;
  }

  /** Makes room for as many bits, and keeps those there are; returns the words they take. */
  #room(bitmap: Bitmap, bits: number): number {
    const words = (bits + 31) >>> 5;
    if (words > bitmap.words) {
      const room = bitmap.words === 0 ? words + (words >>> 2) : 2 * words;
      const pointer = allocate(this.#memory, room * 4);
      const { u32 } = this.#views.refresh();
      u32.copyWithin(pointer >>> 2, bitmap.pointer >>> 2, (bitmap.pointer >>> 2) + ((bitmap.bound + 31) >>> 5));
      bitmap.pointer = pointer;
      bitmap.words = room;
    }
    return words;
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
