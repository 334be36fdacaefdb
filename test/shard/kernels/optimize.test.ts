import { describe, expect, it } from 'vitest';
import { onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

const WORDS = [0, 4, 8, 12, 16, 20, 32, 36, 100];
const STEPS = 5;

/** Near the f64 reference: after a few steps in f32, within 1e-6 of the magnitude of what was computed with. */
function near(found: ArrayLike<number>, expected: number[], magnitude = 1): void {
  expect(found.length).toBe(expected.length);
  expected.forEach((x, j) => {
    expect(Math.abs(found[j]! - x)).toBeLessThanOrEqual(1e-6 * Math.max(magnitude, Math.abs(x)));
  });
}

const ORDINARY = [0, 1, -1, 1e-3, -1e-20, 1e-30, 1e10];

/** One gradient per step, the first words being special; four words more that must stay as they are. */
function gradientsOf(random: Random, words: number, special = ORDINARY): Float32Array[] {
  return Array.from({ length: STEPS }, () => {
    const g = random.normals(1, words + 4);
    g.set(special.slice(0, words));
    return g;
  });
}

describe('adagrad', () => {
  it.each(WORDS)('follows Keras on %i words', (words) => {
    const random = new Random(words);
    const start = random.normals(1, words + 4);
    const gradients = gradientsOf(random, words);
    for (const [rate, epsilon] of [
      [0.1, 1e-7],
      [1, 1e-3],
      [0, 1],
    ] as const) {
      const found = onEveryTier((kernels, arena) => {
        const w = arena.put(start);
        const accumulators = arena.put(new Float32Array(words + 4).fill(0.1));
        for (const g of gradients) kernels.adagrad(w, accumulators, arena.put(g), words, rate, epsilon);
        return [...arena.f32(w, words + 4), ...arena.f32(accumulators, words + 4)];
      });
      const w = [...start];
      const sums: number[] = Array(words + 4).fill(0.1);
      for (const g of gradients) {
        for (let j = 0; j < words; j++) {
          sums[j]! += g[j]! ** 2;
          w[j]! -= (rate * g[j]!) / Math.sqrt(sums[j]! + epsilon);
        }
      }
      near(found, [...w, ...sums], 4);
    }
  });

  it('divides a step from nothing by the root of epsilon', () => {
    const found = onEveryTier((kernels, arena) => {
      const [w, accumulators] = [arena.alloc(16), arena.alloc(16)];
      kernels.adagrad(w, accumulators, arena.put(Float32Array.of(0, -0, 3, -4)), 4, 0.5, 2 ** -60);
      return [...arena.f32(w, 4), ...arena.f32(accumulators, 4)];
    });
    expect(found).toEqual([0, 0, -0.5, 0.5, 0, 0, 9, 16]);
  });

  it('agrees across tiers where numbers overflow or vanish', () => {
    const gradients = Float32Array.of(3e38, -3e38, 1e-45, -1e-45, 1e19, -1e19, 1e-23, 1e-19);
    onEveryTier((kernels, arena) => {
      const [w, accumulators] = [arena.alloc(32), arena.alloc(32)];
      for (let step = 0; step < STEPS; step++) kernels.adagrad(w, accumulators, arena.put(gradients), 8, 1e-3, 1e-38);
    });
  });
});

describe('adam', () => {
  const [rate, beta1, beta2, epsilon] = [0.01, 0.9, 0.999, 1e-7];
  const alphaOf = (t: number): number => (rate * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t);

  function run(start: Float32Array, gradients: Float32Array[], words: number, isNull = false): number[] {
    return onEveryTier((kernels, arena) => {
      const w = arena.put(start);
      const [m, v] = [arena.alloc(4 * start.length), arena.alloc(4 * start.length)];
      gradients.forEach((gradient, t) => {
        const g = arena.put(gradient);
        // A null pointer for the second half of the steps, or gradients that are zero.
        kernels.adam(w, m, v, isNull && t >= 2 ? 0 : g, words, alphaOf(t + 1), beta1, beta2, epsilon);
      });
      return [w, m, v].flatMap((at) => [...arena.f32(at, start.length)]);
    });
  }

  it.each(WORDS)('follows Keras on %i words', (words) => {
    const random = new Random(words);
    const start = random.normals(1, words + 4);
    const gradients = gradientsOf(random, words);
    // 1 - beta in f32, as the kernel has it.
    const [by1, by2] = [beta1, beta2].map((beta) => Math.fround(1 - Math.fround(beta)));
    const w = [...start];
    const m: number[] = Array(words + 4).fill(0);
    const v: number[] = Array(words + 4).fill(0);
    gradients.forEach((g, t) => {
      for (let j = 0; j < words; j++) {
        m[j]! += (g[j]! - m[j]!) * by1!;
        v[j]! += (g[j]! ** 2 - v[j]!) * by2!;
        w[j]! -= (m[j]! * alphaOf(t + 1)) / (Math.sqrt(v[j]!) + epsilon);
      }
    });
    near(run(start, gradients, words), [...w, ...m, ...v], 4);
  });

  it.each(WORDS)('takes a null pointer for %i gradients of zero', (words) => {
    const random = new Random(words);
    const start = random.normals(1, words + 4);
    const gradients = gradientsOf(random, words).map((g, t) => (t >= 2 ? new Float32Array(words + 4) : g));
    expect(run(start, gradients, words, true)).toEqual(run(start, gradients, words));
  });

  it('agrees across tiers where numbers overflow or vanish', () => {
    const gradients = Float32Array.of(1e19, -1e19, 1e-45, -1e-45, 1e-23, -1e-19, 0, -0);
    run(new Float32Array(8), Array(STEPS).fill(gradients), 8);
  });
});
