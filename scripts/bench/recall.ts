import type { Metric } from '../../src/index.ts';

/** What ann-benchmarks allows a found neighbour beyond the k-th true one's distance. */
export const EPSILON = 1e-3;

/**
 * The distance that the rule compares, as ann-benchmarks has it: Euclidean (not squared), 1 - cosine, and for the dot product,
 * which it does not have, the negative product.
 */
export function distance(metric: Metric, a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let squares = 0;
  let normA = 0;
  let normB = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i]!;
    const y = b[i]!;
    dot += x * y;
    squares += (x - y) * (x - y);
    normA += x * x;
    normB += y * y;
  }
  switch (metric) {
    case 'dot_product':
      return -dot;
    case 'squared_l2':
      return Math.sqrt(squares);
    case 'cosine':
      return normA > 0 && normB > 0 ? 1 - dot / Math.sqrt(normA * normB) : 1;
  }
}

/**
 * Recall@k of one query by ann-benchmarks' rule: a found row counts when its distance is at most that of the k-th true
 * neighbour plus epsilon, so that of rows tied for the last place any will do. A row counts once.
 *
 * @param truth distances of the k true neighbours, ascending
 * @param found the rows found, best first
 * @param distanceOf the true distance of a found row; rows below 0 stand for none
 */
export function recallOf(
  truth: ArrayLike<number>,
  found: ArrayLike<number>,
  distanceOf: (row: number) => number,
  epsilon = EPSILON,
): number {
  const k = truth.length;
  if (k === 0) return 1;
  const limit = truth[k - 1]! + epsilon;
  const seen = new Set<number>();
  let hits = 0;
  for (let i = 0; i < Math.min(k, found.length); i++) {
    const row = found[i]!;
    if (row < 0 || seen.has(row)) continue;
    seen.add(row);
    if (distanceOf(row) <= limit) hits++;
  }
  return hits / k;
}
