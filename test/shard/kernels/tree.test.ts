import { describe, expect, it } from 'vitest';
import { COUNTS, DIMENSIONS, onEveryTier } from '../../support/kernel-memory.ts';
import { distance, points, rowOf } from '../../support/points.ts';
import { Random } from '../../support/random.ts';

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
