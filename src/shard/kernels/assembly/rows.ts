import { CODEC_BFLOAT16, CODEC_INT8 } from "../../../protocol/shard-layout";
import { sum4 } from "./vector";

/** First row of f32 [count x stride] with a value that is not a number of magnitude at most `limit`, or -1. */
export function firstInvalidRow(rows: usize, count: i32, stride: i32, limit: f32): i32 {
  const bytes = <usize>stride << 2, most = f32x4.splat(limit);
  for (let i = 0; i < count; i++) {
    let ok = i32x4.splat(-1);
    for (let k: usize = 0; k < bytes; k += 16) ok = v128.and(ok, f32x4.le(f32x4.abs(v128.load(rows + k)), most));
    if (!i32x4.all_true(ok)) return i;
    rows += bytes;
  }
  return -1;
}

/** Scales each row of f32 [count x stride] to norm 1, in place; norms are summed in f64. Returns the first zero row, or -1. */
export function normalizeRows(rows: usize, count: i32, stride: i32): i32 {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i++) {
    let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
    for (let k: usize = 0; k < bytes; k += 16) {
      const a = f64x2.promote_low_f32x4(v128.load64_zero(rows + k)), b = f64x2.promote_low_f32x4(v128.load64_zero(rows + k, 8));
      s0 = f64x2.add(s0, f64x2.mul(a, a));
      s1 = f64x2.add(s1, f64x2.mul(b, b));
    }
    s0 = f64x2.add(s0, s1);
    const norm = sqrt<f64>(f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1));
    if (norm == 0) return i;
    const by = f64x2.splat(1.0 / norm);
    for (let k: usize = 0; k < bytes; k += 16) {
      const a = f64x2.promote_low_f32x4(v128.load64_zero(rows + k)), b = f64x2.promote_low_f32x4(v128.load64_zero(rows + k, 8));
      v128.store64_lane(rows + k, f32x4.demote_f64x2_zero(f64x2.mul(a, by)), 0);
      v128.store64_lane(rows + k, f32x4.demote_f64x2_zero(f64x2.mul(b, by)), 0, 8);
    }
    rows += bytes;
  }
  return -1;
}

/**
 * Stores f32 [count x stride] as bfloat16 (round to nearest even) or as int8 with one scale per row (largest magnitude / 127).
 * out: u16 or i8 [count x stride]; scales: f32 [count], int8 only.
 */
export function compressRows(rows: usize, count: i32, stride: i32, codec: i32, out: usize, scales: usize): void {
  for (let i = 0; i < count; i++) {
    if (codec == CODEC_BFLOAT16) {
      for (let j = 0; j < stride; j++) {
        const bits = load<u32>(rows + (<usize>j << 2));
        store<u16>(out + (<usize>j << 1), (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
      }
      out += <usize>stride << 1;
    } else if (codec == CODEC_INT8) {
      let most: f32 = 0;
      for (let j = 0; j < stride; j++) most = max(most, abs(load<f32>(rows + (<usize>j << 2))));
      const scale = most / <f32>127;
      store<f32>(scales + (<usize>i << 2), scale);
      for (let j = 0; j < stride; j++) {
        const units = scale > 0 ? floor<f32>(load<f32>(rows + (<usize>j << 2)) / scale + <f32>0.5) : <f32>0;
        store<i8>(out + j, <i8>min<f32>(max<f32>(units, -127), 127));
      }
      out += stride;
    }
    rows += <usize>stride << 2;
  }
}
