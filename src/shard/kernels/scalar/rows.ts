import { CODEC_BFLOAT16, CODEC_INT8 } from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';

const fround = Math.fround;

/** First row of f32 [count x stride] with a value that is not a number of magnitude at most `limit`, or -1. */
export function firstInvalidRow(views: Views, rows: number, count: number, stride: number, limit: number): number {
  const { f32 } = views;
  const most = fround(limit);
  let at = rows >>> 2;
  for (let i = 0; i < count; i++) {
    const end = at + stride;
    for (; at < end; at++) if (!(Math.abs(f32[at]!) <= most)) return i;
  }
  return -1;
}

/** Scales each row of f32 [count x stride] to norm 1, in place; norms are summed in f64. Returns the first zero row, or -1. */
export function normalizeRows(views: Views, rows: number, count: number, stride: number): number {
  const { f32 } = views;
  let at = rows >>> 2;
  for (let i = 0; i < count; i++) {
    const end = at + stride;
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let k = at; k < end; k += 4) {
      s0 += f32[k]! * f32[k]!;
      s1 += f32[k + 1]! * f32[k + 1]!;
      s2 += f32[k + 2]! * f32[k + 2]!;
      s3 += f32[k + 3]! * f32[k + 3]!;
    }
    const norm = Math.sqrt(s0 + s2 + (s1 + s3));
    if (norm === 0) return i;
    const by = 1 / norm;
    for (; at < end; at++) f32[at] = f32[at]! * by;
  }
  return -1;
}

function toBfloat16(views: Views, from: number, count: number, to: number): void {
  const { u16, u32 } = views;
  for (let j = 0; j < count; j++) {
    const bits = u32[from + j]!;
    u16[to + j] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}

/** Returns the scale of the row. */
function toInt8(views: Views, from: number, count: number, to: number): number {
  const { f32, i8 } = views;
  let most = 0;
  for (let j = 0; j < count; j++) most = Math.max(most, Math.abs(f32[from + j]!));
  const scale = fround(most / 127);
  for (let j = 0; j < count; j++) {
    const units = scale > 0 ? Math.floor(fround(fround(f32[from + j]! / scale) + 0.5)) : 0;
    i8[to + j] = Math.min(Math.max(units, -127), 127);
  }
  return scale;
}

/**
 * Stores f32 [count x stride] as bfloat16 (round to nearest even) or as int8 with one scale per row (largest magnitude / 127).
 * out: u16 or i8 [count x stride]; scales: f32 [count], int8 only.
 */
export function compressRows(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  codec: number,
  out: number,
  scales: number,
): void {
  const from = rows >>> 2;
  if (codec === CODEC_BFLOAT16) toBfloat16(views, from, count * stride, out >>> 1);
  if (codec !== CODEC_INT8) return;
  for (let i = 0; i < count; i++) {
    views.f32[(scales >>> 2) + i] = toInt8(views, from + i * stride, stride, (out >>> 0) + i * stride);
  }
}
