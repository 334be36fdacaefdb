import { dot, sum4 } from "./vector";

const ROW_TILE = 32; // rows that share one pass over a tile of centroids
const CENTROID_TILE = 32; // 32 x 100 floats stay in the first-level cache

// @ts-ignore: decorator
@inline function offer(score: f32, leaf: i32, i: i32, leaves: usize, scores: usize): void {
  if (score > load<f32>(scores + (<usize>i << 2))) {
    store<f32>(scores + (<usize>i << 2), score);
    store<u32>(leaves + (<usize>i << 2), leaf);
  }
}

/**
 * Nearest centroid of each row: the largest x . c - bias(c), where bias is half the squared norm; ties go to the lower leaf.
 * rows f32 [count x stride], centroids f32 [numLeaves x stride], biases f32 [numLeaves] -> leaves u32 [count], scores f32 [count]
 */
export function assignRows(rows: usize, count: i32, stride: i32, centroids: usize, biases: usize, numLeaves: i32, leaves: usize, scores: usize): void {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i++) {
    store<f32>(scores + (<usize>i << 2), -Infinity);
    store<u32>(leaves + (<usize>i << 2), 0);
  }
  for (let r0 = 0; r0 < count; r0 += ROW_TILE) {
    const r1 = min(count, r0 + ROW_TILE);
    for (let c0 = 0; c0 < numLeaves; c0 += CENTROID_TILE) {
      const c1 = min(numLeaves, c0 + CENTROID_TILE);
      let i = r0;
      for (; i + 2 <= r1; i += 2) {
        const x = rows + <usize>i * bytes, y = x + bytes;
        let leaf = c0;
        for (; leaf + 4 <= c1; leaf += 4) {
          const c = centroids + <usize>leaf * bytes;
          const d = c + bytes, e = d + bytes, f = e + bytes;
          let x0 = f32x4.splat(0), x1 = f32x4.splat(0), x2 = f32x4.splat(0), x3 = f32x4.splat(0);
          let y0 = f32x4.splat(0), y1 = f32x4.splat(0), y2 = f32x4.splat(0), y3 = f32x4.splat(0);
          for (let k: usize = 0; k < bytes; k += 16) {
            const v = v128.load(x + k), w = v128.load(y + k);
            let t = v128.load(c + k);
            x0 = f32x4.add(x0, f32x4.mul(v, t)); y0 = f32x4.add(y0, f32x4.mul(w, t));
            t = v128.load(d + k);
            x1 = f32x4.add(x1, f32x4.mul(v, t)); y1 = f32x4.add(y1, f32x4.mul(w, t));
            t = v128.load(e + k);
            x2 = f32x4.add(x2, f32x4.mul(v, t)); y2 = f32x4.add(y2, f32x4.mul(w, t));
            t = v128.load(f + k);
            x3 = f32x4.add(x3, f32x4.mul(v, t)); y3 = f32x4.add(y3, f32x4.mul(w, t));
          }
          const b = biases + (<usize>leaf << 2);
          offer(sum4(x0) - load<f32>(b), leaf, i, leaves, scores);
          offer(sum4(x1) - load<f32>(b, 4), leaf + 1, i, leaves, scores);
          offer(sum4(x2) - load<f32>(b, 8), leaf + 2, i, leaves, scores);
          offer(sum4(x3) - load<f32>(b, 12), leaf + 3, i, leaves, scores);
          offer(sum4(y0) - load<f32>(b), leaf, i + 1, leaves, scores);
          offer(sum4(y1) - load<f32>(b, 4), leaf + 1, i + 1, leaves, scores);
          offer(sum4(y2) - load<f32>(b, 8), leaf + 2, i + 1, leaves, scores);
          offer(sum4(y3) - load<f32>(b, 12), leaf + 3, i + 1, leaves, scores);
        }
        for (; leaf < c1; leaf++) {
          const c = centroids + <usize>leaf * bytes, b = load<f32>(biases + (<usize>leaf << 2));
          offer(dotInOrder(x, c, bytes) - b, leaf, i, leaves, scores);
          offer(dotInOrder(y, c, bytes) - b, leaf, i + 1, leaves, scores);
        }
      }
      for (; i < r1; i++) {
        const x = rows + <usize>i * bytes;
        for (let leaf = c0; leaf < c1; leaf++) {
          offer(dotInOrder(x, centroids + <usize>leaf * bytes, bytes) - load<f32>(biases + (<usize>leaf << 2)), leaf, i, leaves, scores);
        }
      }
    }
  }
}

// The order of additions of the tile above: one accumulator of four lanes.
function dotInOrder(x: usize, c: usize, bytes: usize): f32 {
  let s = f32x4.splat(0);
  for (let k: usize = 0; k < bytes; k += 16) s = f32x4.add(s, f32x4.mul(v128.load(x + k), v128.load(c + k)));
  return sum4(s);
}

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

/** Squared norm of each row, halved: f32 [count x stride] -> f32 [count]. */
export function halfNorms(rows: usize, count: i32, stride: i32, out: usize): void {
  for (let i = 0; i < count; i++) {
    store<f32>(out + (<usize>i << 2), dot(rows, rows, stride) * <f32>0.5);
    rows += <usize>stride << 2;
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
