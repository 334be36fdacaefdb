import { HISTOGRAM_BUCKETS } from "../../../protocol/shard-layout";
import { keyOf, scoreOf } from "./order";
import { compact } from "./select";

// Counts of the scores that a scan has let through, u32 [HISTOGRAM_BUCKETS]: once `limit` of them lie in one bucket or above it,
// what lies below cannot matter. `bucketOf` alone decides where a score lies, and it never falls as scores rise, so no rounding
// can make the floor too high.

/** Buckets begin at score `low`; adding 2^23 rounds to a whole number, which the low bits then hold. */
// @ts-ignore: decorator
@inline export function bucketOf(score: f32, low: f32, perScore: f32): i32 {
  const bits = reinterpret<i32>((score - low) * perScore + <f32>8388608);
  return min(max(bits, 0x4b000000) - 0x4b000000, HISTOGRAM_BUCKETS - 1);
}

/** Starts the counts with the keys held, none of them below `low`. Returns buckets per unit of score, at most `finest`. */
export function fitBuckets(keys: usize, held: i32, low: f32, finest: f32, counts: usize): f32 {
  let most = low;
  for (let i = 0; i < held; i++) most = max(most, scoreOf(load<u64>(keys + (<usize>i << 3))));
  // Above 0, lest a difference that overflows becomes a NaN.
  const perScore = max(min(finest, <f32>(HISTOGRAM_BUCKETS / 2) / (most - low)), <f32>1e-37);
  memory.fill(counts, 0, HISTOGRAM_BUCKETS << 2);
  for (let i = 0; i < held; i++) {
    const at = counts + (<usize>bucketOf(scoreOf(load<u64>(keys + (<usize>i << 3))), low, perScore) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  return perScore;
}

/** A key below all scores of a bucket and of those above it; 0 when none is known. */
export function keyBelow(bucket: i32, low: f32, perScore: f32): u64 {
  const score = low + (<f32>bucket - <f32>0.515625) / perScore;
  return bucketOf(score, low, perScore) < bucket ? keyOf(score, 0) : 0;
}

/** Drops the keys below `floor`; returns how many stay. */
export function keepFrom(keys: usize, held: i32, floor: u64): i32 {
  let kept = 0;
  for (let i = 0; i < held; i++) {
    const key = load<u64>(keys + (<usize>i << 3));
    store<u64>(keys + (<usize>kept << 3), key);
    kept += i32(key >= floor);
  }
  return kept;
}

/** As `compact`, when fewer than `limit` keys exceed `pivot`, as a rule: these come first, and it chooses among the others. */
export function compactBelow(keys: usize, count: i32, limit: i32, floor: usize, pivot: u64): i32 {
  if (count < limit) return count;
  let sure = 0;
  for (let i = 0; i < count; i++) {
    const from = keys + (<usize>i << 3), to = keys + (<usize>sure << 3), key = load<u64>(from);
    store<u64>(from, load<u64>(to));
    store<u64>(to, key);
    sure += i32(key > pivot);
  }
  if (sure >= limit) sure = 0;
  return sure + compact(keys + (<usize>sure << 3), count - sure, limit - sure, floor);
}
