import { describe, expect, it } from 'vitest';
import { COUNTS, DIMENSIONS, onEveryTier, strideOf } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

interface Points {
  rows: Float32Array;
  count: number;
  stride: number;
}

function points(random: Random, count: number, dimensions: number, whole: boolean): Points {
  const stride = strideOf(dimensions);
  return {
    rows: whole ? random.integers(count, dimensions, stride) : random.normals(count, dimensions, stride),
    count,
    stride,
  };
}

const rowOf = ({ rows, stride }: Points, i: number): Float32Array => rows.subarray(i * stride, (i + 1) * stride);

function distance(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, j) => sum + (x - b[j]!) ** 2, 0);
}

function halfNorms(p: Points): Float32Array {
  return onEveryTier((kernels, arena) => {
    const out = arena.alloc(p.count * 4);
    kernels.halfNorms(arena.put(p.rows), p.count, p.stride, out);
    return arena.f32(out, p.count).slice();
  });
}

function assign(p: Points, c: Points, biases = halfNorms(c)): { leaves: number[]; scores: number[] } {
  return onEveryTier((kernels, arena) => {
    const [rows, centroids, bias] = [arena.put(p.rows), arena.put(c.rows), arena.put(biases)];
    const leaves = arena.put(new Uint32Array(p.count).fill(77));
    const scores = arena.alloc(p.count * 4);
    kernels.assignRows(rows, p.count, p.stride, centroids, bias, c.count, leaves, scores);
    return { leaves: [...arena.u32(leaves, p.count)], scores: [...arena.f32(scores, p.count)] };
  });
}

describe('assignRows', () => {
  it.each(DIMENSIONS)('agrees across tiers at %i dimensions', (dimensions) => {
    const random = new Random(dimensions);
    for (const count of [0, ...COUNTS]) {
      for (const numLeaves of [1, 3, 4, 17, 31, 33, 97]) {
        const { leaves } = assign(
          points(random, count, dimensions, false),
          points(random, numLeaves, dimensions, false),
        );
        expect(leaves.every((leaf) => leaf < numLeaves)).toBe(true);
      }
    }
  });

  it.each(DIMENSIONS)(
    'finds the nearest of whole-numbered centroids at %i dimensions, the lower leaf at ties',
    (dimensions) => {
      const random = new Random(dimensions);
      const p = points(random, 97, dimensions, true);
      for (const numLeaves of [1, 2, 33, 97]) {
        const c = points(random, numLeaves, dimensions, true);
        const expected = Array.from({ length: p.count }, (_, i) => {
          const distances = Array.from({ length: numLeaves }, (_, leaf) => distance(rowOf(p, i), rowOf(c, leaf)));
          return distances.indexOf(Math.min(...distances));
        });
        expect(assign(p, c).leaves).toEqual(expected);
      }
    },
  );

  it('takes the largest dot product when biases are zero', () => {
    const p = { rows: Float32Array.of(1, 2, 0, 0), count: 1, stride: 4 };
    const c = { rows: Float32Array.of(1, 0, 0, 0, 5, 5, 0, 0, 0, 1, 0, 0), count: 3, stride: 4 };
    expect(assign(p, c, new Float32Array(3))).toEqual({ leaves: [1], scores: [15] });
    expect(assign(p, c)).toEqual({ leaves: [2], scores: [1.5] });
  });
});

describe('halfNorms', () => {
  it.each(DIMENSIONS)('halves the squared norms of rows of %i dimensions', (dimensions) => {
    for (const count of [0, ...COUNTS]) {
      const p = points(new Random(count), count, dimensions, true);
      const zero = new Float32Array(p.stride);
      expect([...halfNorms(p)]).toEqual(Array.from({ length: count }, (_, i) => distance(rowOf(p, i), zero) / 2));
      halfNorms(points(new Random(count), count, dimensions, false));
    }
  });
});

describe('lowerDistances', () => {
  it.each(DIMENSIONS)('keeps the distance to the nearest seed at %i dimensions', (dimensions) => {
    for (const whole of [true, false]) {
      for (const count of [0, ...COUNTS]) {
        const random = new Random(count);
        const p = points(random, count, dimensions, whole);
        const seeds = points(random, 3, dimensions, whole);
        const distances = onEveryTier((kernels, arena) => {
          const [rows, seed] = [arena.put(p.rows), arena.put(seeds.rows)];
          const out = arena.put(new Float32Array(count).fill(Infinity));
          for (let s = 0; s < 3; s++) kernels.lowerDistances(rows, count, p.stride, seed + s * p.stride * 4, out);
          return [...arena.f32(out, count)];
        });
        distances.forEach((found, i) => {
          const expected = Math.min(...[0, 1, 2].map((s) => distance(rowOf(p, i), rowOf(seeds, s))));
          expect(Math.abs(found - expected)).toBeLessThanOrEqual(whole ? 0 : expected * 1e-5);
        });
      }
    }
  });
});

describe('meanOfRows', () => {
  it.each(DIMENSIONS)('averages listed rows of %i dimensions in f64', (dimensions) => {
    const random = new Random(dimensions);
    const p = points(random, 97, dimensions, false);
    for (const count of COUNTS) {
      const list = Uint32Array.from({ length: count }, () => random.int(0, 96));
      const mean = onEveryTier((kernels, arena) => {
        const out = arena.alloc(p.stride * 4);
        kernels.meanOfRows(arena.put(p.rows), p.stride, arena.put(list), count, out);
        return [...arena.f32(out, p.stride)];
      });
      mean.forEach((x, j) => {
        const sum = list.reduce((total, row) => total + rowOf(p, row)[j]!, 0);
        expect(x).toBe(Math.fround(sum * (1 / count)));
      });
    }
  });
});
