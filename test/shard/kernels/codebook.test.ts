import { deepStrictEqual } from 'node:assert';
import { describe, expect, it } from 'vitest';
import { COUNTS, DIMENSIONS, onEveryTier, strideOf } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

describe('toResiduals', () => {
  it.each(DIMENSIONS)('subtracts the mean, then the centroid, at %i dimensions', (dimensions) => {
    const stride = strideOf(dimensions);
    for (const count of [0, ...COUNTS]) {
      const random = new Random(count);
      const rows = random.normals(count, dimensions, stride);
      const centroids = random.normals(5, dimensions, stride);
      const mean = random.normals(1, dimensions, stride);
      const leaves = Uint32Array.from({ length: count }, () => random.int(0, 4));
      const residuals = onEveryTier((kernels, arena) => {
        const at = arena.put(rows);
        kernels.toResiduals(at, count, stride, arena.put(leaves), arena.put(centroids), arena.put(mean));
        return arena.f32(at, rows.length).slice();
      });
      const expected = rows.map((x, k) => {
        const j = k % stride;
        return Math.fround(x - mean[j]!) - centroids[leaves[Math.floor(k / stride)]! * stride + j]!;
      });
      deepStrictEqual(residuals, expected);
    }
  });
});

describe('gatherBlock', () => {
  it.each(COUNTS)('packs a block of %i rows', (count) => {
    const rows = new Random(count).normals(count, 11, 12);
    for (const [offset, dims] of [
      [0, 1],
      [3, 2],
      [10, 1],
      [0, 12],
      [8, 3],
    ] as const) {
      const block = onEveryTier((kernels, arena) => {
        const out = arena.alloc(count * dims * 4);
        kernels.gatherBlock(arena.put(rows), count, 12, offset, dims, out);
        return [...arena.f32(out, count * dims)];
      });
      const expected = Array.from({ length: count }, (_, i) => [
        ...rows.subarray(i * 12 + offset, i * 12 + offset + dims),
      ]);
      expect(block).toEqual(expected.flat());
    }
  });
});

describe('accumulateBlock', () => {
  function accumulate(points: Float32Array, dims: number, codebook: Float32Array, times = 1): Float64Array {
    return onEveryTier((kernels, arena) => {
      const [at, centres] = [arena.put(points), arena.put(codebook)];
      const sums = arena.alloc(16 * (dims + 1) * 8);
      for (let t = 0; t < times; t++) kernels.accumulateBlock(at, points.length / dims, dims, centres, sums);
      return arena.f64(sums, 16 * (dims + 1)).slice();
    });
  }

  it.each([1, 2, 3, 4, 8])('sums points of %i dimensions by their nearest centre, the lower at ties', (dims) => {
    for (const count of [0, ...COUNTS]) {
      const random = new Random(count);
      const points = random.integers(count, dims);
      const codebook = random.integers(dims, 16);
      const expected = new Float64Array(16 * (dims + 1));
      for (let i = 0; i < count; i++) {
        const point = points.subarray(i * dims, (i + 1) * dims);
        const errors = Array.from({ length: 16 }, (_, k) =>
          point.reduce((sum, x, j) => sum + (x - codebook[j * 16 + k]!) ** 2, 0),
        );
        const at = errors.indexOf(Math.min(...errors)) * (dims + 1);
        point.forEach((x, j) => {
          expected[at + j]! += x;
        });
        expected[at + dims]! += 1;
      }
      expect(accumulate(points, dims, codebook)).toEqual(expected);
    }
  });

  it('agrees across tiers on normal floats, and adds to what is there', () => {
    const random = new Random(3);
    for (const dims of [1, 2, 5]) {
      const sums = accumulate(random.normals(97, dims), dims, random.normals(dims, 16), 2);
      const total = Array.from({ length: 16 }, (_, k) => sums[k * (dims + 1) + dims]!).reduce((a, b) => a + b);
      expect(total).toBe(2 * 97);
    }
  });
});
