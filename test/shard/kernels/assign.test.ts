import { describe, expect, it } from 'vitest';
import type { Kernels } from '../../../src/shard/kernels/kernels.ts';
import { type Arena, COUNTS, DIMENSIONS, onEveryTier } from '../../support/kernel-memory.ts';
import { distance, type Points, points, rowOf } from '../../support/points.ts';
import { Random } from '../../support/random.ts';

const widthOf = (numLeaves: number): number => Math.ceil(numLeaves / 8) * 8;
const fround = Math.fround;

/** Packs centroids; the pointers to them, to their panels and to their offsets. */
function pack(kernels: Kernels, arena: Arena, c: Points): { centroids: number; panels: number; offsets: number } {
  const width = widthOf(c.count);
  const centroids = arena.put(c.rows);
  const [panels, offsets] = [arena.alloc(width * c.stride * 4), arena.alloc(width * 4)];
  kernels.packCentroids(centroids, c.count, c.stride, panels, offsets);
  return { centroids, panels, offsets };
}

function assign(p: Points, c: Points): number[] {
  return onEveryTier((kernels, arena) => {
    const { panels, offsets } = pack(kernels, arena, c);
    const leaves = arena.put(new Uint32Array(p.count + 1).fill(77));
    const scratch = arena.scratch(16 * widthOf(c.count) * 4);
    kernels.assignRows(arena.put(p.rows), p.count, p.stride, panels, offsets, c.count, leaves, scratch);
    expect(arena.u32(leaves, p.count + 1)[p.count]).toBe(77);
    return [...arena.u32(leaves, p.count)];
  });
}

/** The first and the second leaf of each row. */
function spill(p: Points, c: Points, lambda: number): [first: number, second: number][] {
  return onEveryTier((kernels, arena) => {
    const { centroids, panels, offsets } = pack(kernels, arena, c);
    const [leaves, spilled] = [0, 1].map(() => arena.put(new Uint32Array(p.count + 1).fill(77))) as [number, number];
    const scratch = arena.scratch((16 * widthOf(c.count) + p.stride) * 4);
    kernels.spillRows(
      ...([arena.put(p.rows), p.count, p.stride, panels, offsets, c.count] as const),
      ...([centroids, lambda, leaves, spilled, scratch] as const),
    );
    for (const at of [leaves, spilled]) expect(arena.u32(at, p.count + 1)[p.count]).toBe(77);
    return Array.from({ length: p.count }, (_, i) => [arena.u32(leaves, p.count)[i]!, arena.u32(spilled, p.count)[i]!]);
  });
}

const distances = (x: Float32Array, c: Points): number[] =>
  Array.from({ length: c.count }, (_, leaf) => distance(x, rowOf(c, leaf)));

const nearest = (x: Float32Array, c: Points): number => {
  const all = distances(x, c);
  return all.indexOf(Math.min(...all));
};

/**
 * |x - c|^2 + lambda ((x - c) . r)^2 / |r|^2 of every leaf, infinite for the first one, where r is the residual to it.
 * `round` is that of every operation that whole numbers do not make exact.
 */
function losses(x: Float32Array, c: Points, lambda: number, first: number, round: (n: number) => number): number[] {
  const residual = x.map((value, j) => value - rowOf(c, first)[j]!);
  const length = residual.reduce((sum, value) => sum + value * value, 0);
  const weight = length > 0 ? round(round(lambda) / length) : 0;
  return distances(x, c).map((squared, leaf) => {
    if (leaf === first) return Number.POSITIVE_INFINITY;
    const parallel = residual.reduce((sum, value, j) => sum + value * (x[j]! - rowOf(c, leaf)[j]!), 0);
    return round(squared + round(round(weight * parallel) * parallel));
  });
}

/** The two leaves by the definition: among leaves of the same loss the nearest one, then the lower one. */
function expectedSpill(x: Float32Array, c: Points, lambda: number): [number, number] {
  const first = nearest(x, c);
  const all = losses(x, c, lambda, first, fround);
  const least = Math.min(...all);
  const others = distances(x, c).map((squared, leaf) => (leaf === first ? Number.POSITIVE_INFINITY : squared));
  const second = others.indexOf(Math.min(...others));
  return [first, all[second] === least ? second : all.indexOf(least)];
}

const whole = (stride: number, ...rows: number[][]): Points => {
  const padded = rows.flatMap((row) => [...row, ...new Array(stride - row.length).fill(0)]);
  return { rows: Float32Array.from(padded), count: rows.length, stride };
};

describe('packCentroids', () => {
  it.each(DIMENSIONS)('lays panels of eight centroids of %i dimensions, and minus their half norms', (dimensions) => {
    for (const numLeaves of [1, 2, 7, 8, 9, 16, 17, 33]) {
      const c = points(new Random(numLeaves), numLeaves, dimensions, true);
      const [width, zero] = [widthOf(numLeaves), new Float32Array(c.stride)];
      const found = onEveryTier((kernels, arena) => {
        const centroids = arena.put(c.rows);
        // What was there before must not shine through.
        const panels = arena.put(new Float32Array(width * c.stride).fill(9));
        const offsets = arena.put(new Float32Array(width + 1).fill(9));
        kernels.packCentroids(centroids, numLeaves, c.stride, panels, offsets);
        return { panels: [...arena.f32(panels, width * c.stride)], offsets: [...arena.f32(offsets, width + 1)] };
      });
      const panels = Array.from({ length: width * c.stride }, (_, at) => {
        const leaf = Math.floor(at / (8 * c.stride)) * 8 + (at % 8);
        return leaf < numLeaves ? rowOf(c, leaf)[Math.floor(at / 8) % c.stride]! : 0;
      });
      const norms = Array.from({ length: width }, (_, leaf) =>
        leaf < numLeaves ? -distance(rowOf(c, leaf), zero) / 2 : Number.NEGATIVE_INFINITY,
      );
      expect(found.panels).toEqual(panels);
      expect(found.offsets.map((x) => x + 0)).toEqual([...norms.map((x) => x + 0), 9]);
    }
  });

  it('agrees across tiers for any floats', () => {
    for (const numLeaves of [1, 8, 31]) {
      const c = points(new Random(numLeaves), numLeaves, 100, false);
      onEveryTier((kernels, arena) => void pack(kernels, arena, c));
    }
  });
});

describe('assignRows', () => {
  it.each(DIMENSIONS)('agrees across tiers at %i dimensions', (dimensions) => {
    const random = new Random(dimensions);
    for (const count of [0, ...COUNTS]) {
      for (const numLeaves of [1, 3, 8, 17, 31, 33, 97]) {
        const leaves = assign(points(random, count, dimensions, false), points(random, numLeaves, dimensions, false));
        expect(leaves.every((leaf) => leaf < numLeaves)).toBe(true);
      }
    }
  });

  it.each(DIMENSIONS)(
    'finds the nearest of whole-numbered centroids at %i dimensions, the lower leaf at ties',
    (dimensions) => {
      const random = new Random(dimensions);
      const p = points(random, 97, dimensions, true);
      for (const numLeaves of [1, 2, 7, 8, 9, 33, 97]) {
        const c = points(random, numLeaves, dimensions, true);
        expect(assign(p, c)).toEqual(Array.from({ length: p.count }, (_, i) => nearest(rowOf(p, i), c)));
      }
    },
  );

  it('takes the lowest of centroids that are all the same, wherever they lie in vectors of four', () => {
    for (const first of [0, 1, 2, 3, 5, 8, 15, 16]) {
      const rows = Array.from({ length: 20 }, (_, leaf) => (leaf < first ? [9, 9] : [1, 2]));
      expect(assign(whole(4, [1, 2], [1, 1]), whole(4, ...rows))).toEqual([first, first]);
    }
  });

  it('does not take a leaf beyond the last when all are far away', () => {
    expect(assign(whole(4, [1000, -1000]), whole(4, [-900, 900], [-1000, 1000], [-1000, 999]))).toEqual([0]);
  });
});

describe('spillRows', () => {
  it.each(DIMENSIONS)('finds the two leaves of the definition for whole numbers of %i dimensions', (dimensions) => {
    const random = new Random(dimensions);
    for (const numLeaves of [2, 3, 7, 8, 9, 33, 97]) {
      const p = points(random, 33, dimensions, true);
      const c = points(random, numLeaves, dimensions, true);
      for (const lambda of [0, 1, 1.5, 100]) {
        const expected = Array.from({ length: p.count }, (_, i) => expectedSpill(rowOf(p, i), c, lambda));
        expect(spill(p, c, lambda), `${numLeaves} leaves, lambda ${lambda}`).toEqual(expected);
      }
    }
  });

  it.each(DIMENSIONS)('agrees across tiers at %i dimensions, and comes near the least loss', (dimensions) => {
    const random = new Random(dimensions);
    for (const count of [0, ...COUNTS]) {
      for (const [numLeaves, lambda] of [
        [2, 1],
        [17, 0.3],
        [40, 1.5],
      ] as const) {
        const p = points(random, count, dimensions, false);
        const c = points(random, numLeaves, dimensions, false);
        const found = spill(p, c, lambda);
        expect(found.map(([first]) => first)).toEqual(assign(p, c));
        for (const [i, [first, second]] of found.entries()) {
          const x = rowOf(p, i);
          const all = losses(x, c, lambda, first, (n) => n);
          const tolerance = 1e-5 * (Math.max(...distances(x, c)) + dimensions);
          expect(all[second]! - Math.min(...all)).toBeLessThan(tolerance);
        }
      }
    }
  });

  it('takes the other one of two leaves', () => {
    const p = points(new Random(5), 40, 6, true);
    for (const lambda of [0, 1, 100]) {
      for (const [first, second] of spill(p, whole(8, [1, 1], [-1, -2]), lambda)) expect(first + second).toBe(1);
    }
  });

  it('takes a second leaf even if all others are the same as the first', () => {
    const same = whole(4, [1, 2], [1, 2], [1, 2]);
    expect(spill(whole(4, [1, 2], [5, 5]), same, 1)).toEqual([
      [0, 1],
      [0, 1],
    ]);
  });

  it('takes the second nearest, the lower at ties, for a row that is its centroid, whatever lambda', () => {
    const c = whole(4, [9, 9], [5, 0], [0, 0], [0, 5], [-5, 0], [8, 8]);
    for (const lambda of [0, 1, 100, 1e30]) expect(spill(whole(4, [0, 0]), c, lambda)).toEqual([[2, 1]]);
  });

  it('prefers a farther leaf whose residual is orthogonal to the first one the more, the larger lambda is', () => {
    // The residual to leaf 0 is (2, 0). Leaf 1 errs alike, leaf 2 at right angles.
    const c = whole(4, [-2, 0], [-3, 0], [0, 4]);
    const second = (lambda: number): number => spill(whole(4, [0, 0]), c, lambda)[0]![1];
    // 9 + 9 lambda against 16.
    expect([0, 0.75, 0.8, 1, 100].map(second)).toEqual([1, 1, 2, 2, 2]);
  });

  it('keeps the nearer leaf at equal losses, and the lower of two that beat it', () => {
    const x = whole(4, [0, 0]);
    // With lambda 1: leaf 1 loses 8, as leaf 2 does, which is nearer.
    expect(spill(x, whole(4, [-1, 0], [0, 2, 2], [2, 0]), 1)[0]).toEqual([0, 2]);
    // Leaves 2 and 3 lose 5 each, and the nearest other 8.
    expect(spill(x, whole(4, [-1, 0], [2, 0], [0, 2, 1], [0, 1, 2]), 1)[0]).toEqual([0, 2]);
  });

  it('looks only at the angle when lambda is huge', () => {
    const c = whole(4, [1, 0], [2, 1], [40, 40], [0, 50], [0, -60]);
    for (const lambda of [1e5, 1e30]) expect(spill(whole(4, [0, 0]), c, lambda)[0]).toEqual([0, 3]);
  });

  it('spills thousands of leaves in tiles of any length', () => {
    const random = new Random(8);
    const [p, c] = [points(random, 19, 5, true), points(random, 1003, 5, true)];
    const expected = Array.from({ length: p.count }, (_, i) => expectedSpill(rowOf(p, i), c, 1.25));
    expect(spill(p, c, 1.25)).toEqual(expected);
  });
});
