import { CODEC_BFLOAT16, CODEC_FLOAT32 } from "../../../protocol/shard-layout";

// Every score adds up in the same order whatever the codec, batch or tier: two accumulators of four lanes that take turns,
// then ((0 + 1) + 2) + 3. The scalar twins follow it, so all tiers agree bit for bit. No fused multiply-add for that reason.

// @ts-ignore: decorator
@inline export function sum4(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3);
}

// @ts-ignore: decorator
@inline export function min4(v: v128): f32 {
  return min(min(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), min(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}
// @ts-ignore: decorator
@inline export function max4(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

// @ts-ignore: decorator
@inline function loadBfloat16(p: usize): v128 {
  return i32x4.shl(i32x4.extend_low_i16x8_u(v128.load64_zero(p)), 16);
}

// @ts-ignore: decorator
@inline function loadInt8(p: usize, scale: v128): v128 {
  const wide = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(p)));
  return f32x4.mul(f32x4.convert_i32x4_s(wide), scale);
}

// @ts-ignore: decorator
@inline function term<L2>(q: v128, x: v128, sum: v128): v128 {
  if (isInteger<L2>()) {
    const e = f32x4.sub(q, x);
    return f32x4.add(sum, f32x4.mul(e, e));
  }
  return f32x4.add(sum, f32x4.mul(q, x));
}

// L2 is a type parameter used as a compile-time flag: bool (an integer) selects squared_l2, f32 the dot product.
function scoreFloat32<L2>(query: usize, row: usize, stride: i32): f32 {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0);
  const end = query + (<usize>(stride & ~7) << 2);
  while (query < end) {
    s0 = term<L2>(v128.load(query), v128.load(row), s0);
    s1 = term<L2>(v128.load(query, 16), v128.load(row, 16), s1);
    query += 32; row += 32;
  }
  if (stride & 4) s0 = term<L2>(v128.load(query), v128.load(row), s0);
  return sum4(f32x4.add(s0, s1));
}

function scoreBfloat16<L2>(query: usize, row: usize, stride: i32): f32 {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0);
  const end = query + (<usize>(stride & ~7) << 2);
  while (query < end) {
    s0 = term<L2>(v128.load(query), loadBfloat16(row), s0);
    s1 = term<L2>(v128.load(query, 16), loadBfloat16(row + 8), s1);
    query += 32; row += 16;
  }
  if (stride & 4) s0 = term<L2>(v128.load(query), loadBfloat16(row), s0);
  return sum4(f32x4.add(s0, s1));
}

function scoreInt8<L2>(query: usize, row: usize, stride: i32, scale: f32): f32 {
  let s0 = f32x4.splat(0), s1 = f32x4.splat(0);
  const by = f32x4.splat(scale);
  const end = query + (<usize>(stride & ~7) << 2);
  while (query < end) {
    s0 = term<L2>(v128.load(query), loadInt8(row, by), s0);
    s1 = term<L2>(v128.load(query, 16), loadInt8(row + 4, by), s1);
    query += 32; row += 8;
  }
  if (stride & 4) s0 = term<L2>(v128.load(query), loadInt8(row, by), s0);
  return sum4(f32x4.add(s0, s1));
}

/** Dot product, or minus the squared distance, of a query f32 [stride] and one stored vector; higher is better. */
// @ts-ignore: decorator
@inline export function scoreRow(codec: i32, l2: i32, query: usize, row: usize, stride: i32, scale: f32): f32 {
  if (codec == CODEC_FLOAT32) return l2 ? -scoreFloat32<bool>(query, row, stride) : scoreFloat32<f32>(query, row, stride);
  if (codec == CODEC_BFLOAT16) return l2 ? -scoreBfloat16<bool>(query, row, stride) : scoreBfloat16<f32>(query, row, stride);
  return l2 ? -scoreInt8<bool>(query, row, stride, scale) : scoreInt8<f32>(query, row, stride, scale);
}

export function dot(query: usize, row: usize, stride: i32): f32 {
  return scoreFloat32<f32>(query, row, stride);
}
