import {
  LUT_GROUP, METRIC_L2, MODEL_BIAS_MINIMUM, MODEL_BIAS_RANGE, MODEL_BLOCKS, MODEL_CODEBOOKS, MODEL_DIMENSIONS_PER_BLOCK,
  MODEL_MEAN, MODEL_METRIC, MODEL_STRIDE, MODEL_SUBSPACES, TABLES_BIAS_MULTIPLIER, TABLES_HEADER_BYTES,
  TABLES_INVERSE_SCALE, TABLES_OFFSET, TABLES_QUERY_NORM, TABLES_SCALE,
} from "../../../protocol/shard-layout";
import { chooseLeaves } from "./route";
import { dot, max4, min4 } from "./vector";

/** Query minus mean, f32 [stride]; returns nothing. */
function centre(query: usize, mean: usize, stride: i32, out: usize): void {
  for (let j = 0; j < stride; j += 4) {
    const at = <usize>j << 2;
    v128.store(out + at, f32x4.sub(v128.load(query + at), v128.load(mean + at)));
  }
}

/**
 * Chooses leaves and builds the LUT of one query.
 * tables: query tables with the query filled in, f32 [stride]; the LUT behind it and the header are written here.
 * leaves: room for numLeavesToSearch entries, best first.
 * scratch: f32 [stride], then what `chooseLeaves` needs or f32 [subspaces x 16], whichever is more.
 */
export function prepareQuery(model: usize, tables: usize, leaves: usize, numLeavesToSearch: i32, scratch: usize): void {
  const stride = load<i32>(model, MODEL_STRIDE);
  const query = tables + TABLES_HEADER_BYTES;
  const lut = query + (<usize>stride << 2);
  const l2 = load<i32>(model, MODEL_METRIC) == METRIC_L2;
  let routed = query;
  store<f32>(tables, 0, TABLES_QUERY_NORM);
  if (l2) {
    routed = scratch;
    scratch += <usize>stride << 2;
    centre(query, <usize>load<u32>(model, MODEL_MEAN), stride, routed);
    store<f32>(tables, dot(routed, routed, stride), TABLES_QUERY_NORM);
  }
  buildLut(model, tables, routed, lut, scratch);
  chooseLeaves(model, routed, leaves, numLeavesToSearch, scratch);
}

// What rounding may add to the entries of a group, and a bit more for that of the products themselves.
const ROUNDING: f32 = <f32>(LUT_GROUP / 2 + 1);
// Ranges are added up as shares of a group, lest the sum overflow where none of them does.
const SHARE: f32 = <f32>1 / <f32>LUT_GROUP;

// Every subspace's entries are shifted to start at 0 and share one scale, so that scores compare across leaves, the finest at which
// no group's entries add up to more than fits:
// score = base + offset + units x inverseScale.
function buildLut(model: usize, tables: usize, query: usize, lut: usize, scratch: usize): void {
  const blocks = load<i32>(model, MODEL_BLOCKS), subspaces = load<i32>(model, MODEL_SUBSPACES);
  const dims = load<i32>(model, MODEL_DIMENSIONS_PER_BLOCK);
  let codebook = <usize>load<u32>(model, MODEL_CODEBOOKS);
  let widest: f32 = 0, span: f32 = 0, offset: f32 = 0;
  for (let m = 0; m < blocks; m++) {
    let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
    for (let j = 0; j < dims; j++) {
      const q = v128.load32_splat(query);
      query += 4;
      s0 = f32x4.add(s0, f32x4.mul(q, v128.load(codebook)));
      s1 = f32x4.add(s1, f32x4.mul(q, v128.load(codebook, 16)));
      s2 = f32x4.add(s2, f32x4.mul(q, v128.load(codebook, 32)));
      s3 = f32x4.add(s3, f32x4.mul(q, v128.load(codebook, 48)));
      codebook += 64;
    }
    const least = min4(f32x4.min(f32x4.min(s0, s1), f32x4.min(s2, s3)));
    const most = max4(f32x4.max(f32x4.max(s0, s1), f32x4.max(s2, s3)));
    if (m % LUT_GROUP == 0) span = 0;
    span += (most - least) * SHARE;
    widest = max(widest, span);
    offset += least;
    const shift = f32x4.splat(least), at = scratch + (<usize>m << 6);
    v128.store(at, f32x4.sub(s0, shift));
    v128.store(at, f32x4.sub(s1, shift), 16);
    v128.store(at, f32x4.sub(s2, shift), 32);
    v128.store(at, f32x4.sub(s3, shift), 48);
  }
  // What 8 bits hold, or less where the sum of all groups has to fit 15.
  const groups = (subspaces + LUT_GROUP - 1) / LUT_GROUP, groupMax = <f32>min(255, 32767 / max(1, groups));
  const range = load<f32>(model, MODEL_BIAS_RANGE);
  let scale: f32 = 1;
  if (widest > <f32>1e-30) scale = (groupMax - ROUNDING) * SHARE / widest;
  if (range > 0) {
    const limit = <f32>32000 / range;
    scale = widest > <f32>1e-30 ? min(scale, limit) : limit;
  }
  const by = f32x4.splat(scale), half = f32x4.splat(0.5), top = f32x4.splat(groupMax);
  for (let m = 0; m < blocks; m++) {
    const at = scratch + (<usize>m << 6);
    const e0 = entry(v128.load(at), by, half, top), e1 = entry(v128.load(at, 16), by, half, top);
    const e2 = entry(v128.load(at, 32), by, half, top), e3 = entry(v128.load(at, 48), by, half, top);
    v128.store(lut + (<usize>m << 4), i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(e0, e1), i16x8.narrow_i32x4_s(e2, e3)));
  }
  for (let m = blocks; m < subspaces; m++) v128.store(lut + (<usize>m << 4), i64x2.splat(0));
  store<f32>(tables, <f32>1 / scale, TABLES_INVERSE_SCALE);
  store<f32>(tables, scale, TABLES_SCALE);
  store<f32>(tables, offset - load<f32>(model, MODEL_BIAS_MINIMUM), TABLES_OFFSET);
  store<i32>(tables, <i32>floor<f32>(range * scale + <f32>0.5), TABLES_BIAS_MULTIPLIER);
}

// @ts-ignore: decorator
@inline function entry(v: v128, by: v128, half: v128, top: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.min(f32x4.floor(f32x4.add(f32x4.mul(v, by), half)), top));
}
