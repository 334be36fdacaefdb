import { sum4 } from "./vector";

/** Mean of the listed rows, summed in f64 in the order of the list. list u32 [count], count > 0 -> out f32 [stride] */
export function meanOfRows(rows: usize, stride: i32, list: usize, count: i32, out: usize): void {
  const bytes = <usize>stride << 2;
  const by = f64x2.splat(1.0 / <f64>count);
  for (let k: usize = 0; k < bytes; k += 16) {
    let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
    for (let i = 0; i < count; i++) {
      const at = rows + <usize>load<u32>(list + (<usize>i << 2)) * bytes + k;
      s0 = f64x2.add(s0, f64x2.promote_low_f32x4(v128.load64_zero(at)));
      s1 = f64x2.add(s1, f64x2.promote_low_f32x4(v128.load64_zero(at, 8)));
    }
    v128.store64_lane(out + k, f32x4.demote_f64x2_zero(f64x2.mul(s0, by)), 0);
    v128.store64_lane(out + k, f32x4.demote_f64x2_zero(f64x2.mul(s1, by)), 0, 8);
  }
}

/** Lowers each row's squared distance to the nearest seed so far by one more seed. distances f32 [count]. For k-means++. */
export function lowerDistances(rows: usize, count: i32, stride: i32, seed: usize, distances: usize): void {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i++) {
    let s = f32x4.splat(0);
    for (let k: usize = 0; k < bytes; k += 16) {
      const e = f32x4.sub(v128.load(rows + k), v128.load(seed + k));
      s = f32x4.add(s, f32x4.mul(e, e));
    }
    const at = distances + (<usize>i << 2);
    store<f32>(at, min(load<f32>(at), sum4(s)));
    rows += bytes;
  }
}
