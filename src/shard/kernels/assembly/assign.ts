// Which leaves a vector belongs to. Scores of all leaves come from one matrix product, 16 rows at a time.
import { matmul, packPanels } from "./matmul";
import { dot } from "./vector";

/** Rows whose scores are worked out together; they stay in the first-level cache while all centroids go past. */
const TILE = 16;

/**
 * Prepares centroids f32 [numLeaves x stride] for assignRows and spillRows. With width = numLeaves rounded up to a multiple of 8:
 * panels f32 [width x stride] as packPanels lays them, offsets f32 [width]: minus half the squared norm, -Infinity beyond numLeaves.
 */
export function packCentroids(centroids: usize, numLeaves: i32, stride: i32, panels: usize, offsets: usize): void {
  packPanels(centroids, numLeaves, stride, panels);
  const width = (numLeaves + 7) & ~7;
  for (let leaf = 0; leaf < numLeaves; leaf++) {
    store<f32>(offsets + (<usize>leaf << 2), dot(centroids, centroids, stride) * <f32>-0.5);
    centroids += <usize>stride << 2;
  }
  for (let leaf = numLeaves; leaf < width; leaf++) store<f32>(offsets + (<usize>leaf << 2), -Infinity);
}

// x . c - |c|^2 / 2 of a tile of rows and all leaves: f32 [tile x width] at out.
function scoreTile(rows: usize, tile: i32, stride: i32, panels: usize, offsets: usize, width: i32, out: usize): void {
  const bytes = <usize>width << 2;
  for (let i = 0; i < tile; i++) memory.copy(out + <usize>i * bytes, offsets, bytes);
  matmul(rows, <usize>stride << 2, 4, panels, 32, <usize>stride << 5, out, bytes, tile, width, stride);
}

// The leaf with the highest score; ties go to the lower leaf.
function highest(scores: usize, width: i32): i32 {
  let best = f32x4.splat(-Infinity), leaves = i32x4.splat(0), at = i32x4(0, 1, 2, 3);
  const four = i32x4.splat(4);
  for (const end = scores + (<usize>width << 2); scores < end; scores += 16) {
    const v = v128.load(scores), better = f32x4.gt(v, best);
    best = v128.bitselect(v, best, better);
    leaves = v128.bitselect(at, leaves, better);
    at = i32x4.add(at, four);
  }
  let score = f32x4.extract_lane(best, 0), leaf = i32x4.extract_lane(leaves, 0);
  let s = f32x4.extract_lane(best, 1), l = i32x4.extract_lane(leaves, 1);
  if (s > score || (s == score && l < leaf)) { score = s; leaf = l; }
  s = f32x4.extract_lane(best, 2); l = i32x4.extract_lane(leaves, 2);
  if (s > score || (s == score && l < leaf)) { score = s; leaf = l; }
  s = f32x4.extract_lane(best, 3); l = i32x4.extract_lane(leaves, 3);
  if (s > score || (s == score && l < leaf)) leaf = l;
  return leaf;
}

/**
 * Nearest centroid of each row, the one with the largest x . c - |c|^2 / 2; ties go to the lower leaf.
 * rows f32 [count x stride], panels and offsets of packCentroids -> leaves u32 [count].
 * scratch: f32 [16 x width].
 */
export function assignRows(rows: usize, count: i32, stride: i32, panels: usize, offsets: usize, numLeaves: i32, leaves: usize, scratch: usize): void {
  const width = (numLeaves + 7) & ~7;
  for (let first = 0; first < count; first += TILE) {
    const tile = min(TILE, count - first);
    scoreTile(rows, tile, stride, panels, offsets, width, scratch);
    for (let i = 0; i < tile; i++) {
      store<u32>(leaves + (<usize>(first + i) << 2), highest(scratch + (<usize>(i * width) << 2), width));
    }
    rows += (<usize>stride << 2) * TILE;
  }
}

/**
 * Two leaves for each row (SOAR; Sun et al. 2023): the nearest one as assignRows finds it, and the one with the least
 * |x - c|^2 + lambda ((x - c) . r)^2 / |r|^2 among the others, where r is the residual to the first: a second residual
 * orthogonal to the first errs where the first does not. There are at least two leaves.
 * centroids f32 [numLeaves x stride] -> leaves u32 [count], spilled u32 [count]; the rest as for assignRows.
 * scratch: f32 [16 x width], then f32 [stride].
 */
export function spillRows(rows: usize, count: i32, stride: i32, panels: usize, offsets: usize, numLeaves: i32, centroids: usize, lambda: f32, leaves: usize, spilled: usize, scratch: usize): void {
  const width = (numLeaves + 7) & ~7, residual = scratch + (<usize>(TILE * width) << 2);
  for (let first = 0; first < count; first += TILE) {
    const tile = min(TILE, count - first);
    scoreTile(rows, tile, stride, panels, offsets, width, scratch);
    for (let i = 0; i < tile; i++) {
      const scores = scratch + (<usize>(i * width) << 2), at = <usize>(first + i) << 2;
      const leaf = highest(scores, width);
      store<u32>(leaves + at, leaf);
      store<f32>(scores + (<usize>leaf << 2), -Infinity);
      store<u32>(spilled + at, spill(rows, stride, scores, width, centroids, leaf, lambda, residual));
      rows += <usize>stride << 2;
    }
  }
}

function spill(row: usize, stride: i32, scores: usize, width: i32, centroids: usize, leaf: i32, lambda: f32, residual: usize): i32 {
  const bytes = <usize>stride << 2, centroid = centroids + <usize>leaf * bytes;
  for (let k: usize = 0; k < bytes; k += 16) {
    v128.store(residual + k, f32x4.sub(v128.load(row + k), v128.load(centroid + k)));
  }
  const norm = dot(row, row, stride), along = dot(residual, row, stride);
  const length = dot(residual, residual, stride);
  const weight = length > 0 ? lambda / length : 0;
  let chosen = highest(scores, width);
  let best = spillLoss(load<f32>(scores + (<usize>chosen << 2)), norm, along, weight, residual, centroids + <usize>chosen * bytes, stride);
  // The distance alone is a lower bound of the loss, so few leaves need more than a look at their score.
  let least = f32x4.splat((norm - best) * <f32>0.5);
  for (let i = 0; i < width; i += 4) {
    let mask = i32x4.bitmask(f32x4.gt(v128.load(scores + (<usize>i << 2)), least));
    while (mask) {
      const other = i + ctz(mask);
      mask &= mask - 1;
      const loss = spillLoss(load<f32>(scores + (<usize>other << 2)), norm, along, weight, residual, centroids + <usize>other * bytes, stride);
      if (loss < best) {
        best = loss;
        chosen = other;
        least = f32x4.splat((norm - best) * <f32>0.5);
      }
    }
  }
  return chosen;
}

function spillLoss(score: f32, norm: f32, along: f32, weight: f32, residual: usize, centroid: usize, stride: i32): f32 {
  const parallel = along - dot(residual, centroid, stride);
  return norm - score * <f32>2 + weight * parallel * parallel;
}
