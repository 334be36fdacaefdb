import { describe, expect, it } from 'vitest';
import { onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

const SIZES = [1, 7, 8, 9, 15, 16, 17, 31, 33, 97];
const ceil8 = (n: number): number => Math.ceil(n / 8) * 8;

/** A row of logits with garbage as padding. */
function padded(x: ArrayLike<number>): Float32Array {
  const row = new Float32Array(ceil8(x.length)).fill(1e30);
  row.set(x);
  return row;
}

function logitsOf(random: Random, n: number, spread = 3): Float32Array {
  return random.normals(1, n).map((x) => x * spread);
}

describe('adjustLogits', () => {
  it.each(SIZES)('scales, corrects and removes the same ids among %i logits', (n) => {
    const random = new Random(n);
    const x = logitsOf(random, n);
    const corrections = random.normals(1, n);
    for (const scale of [1, 0.05, 20, 1 / 3]) {
      for (const positive of new Set([0, n >> 1, n - 1])) {
        for (const corrected of [false, true]) {
          for (const different of [0, 1, 3, 2 ** 32 - 1]) {
            // `different` is how many ids there are; 0 stands for no ids at all.
            const ids = Uint32Array.from({ length: ceil8(n) }, () => random.u32() % (different || 1));
            const found = onEveryTier((kernels, arena) => {
              const at = arena.put(padded(x));
              const by = corrected ? arena.put(padded(corrections)) : 0;
              kernels.adjustLogits(at, n, scale, by, different ? arena.put(ids) : 0, positive);
              return [...arena.f32(at, ceil8(n))];
            });
            const expected = Array.from(x, (value, j) => {
              if (different && j !== positive && ids[j] === ids[positive]) return -Infinity;
              const scaled = Math.fround(value * Math.fround(scale));
              return corrected ? Math.fround(scaled - corrections[j]!) : scaled;
            });
            expect(found).toEqual([...expected, ...Array(ceil8(n) - n).fill(-Infinity)]);
          }
        }
      }
    }
  });
});

describe('keepHardNegatives', () => {
  function keep(x: Float32Array, positive: number, limit: number): number[] {
    return onEveryTier((kernels, arena) => {
      const at = arena.put(x);
      kernels.keepHardNegatives(at, x.length, positive, limit, arena.scratch(8 * x.length));
      return [...arena.f32(at, x.length)];
    });
  }

  function expected(x: Float32Array, positive: number, limit: number): number[] {
    const negatives = [...x.keys()].filter((j) => j !== positive);
    const kept = new Set(negatives.sort((i, j) => (x[i]! === x[j]! ? i - j : x[i]! > x[j]! ? -1 : 1)).slice(0, limit));
    return Array.from(x, (value, j) => (j === positive || kept.has(j) ? value : -Infinity));
  }

  it.each([...SIZES, 500])('keeps the positive and the largest negatives of %i logits', (n) => {
    const random = new Random(n);
    const rows = [
      logitsOf(random, n),
      random.integers(1, n, n, 2), // ties
      new Float32Array(n), // nothing but ties
      Float32Array.from({ length: n }, () => (random.int(0, 1) ? 0 : -0)),
      Float32Array.from({ length: n }, () => [-Infinity, -1e4, 1e4][random.int(0, 2)]!),
    ];
    for (const x of rows) {
      for (const positive of new Set([0, n >> 1, n - 1])) {
        for (const limit of [0, 1, 2, 7, n - 2, n - 1, n, 2 ** 31 - 1]) {
          if (limit >= 0) expect(keep(x, positive, limit)).toEqual(expected(x, positive, limit));
        }
      }
    }
  });

  it('gives ties to the lower column', () => {
    expect(keep(Float32Array.of(1, 5, 5, 5, 5, 9), 1, 3)).toEqual([-Infinity, 5, 5, 5, -Infinity, 9]);
  });
});

describe('countGreater', () => {
  it.each(SIZES)('counts the greater ones of %i logits', (n) => {
    const random = new Random(n);
    for (const x of [logitsOf(random, n), random.integers(1, n, n, 2), new Float32Array(n).fill(-Infinity)]) {
      for (let positive = 0; positive < n; positive++) {
        const count = onEveryTier((kernels, arena) => kernels.countGreater(arena.put(padded(x)), n, positive));
        expect(count).toBe(x.filter((value) => value > x[positive]!).length);
      }
    }
  });
});

interface Softmax {
  gradient: number[];
  padding: number[];
  stats: number[];
}

/** The kernel's results, which must have the stats of softmaxStats. */
function softmax(x: ArrayLike<number>, positive: number, weight = 1): Softmax {
  const n = x.length;
  return onEveryTier((kernels, arena) => {
    const [at, other] = [arena.put(padded(x)), arena.put(padded(x))];
    const [stats, again] = [arena.alloc(16), arena.alloc(16)];
    arena.f32(stats, 4).fill(7);
    kernels.softmaxGradient(at, n, positive, weight, stats);
    kernels.softmaxStats(other, n, positive, again);
    arena.ignore(other, 4 * ceil8(n));
    expect([...arena.f32(again, 4)]).toEqual([...arena.f32(stats, 4)]);
    const row = [...arena.f32(at, ceil8(n))];
    return { gradient: row.slice(0, n), padding: row.slice(n), stats: [...arena.f32(stats, 4)] };
  });
}

/** In f64, but from the differences in f32 that the kernel must start from. */
function reference(x: Float32Array, positive: number, weight: number): { gradient: number[]; stats: number[] } {
  const most = Math.max(...x);
  const e = Array.from(x, (value) => Math.exp(Math.fround(value - most)));
  const sum = e.reduce((a, b) => a + b, 0);
  return {
    gradient: e.map((value, j) => (value / sum - (j === positive ? 1 : 0)) * weight),
    stats: [most, sum, x[positive]!, 0],
  };
}

function check(x: Float32Array, positive: number, weight: number): void {
  const { gradient, padding, stats } = softmax(x, positive, weight);
  const expected = reference(x, positive, Math.fround(weight));
  gradient.forEach((found, j) => {
    // Relative 1e-6 of a probability, and the rounding of p - 1 for the positive; below -87.33 e^x counts as 0.
    const p = Math.abs(expected.gradient[j]!) * 1e-6 + (j === positive ? 1.2e-7 * Math.abs(weight) : 0);
    expect(Math.abs(found - expected.gradient[j]!)).toBeLessThanOrEqual(p + 2e-38 * Math.abs(weight) + 2e-45);
  });
  expect(padding.every((found) => found === 0)).toBe(true);
  expect([stats[0], stats[2], stats[3]]).toEqual([expected.stats[0]! + 0, x[positive], 0]);
  expect(Math.abs(stats[1]! - expected.stats[1]!)).toBeLessThanOrEqual(expected.stats[1]! * 1e-6);
}

describe('softmaxGradient and softmaxStats', () => {
  it.each([...SIZES, 1000])('are near f64 at %i logits', (n) => {
    const random = new Random(n);
    for (const spread of [0.01, 1, 20, 1e4]) {
      for (const positive of new Set([0, n >> 1, n - 1])) {
        for (const weight of [1, 1 / 512, 3]) check(logitsOf(random, n, spread), positive, weight);
      }
    }
  });

  it.each(SIZES)('take extremes among %i logits', (n) => {
    const random = new Random(n);
    const among = (...values: number[]): Float32Array =>
      Float32Array.from({ length: n }, () => values[random.int(0, values.length - 1)]!);
    for (const positive of new Set([0, n >> 1, n - 1])) {
      const removed = among(-Infinity, 2, -2);
      removed[positive] = 0.5;
      const alone = new Float32Array(n).fill(-Infinity);
      alone[positive] = -1e4;
      const rows = [among(1e4, -1e4), among(1e4), among(-1e4), among(0, -0), among(-0), among(3e38, -3e38), removed];
      for (const x of [...rows, alone]) {
        for (const weight of [1, 0, -2]) check(x, positive, weight);
      }
      expect(softmax(removed, positive).gradient.filter((g, j) => removed[j] === -Infinity && g !== 0)).toEqual([]);
      expect(softmax(alone, positive).gradient.every((g) => g === 0)).toBe(true);
    }
  });

  it('give nothing where the weight is 0', () => {
    expect(softmax(logitsOf(new Random(1), 17), 3, 0).gradient.every((g) => g === 0)).toBe(true);
  });

  it('give equal logits equal shares', () => {
    expect(softmax(new Float32Array(16).fill(7), 2)).toEqual({
      gradient: Array.from({ length: 16 }, (_, j) => (j === 2 ? 1 / 16 - 1 : 1 / 16)),
      padding: [],
      stats: [7, 16, 7, 0],
    });
  });

  it('let a logit that is not a number show', () => {
    for (const at of [0, 5, 16]) {
      const found = onEveryTier((kernels, arena) => {
        const x = logitsOf(new Random(at), 17);
        x[at] = NaN;
        const [logits, stats] = [arena.put(padded(x)), arena.alloc(16)];
        arena.ignore(logits, 4 * 24); // tiers need not agree on the bits of NaN
        arena.ignore(stats, 16);
        kernels.softmaxGradient(logits, 17, 3, 1, stats);
        return [...arena.f32(logits, 17), arena.f32(stats, 4)[1]];
      });
      expect(found.every(Number.isNaN)).toBe(true);
    }
  });

  it('have an exponential of relative error below 2e-7, and exactly 0 below -87.33', () => {
    // softmaxStats leaves e^x behind where the logits were.
    const random = new Random(33);
    const n = 16384;
    const x = Float32Array.from({ length: n }, (_, j) => (j ? (-87.33 * (j + random.float())) / (n + 1) : 0));
    const found = onEveryTier((kernels, arena) => {
      const at = arena.put(x);
      kernels.softmaxStats(at, n, 0, arena.alloc(16));
      return arena.f32(at, n).slice();
    });
    const worst = found.reduce((most, e, j) => Math.max(most, Math.abs(e / Math.exp(x[j]!) - 1)), 0);
    expect(worst).toBeLessThan(2e-7);
    expect(found[0]).toBe(1);
    const [, least, none] = softmax(Float32Array.of(0, -87.33, -87.34), 0).gradient;
    expect(least).toBeGreaterThan(0);
    expect(none).toBe(0);
  });
});
