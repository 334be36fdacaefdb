import { highOfScore, keyAtLeast, scoreOfHigh } from '../../../protocol/order.ts';
import { HISTOGRAM_BUCKETS } from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';
import { compact, swap } from './select.ts';

// Counts of the scores that a scan has let through, u32 [HISTOGRAM_BUCKETS]: once `limit` of them lie in one bucket or above it,
// what lies below cannot matter. `bucketOf` alone decides where a score lies, and it never falls as scores rise, so no rounding
// can make the floor too high.

const fround = Math.fround;
const LEAST_PER_SCORE = fround(1e-37);

/** Buckets begin at score `low`; adding 2^23 rounds to a whole number. */
export function bucketOf(score: number, low: number, perScore: number): number {
  const bucket = fround(fround(fround(score - low) * perScore) + 0x800000) - 0x800000;
  return Math.min(Math.max(bucket, 0), HISTOGRAM_BUCKETS - 1) | 0;
}

/** Starts the counts with the keys held, none of them below `low`. Returns buckets per unit of score, at most `finest`. */
export function fitBuckets(
  views: Views,
  keys: number,
  held: number,
  low: number,
  finest: number,
  counts: number,
): number {
  const { u32 } = views;
  const first = (keys >>> 2) + 1;
  const end = first + 2 * held;
  let most = 0;
  for (let at = first; at < end; at += 2) most = Math.max(most, u32[at]!);
  // Above 0, lest a difference that overflows becomes a NaN.
  const perRange = fround(HISTOGRAM_BUCKETS / 2 / fround(scoreOfHigh(most) - low));
  const perScore = Math.max(Math.min(finest, perRange), LEAST_PER_SCORE);
  const zero = counts >>> 2;
  u32.fill(0, zero, zero + HISTOGRAM_BUCKETS);
  for (let at = first; at < end; at += 2) u32[zero + bucketOf(scoreOfHigh(u32[at]!), low, perScore)]!++;
  return perScore;
}

/** The high word of a key below all scores of a bucket and of those above it, its low word being full; 0 when none is known. */
export function highBelow(bucket: number, low: number, perScore: number): number {
  const score = fround(low + fround((bucket - 0.515625) / perScore));
  return bucketOf(score, low, perScore) < bucket ? highOfScore(score) : 0;
}

/** Drops the keys below a floor; returns how many stay. */
export function keepFrom(views: Views, keys: number, held: number, floorHigh: number, floorLow: number): number {
  const { u32 } = views;
  const base = keys >>> 2;
  let kept = 0;
  for (let i = 0; i < held; i++) {
    const low = u32[base + 2 * i]!;
    const high = u32[base + 2 * i + 1]!;
    u32[base + 2 * kept] = low;
    u32[base + 2 * kept + 1] = high;
    if (keyAtLeast(high, low, floorHigh, floorLow)) kept++;
  }
  return kept;
}

/**
 * As `compact`, when fewer than `limit` keys exceed all keys of the score `pivotHigh`, as a rule: these come first, and it
 * chooses among the others.
 */
export function compactBelow(
  views: Views,
  keys: number,
  count: number,
  limit: number,
  floor: number,
  pivotHigh: number,
): number {
  if (count < limit) return count;
  const { u32 } = views;
  const base = keys >>> 2;
  let sure = 0;
  for (let i = 0; i < count; i++) {
    const exceeds = u32[base + 2 * i + 1]! > pivotHigh;
    swap(u32, base, i, sure);
    if (exceeds) sure++;
  }
  if (sure >= limit) sure = 0;
  return sure + compact(views, keys + sure * 8, count - sure, limit - sure, floor);
}
