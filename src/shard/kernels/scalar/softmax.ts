import { highOfScore, keyAtLeast } from '../../../protocol/order.ts';
import type { Views } from '../../views.ts';
import { selectTop } from './select.ts';

// A row of logits is f32 [n], followed by padding up to a multiple of 8 floats. `positive` is the column of the right answer;
// the others are its negatives.

const fround = Math.fround;
const padded = (n: number): number => (n + 7) & ~7;

/**
 * Scales logits f32 [n, padded]; then subtracts corrections f32 [n, padded], unless null; then removes, by -Infinity, the
 * negatives that are the positive again: those of the same id in ids u32 [n, padded], unless null. The padding becomes -Infinity.
 */
export function adjustLogits(
  views: Views,
  logits: number,
  n: number,
  scale: number,
  corrections: number,
  ids: number,
  positive: number,
): void {
  const { f32, u32 } = views;
  const x = logits >>> 2;
  const correction = corrections >>> 2;
  const idAt = ids >>> 2;
  const by = fround(scale);
  for (let j = 0; j < n; j++) f32[x + j] = f32[x + j]! * by;
  if (corrections !== 0) for (let j = 0; j < n; j++) f32[x + j] = f32[x + j]! - f32[correction + j]!;
  if (ids !== 0) {
    const id = u32[idAt + positive]!;
    for (let j = 0; j < n; j++) if (j !== positive && u32[idAt + j] === id) f32[x + j] = -Infinity;
  }
  f32.fill(-Infinity, x + n, x + padded(n));
}

/**
 * Removes, by -Infinity, all negatives of logits f32 [n] but the `limit` largest; ties go to the lower column.
 * keys: scratch u64 [n]
 */
export function keepHardNegatives(
  views: Views,
  logits: number,
  n: number,
  positive: number,
  limit: number,
  keys: number,
): void {
  if (limit >= n - 1) return;
  const { f32, u32 } = views;
  const x = logits >>> 2;
  const base = keys >>> 2;
  for (let j = 0, at = base; j < n; j++) {
    if (j === positive) continue;
    u32[at++] = ~j;
    u32[at++] = highOfScore(f32[x + j]!);
  }
  let high = 0xffffffff;
  let low = 0xffffffff;
  if (limit > 0) selectTop(views, keys, n - 1, limit);
  for (let at = base; at < base + 2 * limit; at += 2) {
    if (keyAtLeast(u32[at + 1]!, u32[at]!, high, low)) continue;
    high = u32[at + 1]!;
    low = u32[at]!;
  }
  for (let j = 0; j < n; j++) {
    if (j !== positive && !keyAtLeast(highOfScore(f32[x + j]!), ~j >>> 0, high, low)) f32[x + j] = -Infinity;
  }
}

/** How many of logits f32 [n] are greater than the positive's. */
export function countGreater({ f32 }: Views, logits: number, n: number, positive: number): number {
  const x = logits >>> 2;
  const limit = f32[x + positive]!;
  let count = 0;
  for (let j = 0; j < n; j++) if (f32[x + j]! > limit) count++;
  return count;
}

const LEAST_EXPONENT = fround(-87.33); // below it e^x is no normal f32, and counts as 0
const ROUNDER = 12582912; // 1.5 * 2^23: adding it rounds to a whole number
const LOG2_E = fround(Math.LOG2E);
const LN2_HIGH = 0.693359375;
const LN2_LOW = fround(-2.1219444e-4);
const P0 = fround(1.98756915e-4);
const P1 = fround(1.3981999507e-3);
const P2 = fround(8.3334519073e-3);
const P3 = fround(4.1665795894e-2);
const P4 = fround(1.6666665459e-1);
const P5 = fround(5.0000001201e-1);
const POWERS = Float32Array.from({ length: 127 }, (_, n) => 2 ** -n);

/**
 * e^x for x <= 0, exactly 0 below -87.33; relative error below 2e-7. Cephes' expf: x = n * ln 2 + r, where ln 2 is in two parts,
 * and a polynomial of r.
 */
function exp(x: number): number {
  if (x < LEAST_EXPONENT) return 0;
  const n = fround(fround(fround(x * LOG2_E) + ROUNDER) - ROUNDER);
  let r = fround(x - fround(n * LN2_HIGH));
  r = fround(r - fround(n * LN2_LOW));
  let y = fround(fround(P0 * r) + P1);
  y = fround(fround(y * r) + P2);
  y = fround(fround(y * r) + P3);
  y = fround(fround(y * r) + P4);
  y = fround(fround(y * r) + P5);
  y = fround(fround(fround(y * fround(r * r)) + r) + 1);
  return y * POWERS[-n]!;
}

/**
 * Replaces logits f32 [n, padded] by e^(x - maximum), the padding by 0. One of them must be finite, and none Infinity.
 * stats f32 [4]: maximum, sum of e^(x - maximum), the positive's logit, 0
 */
function exponentials({ f32 }: Views, logits: number, n: number, positive: number, stats: number): void {
  const from = logits >>> 2;
  const end = from + padded(n);
  const stat = stats >>> 2;
  f32.fill(-Infinity, from + n, end);
  let most = -Infinity;
  for (let x = from; x < end; x++) if (most < f32[x]!) most = f32[x]!;
  most += 0; // -0 becomes +0
  f32[stat] = most;
  f32[stat + 2] = f32[from + positive]!;
  f32[stat + 3] = 0;
  let a0 = 0;
  let a1 = 0;
  let a2 = 0;
  let a3 = 0;
  let b0 = 0;
  let b1 = 0;
  let b2 = 0;
  let b3 = 0;
  for (let x = from; x < end; x += 8) {
    for (let l = x; l < x + 8; l++) f32[l] = exp(fround(f32[l]! - most));
    a0 = fround(a0 + f32[x]!);
    a1 = fround(a1 + f32[x + 1]!);
    a2 = fround(a2 + f32[x + 2]!);
    a3 = fround(a3 + f32[x + 3]!);
    b0 = fround(b0 + f32[x + 4]!);
    b1 = fround(b1 + f32[x + 5]!);
    b2 = fround(b2 + f32[x + 6]!);
    b3 = fround(b3 + f32[x + 7]!);
  }
  f32[stat + 1] = fround(fround(fround(a0 + b0) + fround(a1 + b1)) + fround(a2 + b2)) + fround(a3 + b3);
}

/**
 * Replaces logits f32 [n, padded] by the gradient of weight * -log(softmax of the positive): (e^(x - maximum) / sum, less 1 for
 * the positive) * weight, and the padding by 0. Logits may be -Infinity, but one must be finite, and none Infinity.
 * stats f32 [4]: maximum, sum of e^(x - maximum), the positive's logit, 0
 */
export function softmaxGradient(
  views: Views,
  logits: number,
  n: number,
  positive: number,
  weight: number,
  stats: number,
): void {
  exponentials(views, logits, n, positive, stats);
  const { f32 } = views;
  const from = logits >>> 2;
  const by = fround(1 / f32[(stats >>> 2) + 1]!);
  const times = fround(weight);
  const right = fround(fround(f32[from + positive]! * by) - 1) * times;
  for (let x = from, end = from + padded(n); x < end; x++) f32[x] = fround(f32[x]! * by) * times;
  f32[from + positive] = right;
}

/** The stats of softmaxGradient alone. Overwrites the logits f32 [n, padded]. */
export function softmaxStats(views: Views, logits: number, n: number, positive: number, stats: number): void {
  exponentials(views, logits, n, positive, stats);
}
