import type { Views } from '../../views.ts';

// Optimizer steps, element by element and in f32, by the formulas of Keras 3. words is a multiple of 4.

const fround = Math.fround;

/** Adagrad. weights, accumulators, gradients f32 [words]: acc += g^2; w -= (learningRate * g) / sqrt(acc + epsilon). */
export function adagrad(
  { f32 }: Views,
  weights: number,
  accumulators: number,
  gradients: number,
  words: number,
  learningRate: number,
  epsilon: number,
): void {
  const rate = fround(learningRate);
  const least = fround(epsilon);
  const w = weights >>> 2;
  const a = accumulators >>> 2;
  for (let j = 0; j < words; j++) {
    const g = f32[(gradients >>> 2) + j]!;
    const sum = fround(f32[a + j]! + fround(g * g));
    f32[a + j] = sum;
    f32[w + j] = f32[w + j]! - fround(fround(rate * g) / fround(Math.sqrt(fround(sum + least))));
  }
}

/**
 * Adam. weights, moments, velocities, gradients f32 [words]; where `gradients` is null, all are zero:
 * m += (g - m) * (1 - beta1); v += (g^2 - v) * (1 - beta2); w -= (m * alpha) / (sqrt(v) + epsilon),
 * where alpha is the learning rate * sqrt(1 - beta2^t) / (1 - beta1^t) at step t.
 */
export function adam(
  { f32 }: Views,
  weights: number,
  moments: number,
  velocities: number,
  gradients: number,
  words: number,
  alpha: number,
  beta1: number,
  beta2: number,
  epsilon: number,
): void {
  const rate = fround(alpha);
  const by1 = fround(1 - fround(beta1));
  const by2 = fround(1 - fround(beta2));
  const least = fround(epsilon);
  const w = weights >>> 2;
  const momentAt = moments >>> 2;
  const velocityAt = velocities >>> 2;
  for (let j = 0; j < words; j++) {
    const g = gradients === 0 ? 0 : f32[(gradients >>> 2) + j]!;
    const m = fround(f32[momentAt + j]! + fround(fround(g - f32[momentAt + j]!) * by1));
    const v = fround(f32[velocityAt + j]! + fround(fround(fround(g * g) - f32[velocityAt + j]!) * by2));
    f32[momentAt + j] = m;
    f32[velocityAt + j] = v;
    f32[w + j] = f32[w + j]! - fround(fround(m * rate) / fround(fround(Math.sqrt(v)) + least));
  }
}
