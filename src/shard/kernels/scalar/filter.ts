import type { Views } from '../../views.ts';

// Bits of values that pass a step of a filter, for values [count] of a column, into bits [first, first + count) of `out`, which are
// zero before.

function setBit(u32: Uint32Array, out: number, bit: number): void {
  u32[(out >>> 2) + (bit >>> 5)]! |= 1 << (bit & 31);
}

/** Codes, u32, that are one code. */
export function passCode(
  { u32 }: Views,
  values: number,
  count: number,
  code: number,
  out: number,
  first: number,
): void {
  for (let i = 0; i < count; i++) if (u32[(values >>> 2) + i] === code) setBit(u32, out, first + i);
}

/** Codes, u32, whose bit is set in u32 `codes`, which has bits for those below `known`. */
export function passCodes(
  { u32 }: Views,
  values: number,
  count: number,
  codes: number,
  known: number,
  out: number,
  first: number,
): void {
  for (let i = 0; i < count; i++) {
    const code = u32[(values >>> 2) + i]!;
    if (code < known && (u32[(codes >>> 2) + (code >>> 5)]! & (1 << (code & 31))) !== 0) setBit(u32, out, first + i);
  }
}

/** Numbers, f64, of at least `least` and at most `most`; NaN is neither. */
export function passRange(
  { u32, f64 }: Views,
  values: number,
  count: number,
  least: number,
  most: number,
  out: number,
  first: number,
): void {
  for (let i = 0; i < count; i++) {
    const value = f64[(values >>> 3) + i]!;
    if (value >= least && value <= most) setBit(u32, out, first + i);
  }
}
