import type { Views } from '../../views.ts';

const fround = Math.fround;

/** Mean of the listed rows, summed in f64 in the order of the list. list u32 [count], count > 0 -> out f32 [stride] */
export function meanOfRows(views: Views, rows: number, stride: number, list: number, count: number, out: number): void {
  const { f32, u32 } = views;
  const by = 1 / count;
  for (let k = 0; k < stride; k++) {
    const column = (rows >>> 2) + k;
    let sum = 0;
    for (let i = 0; i < count; i++) sum += f32[column + u32[(list >>> 2) + i]! * stride]!;
    f32[(out >>> 2) + k] = sum * by;
  }
}

/** Lowers each row's squared distance to the nearest seed so far by one more seed. distances f32 [count]. For k-means++. */
export function lowerDistances(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  seed: number,
  distances: number,
): void {
  const { f32 } = views;
  const c = seed >>> 2;
  let x = rows >>> 2;
  for (let i = 0; i < count; i++, x += stride) {
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let k = 0; k < stride; k += 4) {
      const e0 = fround(f32[x + k]! - f32[c + k]!);
      const e1 = fround(f32[x + k + 1]! - f32[c + k + 1]!);
      const e2 = fround(f32[x + k + 2]! - f32[c + k + 2]!);
      const e3 = fround(f32[x + k + 3]! - f32[c + k + 3]!);
      s0 = fround(s0 + fround(e0 * e0));
      s1 = fround(s1 + fround(e1 * e1));
      s2 = fround(s2 + fround(e2 * e2));
      s3 = fround(s3 + fround(e3 * e3));
    }
    const at = (distances >>> 2) + i;
    f32[at] = Math.min(f32[at]!, fround(fround(fround(s0 + s1) + s2) + s3));
  }
}
