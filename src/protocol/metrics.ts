export const METRICS = ['dot_product', 'cosine', 'squared_l2'] as const;

/**
 * How two vectors are compared: `dot_product` and `cosine` (dot product of normalised vectors), higher is nearer, or
 * `squared_l2` (squared Euclidean distance), lower is nearer.
 */
export type Metric = (typeof METRICS)[number];

/** Largest magnitude of a number in a vector: below it no sum of 4,096 products leaves the range of a 32-bit float. */
export const MAX_MAGNITUDE = 1e17;
export const MAX_DIMENSIONS = 4096;

/** Numbers per stored vector: the dimensions, at least `blocks` whole blocks of them, padded to a multiple of 4. */
export function paddedDimensions(dimensions: number, dimensionsPerBlock = 1): number {
  const blocks = Math.ceil(dimensions / dimensionsPerBlock);
  return Math.ceil(Math.max(dimensions, blocks * dimensionsPerBlock) / 4) * 4;
}
