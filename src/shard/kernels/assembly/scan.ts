import {
  BLOCK_LANES, BUFFER_SLACK, SEGMENT_BLOCKS, SEGMENT_COUNT, SEGMENT_HEADER_BYTES, SEGMENT_NEXT,
  SHARD_CHUNK_SHIFT, SHARD_HAS_BIAS, SHARD_LEAVES, SHARD_STRIDE, SHARD_SUBSPACES, STATE_ABOVE, STATE_CODES, STATE_EDGE, STATE_FLOOR, STATE_HELD,
  STATE_HISTOGRAM, STATE_LANES, STATE_LOW, STATE_PER_SCORE, TABLES_BIAS_MULTIPLIER, TABLES_HEADER_BYTES, TABLES_INVERSE_SCALE,
  TABLES_OFFSET, TABLES_SCALE, VISIT_BYTES,
} from "../../../protocol/shard-layout";
import { boundOf, deathsOf, epochOf, filterOf, isVisible } from "./visible";
import { bucketOf, compactBelow, fitBuckets, keepFrom, keyBelow } from "./histogram";
import { keyOf, scoreOf } from "./order";
import { compact, smallest } from "./select";

// @ts-ignore: decorator
@inline function lookup(table: v128, index: v128): v128 {
  // Indexes are below 16, where the relaxed form is deterministic and equal to the strict one.
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, index);
  return i8x16.swizzle(table, index);
}

// A 16-bit shift and a mask: the engine makes an 8-bit shift of five instructions.
// @ts-ignore: decorator
@inline function high(codes: v128, nibble: v128): v128 { return v128.and(i16x8.shr_u(codes, 4), nibble); }

// The integer threshold only has to be safe: no lane whose score reaches `floor` may fall below it, however the float
// arithmetic of its score is rounded. Hence the margin, which grows with the magnitudes that are added.
// @ts-ignore: decorator
@inline function integerThreshold(atLeast: u64, base: f32, scale: f32): i32 {
  if (atLeast == 0) return -32768;
  const least = scoreOf(atLeast);
  const units = (least - base - (abs(least) + abs(base)) * <f32>4.76837158203125e-7) * scale;
  if (!(units > -32700)) return -32768;
  return units > 32700 ? 32698 : <i32>floor<f32>(units) - 2;
}

/**
 * LUT16 scan of leaves of one shard, for one query or several. Each visit is of one leaf by one query, which keeps its best as
 * (approximate score, local) keys, in no order, with their number in its state; `finishScan` cuts them back to `limit` at the end.
 * LUT entries are at most 63, so that four lookups add up in 8-bit lanes before they are widened to 16 bits.
 * visits [count], each with a query's state; tablesAt, keysAt: bytes from a state to the query's tables and candidate buffer,
 * which has room for 2 x limit + BUFFER_SLACK.
 */
export function scanLeaves(shard: usize, visits: usize, count: i32, limit: i32, tablesAt: usize, keysAt: usize): void {
  const heads = <usize>load<u32>(shard, SHARD_LEAVES), subspaces = load<i32>(shard, SHARD_SUBSPACES);
  const hasBias = load<i32>(shard, SHARD_HAS_BIAS), blockBytes = <usize>subspaces << 4;
  const lutAt = tablesAt + TABLES_HEADER_BYTES + (<usize>load<u32>(shard, SHARD_STRIDE) << 2);
  const nibble = i8x16.splat(0x0f), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const full = 2 * limit + BUFFER_SLACK - BLOCK_LANES;

  for (const last = visits + <usize>count * VISIT_BYTES; visits < last; visits += VISIT_BYTES) {
    let segment = <usize>load<u32>(heads + (<usize>load<u32>(visits) << 2));
    const state = <usize>load<u32>(visits, 8), tables = state + tablesAt, keys = state + keysAt, lut = state + lutAt;
    const sums = state + STATE_LANES, counts = state + STATE_HISTOGRAM;
    const inverse = load<f32>(tables, TABLES_INVERSE_SCALE), scale = load<f32>(tables, TABLES_SCALE);
    const biasBy = i16x8.splat(<i16>load<i32>(tables, TABLES_BIAS_MULTIPLIER));
    const base = load<f32>(visits, 4) + load<f32>(tables, TABLES_OFFSET);
    let held = load<i32>(state, STATE_HELD), floor = load<u64>(state, STATE_FLOOR);
    // Candidates above bucket `edge` of the counts; the buckets are chosen, and `edge` leaves -1, when `limit` are held.
    let above = load<i32>(state, STATE_ABOVE), edge = load<i32>(state, STATE_EDGE) - 1;
    let low = load<f32>(state, STATE_LOW), perScore = load<f32>(state, STATE_PER_SCORE);
    let least = integerThreshold(floor, base, scale);
    let scanned = load<u32>(state, STATE_CODES);
    const bound = boundOf(state), deaths = deathsOf(state), epoch = epochOf(state), filter = filterOf(state);
    const looks = (deaths | filter) != 0;
    while (segment) {
      const lanes = atomic.load<i32>(segment, SEGMENT_COUNT);
      const capacity = <usize>load<u32>(segment, SEGMENT_BLOCKS);
      let codes = segment + SEGMENT_HEADER_BYTES;
      let biases = codes + capacity * blockBytes;
      const locals = biases + (hasBias ? capacity << 6 : 0);
      for (let pos = 0; pos < lanes; pos += BLOCK_LANES) {
        let a0 = i64x2.splat(0), a1 = i64x2.splat(0), a2 = i64x2.splat(0), a3 = i64x2.splat(0);
        let l = lut;
        const end = lut + (blockBytes & ~63);
        while (l < end) {
          const c0 = v128.load(codes), c1 = v128.load(codes, 16), c2 = v128.load(codes, 32), c3 = v128.load(codes, 48);
          const t0 = v128.load(l), t1 = v128.load(l, 16), t2 = v128.load(l, 32), t3 = v128.load(l, 48);
          codes += 64; l += 64;
          const lo = i8x16.add(i8x16.add(lookup(t0, v128.and(c0, nibble)), lookup(t1, v128.and(c1, nibble))), i8x16.add(lookup(t2, v128.and(c2, nibble)), lookup(t3, v128.and(c3, nibble))));
          const hi = i8x16.add(i8x16.add(lookup(t0, high(c0, nibble)), lookup(t1, high(c1, nibble))), i8x16.add(lookup(t2, high(c2, nibble)), lookup(t3, high(c3, nibble))));
          a0 = i16x8.add(a0, lo); a1 = i16x8.add(a1, i16x8.shr_u(lo, 8));
          a2 = i16x8.add(a2, hi); a3 = i16x8.add(a3, i16x8.shr_u(hi, 8));
        }
        if (subspaces & 2) {
          const c0 = v128.load(codes), c1 = v128.load(codes, 16), t0 = v128.load(l), t1 = v128.load(l, 16);
          codes += 32;
          const lo = i8x16.add(lookup(t0, v128.and(c0, nibble)), lookup(t1, v128.and(c1, nibble)));
          const hi = i8x16.add(lookup(t0, high(c0, nibble)), lookup(t1, high(c1, nibble)));
          a0 = i16x8.add(a0, lo); a1 = i16x8.add(a1, i16x8.shr_u(lo, 8));
          a2 = i16x8.add(a2, hi); a3 = i16x8.add(a3, i16x8.shr_u(hi, 8));
        }
        a0 = i16x8.sub(a0, i16x8.shl(a1, 8));
        a2 = i16x8.sub(a2, i16x8.shl(a3, 8));
        if (hasBias) {
          a0 = i16x8.sub(a0, i16x8.q15mulr_sat_s(v128.load(biases), biasBy));
          a1 = i16x8.sub(a1, i16x8.q15mulr_sat_s(v128.load(biases, 16), biasBy));
          a2 = i16x8.sub(a2, i16x8.q15mulr_sat_s(v128.load(biases, 32), biasBy));
          a3 = i16x8.sub(a3, i16x8.q15mulr_sat_s(v128.load(biases, 48), biasBy));
          biases += 64;
        }
        const t = i16x8.splat(<i16>least);
        const g0 = i16x8.ge_s(a0, t), g1 = i16x8.ge_s(a1, t), g2 = i16x8.ge_s(a2, t), g3 = i16x8.ge_s(a3, t);
        if (v128.any_true(v128.or(v128.or(g0, g1), v128.or(g2, g3)))) {
          v128.store(sums, a0); v128.store(sums, a1, 16); v128.store(sums, a2, 32); v128.store(sums, a3, 48);
          let mask = i8x16.bitmask(i8x16.narrow_i16x8_s(g0, g1)) | (i8x16.bitmask(i8x16.narrow_i16x8_s(g2, g3)) << 16);
          while (mask) {
            const k = ctz(mask);
            mask &= mask - 1;
            const lane = pos + (k & 16) + ((k & 7) << 1) + ((k >> 3) & 1);
            if (lane >= lanes) continue;
            const score = base + <f32>load<i16>(sums + (<usize>k << 1)) * inverse;
            const local = load<u32>(locals + (<usize>lane << 2)), key = keyOf(score, local);
            store<u64>(keys + (<usize>held << 3), key);
            // Without a branch for what was added later, which is next to nothing.
            let passes = i32(key > floor) & i32(local < bound);
            if (looks && passes != 0) passes = i32(isVisible(filter, deaths, epoch, local, shift));
            const bucket = bucketOf(score, low, perScore);
            const at = counts + (<usize>bucket << 2);
            store<i32>(at, load<i32>(at) + passes);
            held += passes;
            above += passes & i32(bucket > edge);
          }
          if (above >= limit) {
            if (edge < 0) {
              low = scoreOf(smallest(keys, held));
              perScore = fitBuckets(keys, held, low, scale, counts);
              above = held;
            }
            while (above >= limit) above -= load<i32>(counts + (<usize>++edge << 2));
            floor = max(floor, keyBelow(edge, low, perScore));
            least = integerThreshold(floor, base, scale);
          }
          if (held > full) {
            held = keepFrom(keys, held, floor);
            if (held > full - (limit >> 1)) {
              held = compact(keys, held, limit, state + STATE_FLOOR);
              floor = load<u64>(state, STATE_FLOOR);
              least = integerThreshold(floor, base, scale);
              above = held;
              edge = -1;
            }
          }
        }
      }
      scanned += <u32>lanes;
      segment = <usize>load<u32>(segment, SEGMENT_NEXT);
    }
    store<u32>(state, scanned, STATE_CODES);
    store<i32>(state, held, STATE_HELD);
    store<u64>(state, floor, STATE_FLOOR);
    store<i32>(state, above, STATE_ABOVE);
    store<i32>(state, edge + 1, STATE_EDGE);
    store<f32>(state, low, STATE_LOW);
    store<f32>(state, perScore, STATE_PER_SCORE);
  }
}

/** Cuts the candidates of a query back to the `limit` best after its last visit; returns their number, and raises the floor. */
export function finishScan(state: usize, keys: usize, limit: i32): i32 {
  const held = keepFrom(keys, load<i32>(state, STATE_HELD), load<u64>(state, STATE_FLOOR));
  const pivot = keyBelow(load<i32>(state, STATE_EDGE), load<f32>(state, STATE_LOW), load<f32>(state, STATE_PER_SCORE));
  return compactBelow(keys, held, limit, state + STATE_FLOOR, pivot);
}
