import type { Views } from '../../views.ts';
import { dot } from './vector.ts';

const fround = Math.fround;
const ROW_TILE = 32; // rows that share one pass over a tile of centroids
const CENTROID_TILE = 32; // 32 x 100 floats stay in the first-level cache

/** The order of additions of the vector code's tiles: one accumulator of four lanes. */
function dotInOrder(f32: Float32Array, x: number, c: number, stride: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let k = 0; k < stride; k += 4) {
    s0 = fround(s0 + fround(f32[x + k]! * f32[c + k]!));
    s1 = fround(s1 + fround(f32[x + k + 1]! * f32[c + k + 1]!));
    s2 = fround(s2 + fround(f32[x + k + 2]! * f32[c + k + 2]!));
    s3 = fround(s3 + fround(f32[x + k + 3]! * f32[c + k + 3]!));
  }
  return fround(fround(fround(s0 + s1) + s2) + s3);
}

/**
 * Nearest centroid of each row: the largest x . c - bias(c), where bias is half the squared norm; ties go to the lower leaf.
 * rows f32 [count x stride], centroids f32 [numLeaves x stride], biases f32 [numLeaves] -> leaves u32 [count], scores f32 [count]
 */
export function assignRows(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  centroids: number,
  biases: number,
  numLeaves: number,
  leaves: number,
  scores: number,
): void {
  const { f32, u32 } = views;
  const x = rows >>> 2;
  const c = centroids >>> 2;
  const bias = biases >>> 2;
  const leafAt = leaves >>> 2;
  const scoreAt = scores >>> 2;
  f32.fill(-Infinity, scoreAt, scoreAt + count);
  u32.fill(0, leafAt, leafAt + count);
  for (let r0 = 0; r0 < count; r0 += ROW_TILE) {
    const r1 = Math.min(count, r0 + ROW_TILE);
    for (let c0 = 0; c0 < numLeaves; c0 += CENTROID_TILE) {
      const c1 = Math.min(numLeaves, c0 + CENTROID_TILE);
      for (let i = r0; i < r1; i++) {
        let best = f32[scoreAt + i]!;
        for (let leaf = c0; leaf < c1; leaf++) {
          const score = fround(dotInOrder(f32, x + i * stride, c + leaf * stride, stride) - f32[bias + leaf]!);
          if (score > best) {
            best = score;
            u32[leafAt + i] = leaf;
          }
        }
        f32[scoreAt + i] = best;
      }
    }
  }
}

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

/** Squared norm of each row, halved: f32 [count x stride] -> f32 [count]. */
export function halfNorms(views: Views, rows: number, count: number, stride: number, out: number): void {
  for (let i = 0; i < count; i++) {
    const row = rows + i * stride * 4;
    views.f32[(out >>> 2) + i] = dot(views, row, row, stride) * 0.5;
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
