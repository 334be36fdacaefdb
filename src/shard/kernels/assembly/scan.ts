import {
  BLOCK_LANES, BUFFER_SLACK, LUT_GROUP, SEGMENT_BLOCKS, SEGMENT_COUNT, SEGMENT_HEADER_BYTES, SEGMENT_NEXT,
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
function integerThreshold(state: usize, tablesAt: usize, leafScore: f32): i32 {
  const atLeast = load<u64>(state, STATE_FLOOR);
  if (atLeast == 0) return -32768;
  const tables = state + tablesAt;
  const base = leafScore + load<f32>(tables, TABLES_OFFSET), least = scoreOf(atLeast);
  const units = (least - base - (abs(least) + abs(base)) * <f32>4.76837158203125e-7) * load<f32>(tables, TABLES_SCALE);
  if (!(units > -32700)) return -32768;
  return units > 32700 ? 32700 : <i32>ceil<f32>(units);
}

/**
 * LUT16 scan of leaves of one shard, for one query or several. Each visit is of one leaf by one query, which keeps its best as
 * (approximate score, local) keys, in no order, with their number in its state; `finishScan` cuts them back to `limit` at the end.
 * Of LUT entries a group of LUT_GROUP adds up in 8-bit lanes before it is widened to 16 bits.
 * visits [count], each with a query's state; tablesAt, keysAt: bytes from a state to the query's tables and candidate buffer,
 * which has room for 2 x limit + BUFFER_SLACK.
 */
export function scanLeaves(shard: usize, visits: usize, count: i32, limit: i32, tablesAt: usize, keysAt: usize): void {
  const last = visits + <usize>count * VISIT_BYTES;
  while (visits < last) {
    const next = visits + VISIT_BYTES;
    if (next < last && load<u32>(visits) == load<u32>(next) && load<u32>(visits, 8) != load<u32>(next, 8)) {
      scanForTwo(shard, visits, limit, tablesAt, keysAt);
      visits = next + VISIT_BYTES;
    } else {
      scanForOne(shard, visits, limit, tablesAt, keysAt);
      visits = next;
    }
  }
}

function scanForOne(shard: usize, visit: usize, limit: i32, tablesAt: usize, keysAt: usize): void {
  const subspaces = load<i32>(shard, SHARD_SUBSPACES), blockBytes = <usize>subspaces << 4;
  const hasBias = load<i32>(shard, SHARD_HAS_BIAS), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const lutAt = tablesAt + TABLES_HEADER_BYTES + (<usize>load<u32>(shard, SHARD_STRIDE) << 2);
  const nibble = i8x16.splat(0x0f);
  const state = <usize>load<u32>(visit, 8), leafScore = load<f32>(visit, 4);
  const biasBy = i16x8.splat(<i16>load<i32>(state + tablesAt, TABLES_BIAS_MULTIPLIER));
  let least = integerThreshold(state, tablesAt, leafScore), scanned: u32 = 0;
  let segment = <usize>load<u32>(<usize>load<u32>(shard, SHARD_LEAVES) + (<usize>load<u32>(visit) << 2));
  while (segment) {
    const lanes = atomic.load<i32>(segment, SEGMENT_COUNT);
    const capacity = <usize>load<u32>(segment, SEGMENT_BLOCKS);
    let codes = segment + SEGMENT_HEADER_BYTES;
    let biases = codes + capacity * blockBytes;
    const locals = biases + (hasBias ? capacity << 6 : 0);
    for (let pos = 0; pos < lanes; pos += BLOCK_LANES) {
      let a0 = i64x2.splat(0), a1 = i64x2.splat(0), a2 = i64x2.splat(0), a3 = i64x2.splat(0);
      const end = codes + blockBytes;
      let l = state + lutAt;
      while (codes < end) {
        const stop = min(end, codes + (LUT_GROUP << 4));
        let lo = i64x2.splat(0), hi = i64x2.splat(0);
        do {
          const c0 = v128.load(codes), c1 = v128.load(codes, 16);
          const t0 = v128.load(l), t1 = v128.load(l, 16);
          lo = i8x16.add(lo, i8x16.add(lookup(t0, v128.and(c0, nibble)), lookup(t1, v128.and(c1, nibble))));
          hi = i8x16.add(hi, i8x16.add(lookup(t0, high(c0, nibble)), lookup(t1, high(c1, nibble))));
          codes += 32; l += 32;
        } while (codes < stop);
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
      least = take(a0, a1, a2, a3, least, state, locals + (<usize>pos << 2), lanes - pos, shift, limit, tablesAt, keysAt, leafScore);
    }
    scanned += <u32>lanes;
    segment = <usize>load<u32>(segment, SEGMENT_NEXT);
  }
  store<u32>(state, load<u32>(state, STATE_CODES) + scanned, STATE_CODES);
}

/** Two visits, one after the other, of the same leaf: its codes are loaded and taken apart once. */
function scanForTwo(shard: usize, visit: usize, limit: i32, tablesAt: usize, keysAt: usize): void {
  const subspaces = load<i32>(shard, SHARD_SUBSPACES), blockBytes = <usize>subspaces << 4;
  const hasBias = load<i32>(shard, SHARD_HAS_BIAS), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const lutAt = tablesAt + TABLES_HEADER_BYTES + (<usize>load<u32>(shard, SHARD_STRIDE) << 2);
  const nibble = i8x16.splat(0x0f);
  const state = <usize>load<u32>(visit, 8), leafScore = load<f32>(visit, 4);
  const other = <usize>load<u32>(visit, VISIT_BYTES + 8), otherScore = load<f32>(visit, VISIT_BYTES + 4);
  const biasBy = i16x8.splat(<i16>load<i32>(state + tablesAt, TABLES_BIAS_MULTIPLIER));
  const otherBy = i16x8.splat(<i16>load<i32>(other + tablesAt, TABLES_BIAS_MULTIPLIER));
  let least = integerThreshold(state, tablesAt, leafScore), otherLeast = integerThreshold(other, tablesAt, otherScore);
  let scanned: u32 = 0;
  let segment = <usize>load<u32>(<usize>load<u32>(shard, SHARD_LEAVES) + (<usize>load<u32>(visit) << 2));
  while (segment) {
    const lanes = atomic.load<i32>(segment, SEGMENT_COUNT);
    const capacity = <usize>load<u32>(segment, SEGMENT_BLOCKS);
    let codes = segment + SEGMENT_HEADER_BYTES;
    let biases = codes + capacity * blockBytes;
    const locals = biases + (hasBias ? capacity << 6 : 0);
    for (let pos = 0; pos < lanes; pos += BLOCK_LANES) {
      let a0 = i64x2.splat(0), a1 = i64x2.splat(0), a2 = i64x2.splat(0), a3 = i64x2.splat(0);
      let b0 = i64x2.splat(0), b1 = i64x2.splat(0), b2 = i64x2.splat(0), b3 = i64x2.splat(0);
      const end = codes + blockBytes;
      let l = state + lutAt, k = other + lutAt;
      while (codes < end) {
        const stop = min(end, codes + (LUT_GROUP << 4));
        let lo = i64x2.splat(0), hi = i64x2.splat(0), lo2 = i64x2.splat(0), hi2 = i64x2.splat(0);
        do {
          const c0 = v128.load(codes), c1 = v128.load(codes, 16);
          const i0 = v128.and(c0, nibble), i1 = v128.and(c1, nibble), j0 = high(c0, nibble), j1 = high(c1, nibble);
          const t0 = v128.load(l), t1 = v128.load(l, 16);
          lo = i8x16.add(lo, i8x16.add(lookup(t0, i0), lookup(t1, i1)));
          hi = i8x16.add(hi, i8x16.add(lookup(t0, j0), lookup(t1, j1)));
          const u0 = v128.load(k), u1 = v128.load(k, 16);
          lo2 = i8x16.add(lo2, i8x16.add(lookup(u0, i0), lookup(u1, i1)));
          hi2 = i8x16.add(hi2, i8x16.add(lookup(u0, j0), lookup(u1, j1)));
          codes += 32; l += 32; k += 32;
        } while (codes < stop);
        a0 = i16x8.add(a0, lo); a1 = i16x8.add(a1, i16x8.shr_u(lo, 8));
        a2 = i16x8.add(a2, hi); a3 = i16x8.add(a3, i16x8.shr_u(hi, 8));
        b0 = i16x8.add(b0, lo2); b1 = i16x8.add(b1, i16x8.shr_u(lo2, 8));
        b2 = i16x8.add(b2, hi2); b3 = i16x8.add(b3, i16x8.shr_u(hi2, 8));
      }
      a0 = i16x8.sub(a0, i16x8.shl(a1, 8));
      a2 = i16x8.sub(a2, i16x8.shl(a3, 8));
      b0 = i16x8.sub(b0, i16x8.shl(b1, 8));
      b2 = i16x8.sub(b2, i16x8.shl(b3, 8));
      if (hasBias) {
        const d0 = v128.load(biases), d1 = v128.load(biases, 16), d2 = v128.load(biases, 32), d3 = v128.load(biases, 48);
        a0 = i16x8.sub(a0, i16x8.q15mulr_sat_s(d0, biasBy));
        a1 = i16x8.sub(a1, i16x8.q15mulr_sat_s(d1, biasBy));
        a2 = i16x8.sub(a2, i16x8.q15mulr_sat_s(d2, biasBy));
        a3 = i16x8.sub(a3, i16x8.q15mulr_sat_s(d3, biasBy));
        b0 = i16x8.sub(b0, i16x8.q15mulr_sat_s(d0, otherBy));
        b1 = i16x8.sub(b1, i16x8.q15mulr_sat_s(d1, otherBy));
        b2 = i16x8.sub(b2, i16x8.q15mulr_sat_s(d2, otherBy));
        b3 = i16x8.sub(b3, i16x8.q15mulr_sat_s(d3, otherBy));
        biases += 64;
      }
      const block = locals + (<usize>pos << 2), left = lanes - pos;
      least = take(a0, a1, a2, a3, least, state, block, left, shift, limit, tablesAt, keysAt, leafScore);
      otherLeast = take(b0, b1, b2, b3, otherLeast, other, block, left, shift, limit, tablesAt, keysAt, otherScore);
    }
    scanned += <u32>lanes;
    segment = <usize>load<u32>(segment, SEGMENT_NEXT);
  }
  store<u32>(state, load<u32>(state, STATE_CODES) + scanned, STATE_CODES);
  store<u32>(other, load<u32>(other, STATE_CODES) + scanned, STATE_CODES);
}

/** Looks for lanes of a block whose sums reach the threshold, and admits them; returns the threshold from then on. */
// @ts-ignore: decorator
@inline function take(a0: v128, a1: v128, a2: v128, a3: v128, least: i32, state: usize, locals: usize, lanes: i32, shift: u32, limit: i32, tablesAt: usize, keysAt: usize, leafScore: f32): i32 {
  const t = i16x8.splat(<i16>least);
  const g0 = i16x8.ge_s(a0, t), g1 = i16x8.ge_s(a1, t), g2 = i16x8.ge_s(a2, t), g3 = i16x8.ge_s(a3, t);
  if (!v128.any_true(v128.or(v128.or(g0, g1), v128.or(g2, g3)))) return least;
  const sums = state + STATE_LANES;
  v128.store(sums, a0); v128.store(sums, a1, 16); v128.store(sums, a2, 32); v128.store(sums, a3, 48);
  const mask = i8x16.bitmask(i8x16.narrow_i16x8_s(g0, g1)) | (i8x16.bitmask(i8x16.narrow_i16x8_s(g2, g3)) << 16);
  const rose = admit(state, mask, locals, lanes, shift, limit, tablesAt, keysAt, leafScore);
  return rose ? integerThreshold(state, tablesAt, leafScore) : least;
}

/**
 * Takes the lanes of a block that reach the threshold as candidates; returns whether the floor rose. mask: a bit per lane, in the order
 * of STATE_LANES, which has their sums. locals: those of the block, of which `lanes` are in use.
 */
function admit(state: usize, mask: i32, locals: usize, lanes: i32, shift: u32, limit: i32, tablesAt: usize, keysAt: usize, leafScore: f32): bool {
  const tables = state + tablesAt, keys = state + keysAt, sums = state + STATE_LANES, counts = state + STATE_HISTOGRAM;
  const full = 2 * limit + BUFFER_SLACK - BLOCK_LANES;
  const inverse = load<f32>(tables, TABLES_INVERSE_SCALE), base = leafScore + load<f32>(tables, TABLES_OFFSET);
  let held = load<i32>(state, STATE_HELD), floor = load<u64>(state, STATE_FLOOR);
  // Candidates above bucket `edge` of the counts; the buckets are chosen, and `edge` leaves -1, when `limit` are held.
  let above = load<i32>(state, STATE_ABOVE), edge = load<i32>(state, STATE_EDGE) - 1;
  let low = load<f32>(state, STATE_LOW), perScore = load<f32>(state, STATE_PER_SCORE);
  const bound = boundOf(state), deaths = deathsOf(state), epoch = epochOf(state), filter = filterOf(state);
  const looks = (deaths | filter) != 0;
  do {
    const k = ctz(mask);
    mask &= mask - 1;
    const lane = (k & 16) + ((k & 7) << 1) + ((k >> 3) & 1);
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
  } while (mask);
  let rises = false;
  if (above >= limit) {
    if (edge < 0) {
      low = scoreOf(smallest(keys, held));
      perScore = fitBuckets(keys, held, low, load<f32>(tables, TABLES_SCALE), counts);
      store<f32>(state, low, STATE_LOW);
      store<f32>(state, perScore, STATE_PER_SCORE);
      above = held;
    }
    while (above >= limit) above -= load<i32>(counts + (<usize>++edge << 2));
    floor = max(floor, keyBelow(edge, low, perScore));
    store<u64>(state, floor, STATE_FLOOR);
    rises = true;
  }
  if (held > full) {
    held = keepFrom(keys, held, floor);
    if (held > full - (limit >> 1)) {
      held = compact(keys, held, limit, state + STATE_FLOOR);
      above = held;
      edge = -1;
      rises = true;
    }
  }
  store<i32>(state, held, STATE_HELD);
  store<i32>(state, above, STATE_ABOVE);
  store<i32>(state, edge + 1, STATE_EDGE);
  return rises;
}

/** Cuts the candidates of a query back to the `limit` best after its last visit; returns their number, and raises the floor. */
export function finishScan(state: usize, keys: usize, limit: i32): i32 {
  const held = keepFrom(keys, load<i32>(state, STATE_HELD), load<u64>(state, STATE_FLOOR));
  const pivot = keyBelow(load<i32>(state, STATE_EDGE), load<f32>(state, STATE_LOW), load<f32>(state, STATE_PER_SCORE));
  return compactBelow(keys, held, limit, state + STATE_FLOOR, pivot);
}
