// Optimizer steps, element by element and in f32, by the formulas of Keras 3. words is a multiple of 4.

/** Adagrad. weights, accumulators, gradients f32 [words]: acc += g^2; w -= (learningRate * g) / sqrt(acc + epsilon). */
export function adagrad(weights: usize, accumulators: usize, gradients: usize, words: i32, learningRate: f32, epsilon: f32): void {
  const rate = f32x4.splat(learningRate), least = f32x4.splat(epsilon);
  for (const end = weights + (<usize>words << 2); weights < end; weights += 16, accumulators += 16, gradients += 16) {
    const g = v128.load(gradients);
    const sum = f32x4.add(v128.load(accumulators), f32x4.mul(g, g));
    v128.store(accumulators, sum);
    const step = f32x4.div(f32x4.mul(rate, g), f32x4.sqrt(f32x4.add(sum, least)));
    v128.store(weights, f32x4.sub(v128.load(weights), step));
  }
}

/**
 * Adam. weights, moments, velocities, gradients f32 [words]; where `gradients` is null, all are zero:
 * m += (g - m) * (1 - beta1); v += (g^2 - v) * (1 - beta2); w -= (m * alpha) / (sqrt(v) + epsilon),
 * where alpha is the learning rate * sqrt(1 - beta2^t) / (1 - beta1^t) at step t.
 */
export function adam(weights: usize, moments: usize, velocities: usize, gradients: usize, words: i32, alpha: f32, beta1: f32, beta2: f32, epsilon: f32): void {
  const rate = f32x4.splat(alpha), least = f32x4.splat(epsilon);
  const by1 = f32x4.splat(<f32>1 - beta1), by2 = f32x4.splat(<f32>1 - beta2);
  for (let k: usize = 0, end = <usize>words << 2; k < end; k += 16) {
    const g = gradients ? v128.load(gradients + k) : f32x4.splat(0);
    let m = v128.load(moments + k), v = v128.load(velocities + k);
    m = f32x4.add(m, f32x4.mul(f32x4.sub(g, m), by1));
    v = f32x4.add(v, f32x4.mul(f32x4.sub(f32x4.mul(g, g), v), by2));
    v128.store(moments + k, m);
    v128.store(velocities + k, v);
    const step = f32x4.div(f32x4.mul(m, rate), f32x4.add(f32x4.sqrt(v), least));
    v128.store(weights + k, f32x4.sub(v128.load(weights + k), step));
  }
}
