/** Rows minus the centroid of their leaf, and minus a mean: f32 [count x stride], in place. leaves u32 [count]. */
export function toResiduals(rows: usize, count: i32, stride: i32, leaves: usize, centroids: usize, mean: usize): void {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i++) {
    const centroid = centroids + <usize>load<u32>(leaves + (<usize>i << 2)) * bytes;
    for (let k: usize = 0; k < bytes; k += 16) {
      v128.store(rows + k, f32x4.sub(f32x4.sub(v128.load(rows + k), v128.load(mean + k)), v128.load(centroid + k)));
    }
    rows += bytes;
  }
}

/** Numbers [offset, offset + dims) of each row, packed: f32 [count x stride] -> f32 [count x dims]. */
export function gatherBlock(rows: usize, count: i32, stride: i32, offset: i32, dims: i32, out: usize): void {
  rows += <usize>offset << 2;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < dims; j++) store<f32>(out + (<usize>j << 2), load<f32>(rows + (<usize>j << 2)));
    rows += <usize>stride << 2;
    out += <usize>dims << 2;
  }
}

/** Position of the least of 16 floats, the lowest at ties. */
// @ts-ignore: decorator
@inline export function argmin16(e0: v128, e1: v128, e2: v128, e3: v128): i32 {
  const m = f32x4.min(f32x4.min(e0, e1), f32x4.min(e2, e3));
  const least = f32x4.splat(min(min(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1)), min(f32x4.extract_lane(m, 2), f32x4.extract_lane(m, 3))));
  const mask = i32x4.bitmask(f32x4.eq(e0, least)) | (i32x4.bitmask(f32x4.eq(e1, least)) << 4)
    | (i32x4.bitmask(f32x4.eq(e2, least)) << 8) | (i32x4.bitmask(f32x4.eq(e3, least)) << 12);
  return ctz(mask | 0x8000);
}

/**
 * One step of k-means with 16 centres over points f32 [count x dims]: sums f64 [16 x (dims + 1)], per centre the sum of its
 * points and their number, start at 0. codebook f32 [dims][16].
 */
export function accumulateBlock(points: usize, count: i32, dims: i32, codebook: usize, sums: usize): void {
  for (let i = 0; i < count; i++) {
    let e0 = f32x4.splat(0), e1 = f32x4.splat(0), e2 = f32x4.splat(0), e3 = f32x4.splat(0);
    let centres = codebook;
    for (let j = 0; j < dims; j++) {
      const x = v128.load32_splat(points + (<usize>j << 2));
      let d = f32x4.sub(x, v128.load(centres));
      e0 = f32x4.add(e0, f32x4.mul(d, d));
      d = f32x4.sub(x, v128.load(centres, 16));
      e1 = f32x4.add(e1, f32x4.mul(d, d));
      d = f32x4.sub(x, v128.load(centres, 32));
      e2 = f32x4.add(e2, f32x4.mul(d, d));
      d = f32x4.sub(x, v128.load(centres, 48));
      e3 = f32x4.add(e3, f32x4.mul(d, d));
      centres += 64;
    }
    const at = sums + <usize>(argmin16(e0, e1, e2, e3) * (dims + 1)) * 8;
    for (let j = 0; j < dims; j++) {
      const sum = at + (<usize>j << 3);
      store<f64>(sum, load<f64>(sum) + <f64>load<f32>(points + (<usize>j << 2)));
    }
    const n = at + (<usize>dims << 3);
    store<f64>(n, load<f64>(n) + 1);
    points += <usize>dims << 2;
  }
}
