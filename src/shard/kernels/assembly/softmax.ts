import { keyOf } from "./order";
import { selectTop, smallest } from "./select";
import { sum4 } from "./vector";

// A row of logits is f32 [n], followed by padding up to a multiple of 8 floats. `positive` is the column of the right answer;
// the others are its negatives.

// @ts-ignore: decorator
@inline function padded(n: i32): usize {
  return <usize>((n + 7) & ~7) << 2;
}

// @ts-ignore: decorator
@inline function pad(logits: usize, n: i32): void {
  for (let at = logits + (<usize>n << 2), end = logits + padded(n); at < end; at += 4) store<f32>(at, -Infinity);
}

/**
 * Scales logits f32 [n, padded]; then subtracts corrections f32 [n, padded], unless null; then removes, by -Infinity, the
 * negatives that are the positive again: those of the same id in ids u32 [n, padded], unless null. The padding becomes -Infinity.
 */
export function adjustLogits(logits: usize, n: i32, scale: f32, corrections: usize, ids: usize, positive: i32): void {
  const end = padded(n), by = f32x4.splat(scale);
  if (corrections) {
    for (let k: usize = 0; k < end; k += 16) {
      v128.store(logits + k, f32x4.sub(f32x4.mul(v128.load(logits + k), by), v128.load(corrections + k)));
    }
  } else {
    for (let k: usize = 0; k < end; k += 16) v128.store(logits + k, f32x4.mul(v128.load(logits + k), by));
  }
  if (ids) {
    const at = <usize>positive << 2;
    const kept = load<f32>(logits + at);
    const id = i32x4.splat(load<i32>(ids + at)), removed = f32x4.splat(-Infinity);
    for (let k: usize = 0; k < end; k += 16) {
      v128.store(logits + k, v128.bitselect(removed, v128.load(logits + k), i32x4.eq(v128.load(ids + k), id)));
    }
    store<f32>(logits + at, kept);
  }
  pad(logits, n);
}

/**
 * Removes, by -Infinity, all negatives of logits f32 [n] but the `limit` largest; ties go to the lower column.
 * keys: scratch u64 [n]
 */
export function keepHardNegatives(logits: usize, n: i32, positive: i32, limit: i32, keys: usize): void {
  if (limit >= n - 1) return;
  let at = keys;
  for (let j = 0; j < n; j++) {
    store<u64>(at, keyOf(load<f32>(logits + (<usize>j << 2)), j));
    if (j != positive) at += 8;
  }
  let least = u64.MAX_VALUE;
  if (limit > 0) {
    selectTop(keys, n - 1, limit);
    least = smallest(keys, limit);
  }
  for (let j = 0; j < n; j++) {
    const x = logits + (<usize>j << 2);
    if (j != positive && keyOf(load<f32>(x), j) < least) store<f32>(x, -Infinity);
  }
}

/** How many of logits f32 [n] are greater than the positive's. */
export function countGreater(logits: usize, n: i32, positive: i32): i32 {
  const limit = load<f32>(logits + (<usize>positive << 2)), than = f32x4.splat(limit);
  const end = logits + (<usize>n << 2), whole = logits + (<usize>(n & ~3) << 2);
  let counts = i32x4.splat(0);
  for (; logits < whole; logits += 16) counts = i32x4.sub(counts, f32x4.gt(v128.load(logits), than));
  let count = i32x4.extract_lane(counts, 0) + i32x4.extract_lane(counts, 1) + i32x4.extract_lane(counts, 2) + i32x4.extract_lane(counts, 3);
  for (; logits < end; logits += 4) count += i32(load<f32>(logits) > limit);
  return count;
}

const LEAST_EXPONENT: f32 = -87.33; // below it e^x is no normal f32, and counts as 0
const ROUNDER: f32 = 12582912; // 1.5 * 2^23: adding it leaves a whole number in the low bits of a sum

/**
 * e^x for x <= 0, exactly 0 below -87.33; relative error below 2e-7. Cephes' expf: x = n * ln 2 + r, where ln 2 is in two parts,
 * and a polynomial of r.
 */
// @ts-ignore: decorator
@inline function exp(x: v128): v128 {
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504088896341)), f32x4.splat(ROUNDER));
  const n = f32x4.sub(shifted, f32x4.splat(ROUNDER));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let y = f32x4.splat(1.9875691500e-4);
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.3981999507e-3));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(8.3334519073e-3));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(4.1665795894e-2));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.6666665459e-1));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(5.0000001201e-1));
  y = f32x4.add(f32x4.add(f32x4.mul(y, f32x4.mul(r, r)), r), f32x4.splat(1));
  // Times 2^n: the low bits of `shifted` are n, and are added to the exponent.
  y = i32x4.add(y, i32x4.shl(shifted, 23));
  return v128.andnot(y, f32x4.lt(x, f32x4.splat(LEAST_EXPONENT)));
}

/**
 * Replaces logits f32 [n, padded] by e^(x - maximum), the padding by 0. One of them must be finite, and none Infinity.
 * stats f32 [4]: maximum, sum of e^(x - maximum), the positive's logit, 0
 */
function exponentials(logits: usize, n: i32, positive: i32, stats: usize): void {
  pad(logits, n);
  const end = logits + padded(n);
  let m0 = f32x4.splat(-Infinity), m1 = m0;
  for (let at = logits; at < end; at += 32) {
    m0 = f32x4.pmax(m0, v128.load(at));
    m1 = f32x4.pmax(m1, v128.load(at, 16));
  }
  m0 = f32x4.pmax(m0, m1);
  const low = max(f32x4.extract_lane(m0, 0), f32x4.extract_lane(m0, 1));
  const high = max(f32x4.extract_lane(m0, 2), f32x4.extract_lane(m0, 3));
  const most = max(low, high) + <f32>0; // -0 becomes +0
  store<f32>(stats, most);
  store<f32>(stats, load<f32>(logits + (<usize>positive << 2)), 8);
  store<f32>(stats, 0, 12);
  const by = f32x4.splat(most);
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0);
  for (let at = logits; at < end; at += 32) {
    const e0 = exp(f32x4.sub(v128.load(at), by)), e1 = exp(f32x4.sub(v128.load(at, 16), by));
    v128.store(at, e0);
    v128.store(at, e1, 16);
    s0 = f32x4.add(s0, e0);
    s1 = f32x4.add(s1, e1);
  }
  store<f32>(stats, sum4(f32x4.add(s0, s1)), 4);
}

/**
 * Replaces logits f32 [n, padded] by the gradient of weight * -log(softmax of the positive): (e^(x - maximum) / sum, less 1 for
 * the positive) * weight, and the padding by 0. Logits may be -Infinity, but one must be finite, and none Infinity.
 * stats f32 [4]: maximum, sum of e^(x - maximum), the positive's logit, 0
 */
export function softmaxGradient(logits: usize, n: i32, positive: i32, weight: f32, stats: usize): void {
  exponentials(logits, n, positive, stats);
  const inverse = <f32>1 / load<f32>(stats, 4);
  const at = logits + (<usize>positive << 2);
  const right = (load<f32>(at) * inverse - <f32>1) * weight;
  const by = f32x4.splat(inverse), times = f32x4.splat(weight);
  for (const end = logits + padded(n); logits < end; logits += 32) {
    v128.store(logits, f32x4.mul(f32x4.mul(v128.load(logits), by), times));
    v128.store(logits, f32x4.mul(f32x4.mul(v128.load(logits, 16), by), times), 16);
  }
  store<f32>(at, right);
}

/** The stats of softmaxGradient alone. Overwrites the logits f32 [n, padded]. */
export function softmaxStats(logits: usize, n: i32, positive: i32, stats: usize): void {
  exponentials(logits, n, positive, stats);
}
