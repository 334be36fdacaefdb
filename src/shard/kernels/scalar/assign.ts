import type { Views } from '../../views.ts';
import { matmul, packPanels } from './matmul.ts';
import { dot } from './vector.ts';

const fround = Math.fround;
/** Rows whose scores are worked out together, as in the vector code. */
const TILE = 16;

const widthOf = (numLeaves: number): number => (numLeaves + 7) & ~7;

/**
 * Prepares centroids f32 [numLeaves x stride] for assignRows and spillRows. With width = numLeaves rounded up to a multiple of 8:
 * panels f32 [width x stride] as packPanels lays them, offsets f32 [width]: minus half the squared norm, -Infinity beyond numLeaves.
 */
export function packCentroids(
  views: Views,
  centroids: number,
  numLeaves: number,
  stride: number,
  panels: number,
  offsets: number,
): void {
  packPanels(views, centroids, numLeaves, stride, panels);
  const { f32 } = views;
  for (let leaf = 0; leaf < numLeaves; leaf++) {
    const row = centroids + leaf * stride * 4;
    f32[(offsets >>> 2) + leaf] = dot(views, row, row, stride) * -0.5;
  }
  f32.fill(-Infinity, (offsets >>> 2) + numLeaves, (offsets >>> 2) + widthOf(numLeaves));
}

/** x . c - |c|^2 / 2 of a tile of rows and all leaves: f32 [tile x width] at out. */
function scoreTile(
  views: Views,
  rows: number,
  tile: number,
  stride: number,
  panels: number,
  offsets: number,
  width: number,
  out: number,
): void {
  const { f32 } = views;
  for (let i = 0; i < tile; i++) f32.copyWithin((out >>> 2) + i * width, offsets >>> 2, (offsets >>> 2) + width);
  matmul(views, rows, stride * 4, 4, panels, 32, stride * 32, out, width * 4, tile, width, stride);
}

/** The leaf with the highest score; ties go to the lower leaf. */
function highest(f32: Float32Array, scores: number, width: number): number {
  let leaf = 0;
  let best = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < width; i++) {
    if (f32[scores + i]! > best) {
      best = f32[scores + i]!;
      leaf = i;
    }
  }
  return leaf;
}

/**
 * Nearest centroid of each row, the one with the largest x . c - |c|^2 / 2; ties go to the lower leaf.
 * rows f32 [count x stride], panels and offsets of packCentroids -> leaves u32 [count].
 * scratch: f32 [16 x width].
 */
export function assignRows(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  panels: number,
  offsets: number,
  numLeaves: number,
  leaves: number,
  scratch: number,
): void {
  const { f32, u32 } = views;
  const width = widthOf(numLeaves);
  for (let first = 0; first < count; first += TILE) {
    const tile = Math.min(TILE, count - first);
    scoreTile(views, rows + first * stride * 4, tile, stride, panels, offsets, width, scratch);
    for (let i = 0; i < tile; i++) u32[(leaves >>> 2) + first + i] = highest(f32, (scratch >>> 2) + i * width, width);
  }
}

/**
 * Two leaves for each row (SOAR; Sun et al. 2023): the nearest one as assignRows finds it, and the one with the least
 * |x - c|^2 + lambda ((x - c) . r)^2 / |r|^2 among the others, where r is the residual to the first: a second residual
 * orthogonal to the first errs where the first does not. There are at least two leaves.
 * centroids f32 [numLeaves x stride] -> leaves u32 [count], spilled u32 [count]; the rest as for assignRows.
 * scratch: f32 [16 x width], then f32 [stride].
 */
export function spillRows(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  panels: number,
  offsets: number,
  numLeaves: number,
  centroids: number,
  lambda: number,
  leaves: number,
  spilled: number,
  scratch: number,
): void {
  const { f32, u32 } = views;
  const width = widthOf(numLeaves);
  const residual = scratch + TILE * width * 4;
  for (let first = 0; first < count; first += TILE) {
    const tile = Math.min(TILE, count - first);
    scoreTile(views, rows + first * stride * 4, tile, stride, panels, offsets, width, scratch);
    for (let i = 0; i < tile; i++) {
      const scores = (scratch >>> 2) + i * width;
      const leaf = highest(f32, scores, width);
      u32[(leaves >>> 2) + first + i] = leaf;
      f32[scores + leaf] = Number.NEGATIVE_INFINITY;
      const row = rows + (first + i) * stride * 4;
      u32[(spilled >>> 2) + first + i] = spill(views, row, stride, scores, width, centroids, leaf, lambda, residual);
    }
  }
}

function spill(
  views: Views,
  row: number,
  stride: number,
  scores: number,
  width: number,
  centroids: number,
  leaf: number,
  lambda: number,
  residual: number,
): number {
  const { f32 } = views;
  const x = row >>> 2;
  const c = (centroids >>> 2) + leaf * stride;
  for (let k = 0; k < stride; k++) f32[(residual >>> 2) + k] = f32[x + k]! - f32[c + k]!;
  const norm = dot(views, row, row, stride);
  const along = dot(views, residual, row, stride);
  const length = dot(views, residual, residual, stride);
  const weight = length > 0 ? fround(fround(lambda) / length) : 0;
  const lossOf = (other: number): number => {
    const parallel = fround(along - dot(views, residual, centroids + other * stride * 4, stride));
    const distance = fround(norm - fround(f32[scores + other]! * 2));
    return fround(distance + fround(fround(weight * parallel) * parallel));
  };
  let chosen = highest(f32, scores, width);
  let best = lossOf(chosen);
  // The distance alone is a lower bound of the loss, so few leaves need more than a look at their score. Four leaves at a time
  // are compared with the bound, as in the vector code.
  for (let i = 0; i < width; i += 4) {
    const least = fround(fround(norm - best) * 0.5);
    for (let other = i; other < i + 4; other++) {
      if (!(f32[scores + other]! > least)) continue;
      const loss = lossOf(other);
      if (loss < best) {
        best = loss;
        chosen = other;
      }
    }
  }
  return chosen;
}
