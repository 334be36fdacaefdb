import type { Views } from '../../views.ts';

const fround = Math.fround;

/** Rows minus the centroid of their leaf, and minus a mean: f32 [count x stride], in place. leaves u32 [count]. */
export function toResiduals(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  leaves: number,
  centroids: number,
  mean: number,
): void {
  const { f32, u32 } = views;
  const away = mean >>> 2;
  let row = rows >>> 2;
  for (let i = 0; i < count; i++, row += stride) {
    const centroid = (centroids >>> 2) + u32[(leaves >>> 2) + i]! * stride;
    for (let k = 0; k < stride; k++) f32[row + k] = fround(f32[row + k]! - f32[away + k]!) - f32[centroid + k]!;
  }
}

/** Numbers [offset, offset + dims) of each row, packed: f32 [count x stride] -> f32 [count x dims]. */
export function gatherBlock(
  views: Views,
  rows: number,
  count: number,
  stride: number,
  offset: number,
  dims: number,
  out: number,
): void {
  const { f32 } = views;
  let from = (rows >>> 2) + offset;
  let to = out >>> 2;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < dims; j++) f32[to + j] = f32[from + j]!;
    from += stride;
    to += dims;
  }
}

/** Position of the least of 16 floats, the lowest at ties. */
export function argmin16(values: Float32Array, at: number): number {
  let best = 0;
  for (let k = 1; k < 16; k++) if (values[at + k]! < values[at + best]!) best = k;
  return best;
}

const errors = new Float32Array(16);

/**
 * One step of k-means with 16 centres over points f32 [count x dims]: sums f64 [16 x (dims + 1)], per centre the sum of its
 * points and their number, start at 0. codebook f32 [dims][16].
 */
export function accumulateBlock(
  views: Views,
  points: number,
  count: number,
  dims: number,
  codebook: number,
  sums: number,
): void {
  const { f32, f64 } = views;
  const centres = codebook >>> 2;
  let point = points >>> 2;
  for (let i = 0; i < count; i++, point += dims) {
    errors.fill(0);
    for (let j = 0; j < dims; j++) {
      const x = f32[point + j]!;
      const centre = centres + j * 16;
      for (let k = 0; k < 16; k++) {
        const d = fround(x - f32[centre + k]!);
        errors[k] = errors[k]! + fround(d * d);
      }
    }
    const at = (sums >>> 3) + argmin16(errors, 0) * (dims + 1);
    for (let j = 0; j < dims; j++) f64[at + j] = f64[at + j]! + f32[point + j]!;
    f64[at + dims] = f64[at + dims]! + 1;
  }
}
