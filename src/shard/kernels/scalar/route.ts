import { highOfScore, idOfLow, scoreOfHigh } from '../../../protocol/order.ts';
import {
  LEAF_ENTRY_BYTES,
  MODEL_CENTROID_BIAS,
  MODEL_CENTROIDS,
  MODEL_NUM_LEAVES,
  MODEL_ROUTES,
  MODEL_STRIDE,
  ROUTE_BIASES,
  ROUTE_BUCKETS,
  ROUTE_CODES,
  ROUTE_LANES,
  ROUTE_LEAST_SHARE,
  ROUTE_MARGIN,
  ROUTE_MARGIN_SHARE,
} from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';
import { selectTop, sortDescending } from './select.ts';
import { dot } from './vector.ts';

const fround = Math.fround;
const NARROWEST = fround(1e-30); // numbers and ranges that are less are not divided by

/**
 * Writes the best leaves for a query, f32 [stride], to `leaves`, best first: by score, then the lower.
 * scratch: as the vector code has it.
 */
export function chooseLeaves(
  views: Views,
  model: number,
  query: number,
  leaves: number,
  wanted: number,
  scratch: number,
): void {
  const { f32, u32 } = views;
  const numLeaves = u32[(model + MODEL_NUM_LEAVES) >>> 2]!;
  const stride = u32[(model + MODEL_STRIDE) >>> 2]!;
  const scores = scratch + stride * 2;
  const buckets = scores + Math.ceil(numLeaves / ROUTE_LANES) * ROUTE_LANES * 4;
  const keys = buckets + ROUTE_BUCKETS * 4;
  const routes = u32[(model + MODEL_ROUTES) >>> 2]!;
  let count = 0;
  if (routes !== 0 && ROUTE_LEAST_SHARE * wanted <= numLeaves) {
    const scale = quantize(views, query, stride, scratch);
    if (scale > 0) {
      scoreByCodes(views, routes, stride, numLeaves, scratch, scale, scores);
      const margin = ROUTE_MARGIN + Math.floor(wanted / ROUTE_MARGIN_SHARE);
      count = gather(views, scores, numLeaves, wanted + margin, buckets, keys);
    }
  }
  if (count === 0) {
    count = numLeaves;
    for (let i = 0; i < numLeaves; i++) u32[(keys >>> 2) + 2 * i] = ~i;
  }
  const centroids = u32[(model + MODEL_CENTROIDS) >>> 2]!;
  const biases = u32[(model + MODEL_CENTROID_BIAS) >>> 2]! >>> 2;
  for (let i = 0, at = keys >>> 2; i < count; i++, at += 2) {
    const leaf = idOfLow(u32[at]!);
    const score = fround(dot(views, query, centroids + leaf * stride * 4, stride) - f32[biases + leaf]!);
    u32[at + 1] = highOfScore(score);
  }
  selectTop(views, keys, count, wanted);
  sortDescending(views, keys, wanted);
  for (let i = 0, at = keys >>> 2; i < wanted; i++, at += 2) {
    const entry = (leaves + i * LEAF_ENTRY_BYTES) >>> 2;
    u32[entry] = idOfLow(u32[at]!);
    f32[entry + 1] = scoreOfHigh(u32[at + 1]!);
  }
}

// A query as i16 [stride], as fine as leaves no sum of products with i8 beyond 31 bits; returns what one unit stands for, or 0
// when the numbers are too small for that.
function quantize({ f32, i16 }: Views, query: number, stride: number, out: number): number {
  const from = query >>> 2;
  let largest = 0;
  for (let j = 0; j < stride; j++) largest = Math.max(largest, Math.abs(f32[from + j]!));
  if (!(largest > NARROWEST)) return 0;
  const most = Math.min(32767, Math.floor(0x7fffffff / (127 * stride)));
  const by = fround(most / largest);
  for (let j = 0; j < stride; j++) {
    i16[(out >>> 1) + j] = Math.floor(fround(fround(f32[from + j]! * by) + 0.5));
  }
  return fround(largest / most);
}

// Scores by codes, f32 [numLeaves].
function scoreByCodes(
  { f32, i8, i16 }: Views,
  routes: number,
  stride: number,
  numLeaves: number,
  numbers: number,
  scale: number,
  scores: number,
): void {
  const groupBytes = ROUTE_CODES + stride * ROUTE_LANES;
  const padded = Math.ceil(numLeaves / ROUTE_LANES) * ROUTE_LANES;
  for (let i = 0; i < padded; i++) {
    const lane = i % ROUTE_LANES;
    const group = routes + ((i - lane) / ROUTE_LANES) * groupBytes;
    const codes = group + ROUTE_CODES + lane * 2;
    let sum = 0;
    for (let j = 0; j < stride; j += 2) {
      const at = codes + j * ROUTE_LANES;
      sum += i16[(numbers >>> 1) + j]! * i8[at]! + i16[(numbers >>> 1) + j + 1]! * i8[at + 1]!;
    }
    const product = fround(fround(fround(sum) * scale) * f32[(group >>> 2) + lane]!);
    f32[(scores >>> 2) + i] = product - f32[((group + ROUTE_BIASES) >>> 2) + lane]!;
  }
}

// Keys, without scores, of the `wanted` best leaves by their codes and of those that share a bucket with the last; returns their
// number, or 0 if all leaves are as good.
function gather(
  { f32, i32, u32 }: Views,
  scores: number,
  numLeaves: number,
  wanted: number,
  buckets: number,
  keys: number,
): number {
  const from = scores >>> 2;
  let best = f32[from]!;
  let worst = best;
  for (let i = 1; i < numLeaves; i++) {
    best = Math.max(best, f32[from + i]!);
    worst = Math.min(worst, f32[from + i]!);
  }
  const range = fround(best - worst);
  if (!(range > NARROWEST)) return 0;
  const counts = buckets >>> 2;
  u32.fill(0, counts, counts + ROUTE_BUCKETS);
  const by = fround(ROUTE_BUCKETS / range);
  for (let i = 0; i < Math.ceil(numLeaves / 4) * 4; i++) {
    const below = fround(best - f32[from + i]!);
    const bucket = Math.min(Math.trunc(fround(below * by)), ROUTE_BUCKETS - 1);
    i32[from + i] = bucket;
    if (i < numLeaves) u32[counts + bucket]!++;
  }
  let limit = 0;
  for (let held = u32[counts]!; held < wanted; held += u32[counts + limit]!) limit++;
  let count = 0;
  for (let i = 0; i < numLeaves; i++) if (i32[from + i]! <= limit) u32[(keys >>> 2) + 2 * count++] = ~i;
  return count;
}
