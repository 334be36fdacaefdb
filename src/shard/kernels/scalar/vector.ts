import { CODEC_BFLOAT16, CODEC_FLOAT32 } from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';

// Every score adds up as in assembly/vector.ts: two accumulators of four lanes that take turns, here a0..a3 and b0..b3, which
// are added together, then ((0 + 1) + 2) + 3.

const fround = Math.fround;

// A stored vector, decoded before it is scored. Each thread has its own copy of this module.
let decoded = new Float32Array(256);
let decodedBits = new Int32Array(decoded.buffer);

function reserve(stride: number): void {
  if (decoded.length >= stride) return;
  decoded = new Float32Array(2 * stride);
  decodedBits = new Int32Array(decoded.buffer);
}

/** Dot product of `stride` numbers of q from `i` and of x from `k`. */
export function dotAt(q: Float32Array, i: number, x: Float32Array, k: number, stride: number): number {
  let a0 = 0;
  let a1 = 0;
  let a2 = 0;
  let a3 = 0;
  let b0 = 0;
  let b1 = 0;
  let b2 = 0;
  let b3 = 0;
  const end = i + (stride & ~7);
  for (; i < end; i += 8, k += 8) {
    a0 = fround(a0 + fround(q[i]! * x[k]!));
    a1 = fround(a1 + fround(q[i + 1]! * x[k + 1]!));
    a2 = fround(a2 + fround(q[i + 2]! * x[k + 2]!));
    a3 = fround(a3 + fround(q[i + 3]! * x[k + 3]!));
    b0 = fround(b0 + fround(q[i + 4]! * x[k + 4]!));
    b1 = fround(b1 + fround(q[i + 5]! * x[k + 5]!));
    b2 = fround(b2 + fround(q[i + 6]! * x[k + 6]!));
    b3 = fround(b3 + fround(q[i + 7]! * x[k + 7]!));
  }
  if (stride & 4) {
    a0 = fround(a0 + fround(q[i]! * x[k]!));
    a1 = fround(a1 + fround(q[i + 1]! * x[k + 1]!));
    a2 = fround(a2 + fround(q[i + 2]! * x[k + 2]!));
    a3 = fround(a3 + fround(q[i + 3]! * x[k + 3]!));
  }
  return fround(fround(fround(fround(a0 + b0) + fround(a1 + b1)) + fround(a2 + b2)) + fround(a3 + b3));
}

function distanceAt(q: Float32Array, i: number, x: Float32Array, k: number, stride: number): number {
  let a0 = 0;
  let a1 = 0;
  let a2 = 0;
  let a3 = 0;
  let b0 = 0;
  let b1 = 0;
  let b2 = 0;
  let b3 = 0;
  let e = 0;
  const end = i + (stride & ~7);
  for (; i < end; i += 8, k += 8) {
    e = fround(q[i]! - x[k]!);
    a0 = fround(a0 + fround(e * e));
    e = fround(q[i + 1]! - x[k + 1]!);
    a1 = fround(a1 + fround(e * e));
    e = fround(q[i + 2]! - x[k + 2]!);
    a2 = fround(a2 + fround(e * e));
    e = fround(q[i + 3]! - x[k + 3]!);
    a3 = fround(a3 + fround(e * e));
    e = fround(q[i + 4]! - x[k + 4]!);
    b0 = fround(b0 + fround(e * e));
    e = fround(q[i + 5]! - x[k + 5]!);
    b1 = fround(b1 + fround(e * e));
    e = fround(q[i + 6]! - x[k + 6]!);
    b2 = fround(b2 + fround(e * e));
    e = fround(q[i + 7]! - x[k + 7]!);
    b3 = fround(b3 + fround(e * e));
  }
  if (stride & 4) {
    e = fround(q[i]! - x[k]!);
    a0 = fround(a0 + fround(e * e));
    e = fround(q[i + 1]! - x[k + 1]!);
    a1 = fround(a1 + fround(e * e));
    e = fround(q[i + 2]! - x[k + 2]!);
    a2 = fround(a2 + fround(e * e));
    e = fround(q[i + 3]! - x[k + 3]!);
    a3 = fround(a3 + fround(e * e));
  }
  return fround(fround(fround(fround(a0 + b0) + fround(a1 + b1)) + fround(a2 + b2)) + fround(a3 + b3));
}

/** Dot product, or minus the squared distance, of a query f32 [stride] and one stored vector; higher is better. */
export function scoreRow(
  views: Views,
  codec: number,
  l2: number,
  query: number,
  row: number,
  stride: number,
  scale: number,
): number {
  const { f32 } = views;
  let x = f32;
  let at = row >>> 2;
  if (codec !== CODEC_FLOAT32) {
    reserve(stride);
    if (codec === CODEC_BFLOAT16) {
      const { u16 } = views;
      for (let j = 0, k = row >>> 1; j < stride; j++, k++) decodedBits[j] = u16[k]! << 16;
    } else {
      const { i8 } = views;
      for (let j = 0, k = row >>> 0; j < stride; j++, k++) decoded[j] = i8[k]! * scale;
    }
    x = decoded;
    at = 0;
  }
  return l2 ? -distanceAt(f32, query >>> 2, x, at, stride) : dotAt(f32, query >>> 2, x, at, stride);
}

/** Dot product of two f32 [stride]. */
export function dot(views: Views, a: number, b: number, stride: number): number {
  return dotAt(views.f32, a >>> 2, views.f32, b >>> 2, stride);
}
