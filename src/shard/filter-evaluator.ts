import {
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
import type { Kernels } from './kernels/kernels.ts';
import type { Views } from './views.ts';

const HEADER = RESERVED_BYTES >>> 2;
/** Vectors for which all steps are worked off before the next. */
const BLOCK = 8192;
const BLOCK_WORDS = BLOCK / 32;

/** Works off the steps of filters over the columns of one memory. Views must be fresh. */
export class FilterEvaluator {
  readonly #memory: WebAssembly.Memory;
  readonly #views: Views;
  readonly #kernels: Kernels;
  /** Pointer: a bitmap of a block for each step that pushes one, then the codes of steps that have several. */
  #scratch = 0;
  #scratchBytes = 0;

  constructor(memory: WebAssembly.Memory, views: Views, kernels: Kernels) {
    this.#memory = memory;
    this.#views = views;
    this.#kernels = kernels;
  }

  /** Writes the bits of vectors [from, to) to a bitmap; those before `from` stay, those from `to` on may become anything. */
  evaluate(control: Views, steps: number, numSteps: number, from: number, to: number, out: number): void {
    const codesAt = this.#placeCodes(control, steps, numSteps);
    for (let first = from - (from % 32); first < to; ) {
      const end = Math.min(to, first - (first % BLOCK) + BLOCK);
      const words = (end - first + 31) >>> 5;
      this.#block(control, { steps, numSteps, codesAt }, first, end);
      const { u32 } = this.#views;
      u32.copyWithin((out >>> 2) + (first >>> 5), this.#scratch >>> 2, (this.#scratch >>> 2) + words);
      first = end;
    }
  }

  /** Brings the codes of steps that have several into this memory, one step's behind another's. Returns where they begin. */
  #placeCodes(control: Views, steps: number, numSteps: number): number {
    const { u32 } = control;
    let bytes = numSteps * BLOCK_WORDS * 4;
    const codesAt = bytes;
    for (let step = steps, i = 0; i < numSteps; i++, step += STEP_BYTES) bytes += codesBytes(u32, step);
    if (bytes > this.#scratchBytes) {
      this.#scratch = allocate(this.#memory, 2 * bytes);
      this.#scratchBytes = 2 * bytes;
    }
    const own = this.#views.refresh().u32;
    let at = this.#scratch + codesAt;
    for (let step = steps, i = 0; i < numSteps; i++, step += STEP_BYTES) {
      const length = codesBytes(u32, step);
      const codes = u32[(step + STEP_CODES) >>> 2]! >>> 2;
      if (length > 0) own.set(u32.subarray(codes, codes + (length >>> 2)), at >>> 2);
      at += length;
    }
    return this.#scratch + codesAt;
  }

  /** Leaves the bits of vectors [first, end) at the start of the scratch. */
  #block(
    control: Views,
    { steps, numSteps, codesAt }: { steps: number; numSteps: number; codesAt: number },
    first: number,
    end: number,
  ): void {
    const { u32 } = this.#views;
    const words = (end - first + 31) >>> 5;
    let top = this.#scratch - BLOCK_WORDS * 4;
    let codes = codesAt;
    for (let step = steps, i = 0; i < numSteps; i++, step += STEP_BYTES) {
      const operation = control.u32[(step + STEP_OPERATION) >>> 2]!;
      if (operation <= OPERATION_RANGE) {
        top += BLOCK_WORDS * 4;
        u32.fill(operation === OPERATION_EVERY ? 0xffffffff : 0, top >>> 2, (top >>> 2) + words);
        if (operation !== OPERATION_EVERY) this.#values(control, step, codes, first, end, top);
        codes += codesBytes(control.u32, step);
        continue;
      }
      if (operation === OPERATION_NOT) {
        for (let w = top >>> 2, last = w + words; w < last; w++) u32[w] = ~u32[w]!;
        continue;
      }
      const other = top >>> 2;
      top -= BLOCK_WORDS * 4;
      const own = top >>> 2;
      if (operation === OPERATION_AND) for (let w = 0; w < words; w++) u32[own + w]! &= u32[other + w]!;
      if (operation === OPERATION_OR) for (let w = 0; w < words; w++) u32[own + w]! |= u32[other + w]!;
    }
  }

  /** Sets the bits of vectors [first, end) whose value in a column passes a step. */
  #values(control: Views, step: number, codes: number, first: number, end: number, out: number): void {
    const operation = control.u32[(step + STEP_OPERATION) >>> 2];
    const column = control.u32[(step + STEP_COLUMN) >>> 2]!;
    const { i32, u32 } = this.#views;
    const shift = u32[HEADER + (SHARD_CHUNK_SHIFT >>> 2)]!;
    const columns = Atomics.load(i32, HEADER + (SHARD_COLUMNS >>> 2)) >>> 2;
    const table = columns === 0 ? 0 : Atomics.load(i32, columns + column) >>> 2;
    if (table === 0) return;
    const chunks = Math.min(u32[table + (COLUMN_ROOM >>> 2)]!, ((end - 1) >>> shift) + 1);
    for (let chunk = first >>> shift; chunk < chunks; chunk++) {
      const pointer = Atomics.load(i32, table + (COLUMN_CHUNKS >>> 2) + chunk) >>> 0;
      if (pointer === 0) continue;
      const from = Math.max(first, chunk << shift);
      const count = Math.min(end, (chunk + 1) << shift) - from;
      const slot = from & ((1 << shift) - 1);
      const bit = from - first;
      if (operation === OPERATION_CODE) {
        const code = control.u32[(step + STEP_CODES) >>> 2]!;
        this.#kernels.passCode(pointer + slot * 4, count, code, out, bit);
      } else if (operation === OPERATION_CODES) {
        const known = control.u32[(step + STEP_NUM_CODES) >>> 2]!;
        this.#kernels.passCodes(pointer + slot * 4, count, codes, known, out, bit);
      } else {
        const least = control.f64[(step + STEP_LEAST) >>> 3]!;
        const most = control.f64[(step + STEP_MOST) >>> 3]!;
        this.#kernels.passRange(pointer + slot * 8, count, least, most, out, bit);
      }
    }
  }
}

/** Bytes of the codes of a step that has several, else 0. */
function codesBytes(u32: Uint32Array, step: number): number {
  return u32[(step + STEP_OPERATION) >>> 2] === OPERATION_CODES ? u32[(step + STEP_NUM_CODES) >>> 2]! / 8 : 0;
}
