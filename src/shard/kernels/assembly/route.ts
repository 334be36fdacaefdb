import {
  LEAF_ENTRY_BYTES, MODEL_CENTROIDS, MODEL_CENTROID_BIAS, MODEL_NUM_LEAVES, MODEL_ROUTES, MODEL_STRIDE, ROUTE_BIASES,
  ROUTE_BUCKETS, ROUTE_CODES, ROUTE_LANES, ROUTE_LEAST_SHARE, ROUTE_MARGIN,
  ROUTE_MARGIN_SHARE,
} from "../../../protocol/shard-layout";
import { idOf, keyOf, scoreOf } from "./order";
import { selectTop, sortDescending } from "./select";
import { dot, max4, min4 } from "./vector";

/**
 * Writes the best leaves for a query, f32 [stride], to `leaves`, best first: by score, then the lower.
 * scratch: i16 [stride], f32 [numLeaves, padded to ROUTE_LANES], u32 [ROUTE_BUCKETS], then u64 [numLeaves].
 */
export function chooseLeaves(model: usize, query: usize, leaves: usize, wanted: i32, scratch: usize): void {
  const numLeaves = load<i32>(model, MODEL_NUM_LEAVES), stride = load<i32>(model, MODEL_STRIDE);
  const scores = scratch + (<usize>stride << 1);
  const buckets = scores + (<usize>((numLeaves + ROUTE_LANES - 1) & -ROUTE_LANES) << 2);
  const keys = buckets + (ROUTE_BUCKETS << 2);
  const routes = <usize>load<u32>(model, MODEL_ROUTES);
  let count = 0;
  if (routes != 0 && ROUTE_LEAST_SHARE * wanted <= numLeaves) {
    const scale = quantize(query, stride, scratch);
    if (scale > 0) {
      scoreByCodes(routes, stride, numLeaves, scratch, scale, scores);
      count = gather(scores, numLeaves, wanted + ROUTE_MARGIN + wanted / ROUTE_MARGIN_SHARE, buckets, keys);
    }
  }
  if (count == 0) {
    count = numLeaves;
    for (let i = 0; i < numLeaves; i++) store<u64>(keys + (<usize>i << 3), keyOf(0, i));
  }
  const centroids = <usize>load<u32>(model, MODEL_CENTROIDS), biases = <usize>load<u32>(model, MODEL_CENTROID_BIAS);
  rescore(centroids, stride, query, biases, keys, count);
  selectTop(keys, count, wanted);
  sortDescending(keys, wanted);
  for (let i = 0; i < wanted; i++) {
    const key = load<u64>(keys + (<usize>i << 3));
    store<u32>(leaves + <usize>i * LEAF_ENTRY_BYTES, idOf(key));
    store<f32>(leaves + <usize>i * LEAF_ENTRY_BYTES, scoreOf(key), 4);
  }
}

// A query as i16 [stride], as fine as leaves no sum of products with i8 beyond 31 bits; returns what one unit stands for, or 0
// when the numbers are too small for that.
function quantize(query: usize, stride: i32, out: usize): f32 {
  let widest = f32x4.splat(0);
  for (let j = 0; j < stride; j += 4) widest = f32x4.max(widest, f32x4.abs(v128.load(query + (<usize>j << 2))));
  const largest = max4(widest);
  if (!(largest > <f32>1e-30)) return 0;
  const most = <f32>min(32767, 0x7fffffff / (127 * stride));
  const by = f32x4.splat(most / largest), half = f32x4.splat(0.5);
  for (let j = 0; j < stride; j += 4) {
    const v = f32x4.floor(f32x4.add(f32x4.mul(v128.load(query + (<usize>j << 2)), by), half));
    const units = i32x4.trunc_sat_f32x4_s(v);
    v128.store64_lane(out + (<usize>j << 1), i16x8.narrow_i32x4_s(units, units), 0);
  }
  return largest / most;
}

// Scores by codes, f32 [numLeaves]. 16 leaves at a time: no horizontal sums, and one stream of memory.
function scoreByCodes(group: usize, stride: i32, numLeaves: i32, numbers: usize, scale: f32, scores: usize): void {
  const end = numbers + (<usize>stride << 1), by = f32x4.splat(scale);
  for (let first = 0; first < numLeaves; first += ROUTE_LANES) {
    let a = i32x4.splat(0), b = i32x4.splat(0), c = i32x4.splat(0), d = i32x4.splat(0);
    let code = group + ROUTE_CODES;
    for (let number = numbers; number < end; number += 8) {
      const p = v128.load32_splat(number), q = v128.load32_splat(number, 4);
      a = i32x4.add(a, i32x4.dot_i16x8_s(p, v128.load_ext<i8>(code)));
      b = i32x4.add(b, i32x4.dot_i16x8_s(p, v128.load_ext<i8>(code, 8)));
      c = i32x4.add(c, i32x4.dot_i16x8_s(p, v128.load_ext<i8>(code, 16)));
      d = i32x4.add(d, i32x4.dot_i16x8_s(p, v128.load_ext<i8>(code, 24)));
      a = i32x4.add(a, i32x4.dot_i16x8_s(q, v128.load_ext<i8>(code, 32)));
      b = i32x4.add(b, i32x4.dot_i16x8_s(q, v128.load_ext<i8>(code, 40)));
      c = i32x4.add(c, i32x4.dot_i16x8_s(q, v128.load_ext<i8>(code, 48)));
      d = i32x4.add(d, i32x4.dot_i16x8_s(q, v128.load_ext<i8>(code, 56)));
      code += 64;
    }
    v128.store(scores, scoreOfSum(a, by, group));
    v128.store(scores, scoreOfSum(b, by, group + 16), 16);
    v128.store(scores, scoreOfSum(c, by, group + 32), 32);
    v128.store(scores, scoreOfSum(d, by, group + 48), 48);
    scores += ROUTE_LANES << 2;
    group = code;
  }
}

// Keys, without scores, of the `wanted` best leaves by their codes and of those that share a bucket with the last; returns their
// number, or 0 if all leaves are as good. Buckets spare the mispredicted branches of a selection.
// scores: f32 [numLeaves, padded to 4], the padding no better than the best and no worse than the worst.
function gather(scores: usize, numLeaves: i32, wanted: i32, buckets: usize, keys: usize): i32 {
  let best = v128.load(scores), worst = best;
  for (let i = 4; i < numLeaves; i += 4) {
    const v = v128.load(scores + (<usize>i << 2));
    best = f32x4.max(best, v);
    worst = f32x4.min(worst, v);
  }
  const most = max4(best), range = most - min4(worst);
  if (!(range > <f32>1e-30)) return 0;
  memory.fill(buckets, 0, ROUTE_BUCKETS << 2);
  const top = f32x4.splat(most), by = f32x4.splat(<f32>ROUTE_BUCKETS / range), last = i32x4.splat(ROUTE_BUCKETS - 1);
  for (let i = 0; i < numLeaves; i += 4) {
    const at = scores + (<usize>i << 2);
    const bucket = i32x4.trunc_sat_f32x4_s(f32x4.mul(f32x4.sub(top, v128.load(at)), by));
    v128.store(at, i32x4.min_s(bucket, last));
  }
  for (let i = 0; i < numLeaves; i++) {
    const bucket = buckets + (<usize>load<u32>(scores + (<usize>i << 2)) << 2);
    store<u32>(bucket, load<u32>(bucket) + 1);
  }
  let limit = 0;
  for (let held = load<i32>(buckets); held < wanted; held += load<i32>(buckets + (<usize>limit << 2))) limit++;
  const within = i32x4.splat(limit);
  let count = 0;
  for (let i = 0; i < numLeaves; i += 4) {
    let taken = i32x4.bitmask(i32x4.le_s(v128.load(scores + (<usize>i << 2)), within));
    if (numLeaves - i < 4) taken &= (1 << (numLeaves - i)) - 1;
    for (; taken != 0; taken &= taken - 1) {
      store<u64>(keys + (<usize>count << 3), keyOf(0, i + ctz(taken)));
      count++;
    }
  }
  return count;
}

// @ts-ignore: decorator
@inline function scoreOfSum(sum: v128, by: v128, lanes: usize): v128 {
  const product = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(sum), by), v128.load(lanes));
  return f32x4.sub(product, v128.load(lanes, ROUTE_BIASES));
}

// Gives keys, u64 [count], the scores of their leaves: four at once, so that each part of the query is loaded once and that
// more of memory is under way; additions in the order of `dot`.
function rescore(centroids: usize, stride: i32, query: usize, biases: usize, keys: usize, count: i32): void {
  const bytes = <usize>stride << 2, end = keys + (<usize>count << 3);
  for (; keys + 32 <= end; keys += 32) {
    const p = idOf(load<u64>(keys)), q = idOf(load<u64>(keys, 8)), r = idOf(load<u64>(keys, 16)), s = idOf(load<u64>(keys, 24));
    const sums = dot4(query, centroids + p * bytes, centroids + q * bytes, centroids + r * bytes, centroids + s * bytes, bytes);
    store<u64>(keys, keyOf(f32x4.extract_lane(sums, 0) - load<f32>(biases + (<usize>p << 2)), p));
    store<u64>(keys, keyOf(f32x4.extract_lane(sums, 1) - load<f32>(biases + (<usize>q << 2)), q), 8);
    store<u64>(keys, keyOf(f32x4.extract_lane(sums, 2) - load<f32>(biases + (<usize>r << 2)), r), 16);
    store<u64>(keys, keyOf(f32x4.extract_lane(sums, 3) - load<f32>(biases + (<usize>s << 2)), s), 24);
  }
  for (; keys < end; keys += 8) {
    const leaf = idOf(load<u64>(keys));
    const score = dot(query, centroids + leaf * bytes, stride) - load<f32>(biases + (<usize>leaf << 2));
    store<u64>(keys, keyOf(score, leaf));
  }
}

// @ts-ignore: decorator
@inline function dot4(query: usize, c: usize, d: usize, e: usize, f: usize, bytes: usize): v128 {
  let c0 = f32x4.splat(0), d0 = f32x4.splat(0), e0 = f32x4.splat(0), f0 = f32x4.splat(0);
  let c1 = f32x4.splat(0), d1 = f32x4.splat(0), e1 = f32x4.splat(0), f1 = f32x4.splat(0);
  let k: usize = 0;
  for (; k + 32 <= bytes; k += 32) {
    const p = v128.load(query + k), q = v128.load(query + k, 16);
    c0 = f32x4.add(c0, f32x4.mul(p, v128.load(c + k))); c1 = f32x4.add(c1, f32x4.mul(q, v128.load(c + k, 16)));
    d0 = f32x4.add(d0, f32x4.mul(p, v128.load(d + k))); d1 = f32x4.add(d1, f32x4.mul(q, v128.load(d + k, 16)));
    e0 = f32x4.add(e0, f32x4.mul(p, v128.load(e + k))); e1 = f32x4.add(e1, f32x4.mul(q, v128.load(e + k, 16)));
    f0 = f32x4.add(f0, f32x4.mul(p, v128.load(f + k))); f1 = f32x4.add(f1, f32x4.mul(q, v128.load(f + k, 16)));
  }
  if (k < bytes) {
    const p = v128.load(query + k);
    c0 = f32x4.add(c0, f32x4.mul(p, v128.load(c + k))); d0 = f32x4.add(d0, f32x4.mul(p, v128.load(d + k)));
    e0 = f32x4.add(e0, f32x4.mul(p, v128.load(e + k))); f0 = f32x4.add(f0, f32x4.mul(p, v128.load(f + k)));
  }
  return sumRows(f32x4.add(c0, c1), f32x4.add(d0, d1), f32x4.add(e0, e1), f32x4.add(f0, f1));
}

// The sum4 of four vectors: transposed, then added as lanes are.
// @ts-ignore: decorator
@inline function sumRows(a: v128, b: v128, c: v128, d: v128): v128 {
  const lowAB = v128.shuffle<i32>(a, b, 0, 4, 1, 5), highAB = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const lowCD = v128.shuffle<i32>(c, d, 0, 4, 1, 5), highCD = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  const s0 = v128.shuffle<i64>(lowAB, lowCD, 0, 2), s1 = v128.shuffle<i64>(lowAB, lowCD, 1, 3);
  const s2 = v128.shuffle<i64>(highAB, highCD, 0, 2), s3 = v128.shuffle<i64>(highAB, highCD, 1, 3);
  return f32x4.add(f32x4.add(f32x4.add(s0, s1), s2), s3);
}
