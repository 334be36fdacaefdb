import { clustered } from './clustered.ts';
import { createRandom } from './random.ts';

const ROWS_PER_CHUNK = 100_000;

/** How many clusters a set has: a number, the same for all sizes, or 'sqrt', the square root of the size. */
export type Clusters = number | 'sqrt';

export interface MixtureOptions {
  readonly dimensions: number;
  readonly clusters: Clusters;
  /** Deviation of a vector from its centre, per dimension, where the centres deviate by 1. */
  readonly spread: number;
  readonly seed: number;
}

export interface Mixture {
  readonly clusters: number;
  /** Vectors of the mixture that are not among the rows; f32 [count x dimensions]. */
  queries(count: number): Float32Array;
  /** f32 [at most 100,000 x dimensions] each, as many as make up the rows. */
  chunks(): Generator<Float32Array>;
}

/**
 * The Gaussian mixture of the data sets' `clustered`, drawn chunk by chunk, so that no more than one chunk is in memory. Each chunk
 * has a seed of its own: with the same number of clusters a larger set begins with the rows of a smaller one and has the same queries: both are samples of
 * one distribution.
 */
export function mixture(rows: number, options: MixtureOptions): Mixture {
  const { dimensions, spread, seed } = options;
  const clusters = options.clusters === 'sqrt' ? Math.max(1, Math.round(Math.sqrt(rows))) : options.clusters;
  const centres = clustered({ count: clusters, dimensions, clusters: 1, spread: 1, heldOut: 0, seed }).vectors;

  function draw(count: number, chunkSeed: number): Float32Array {
    const random = createRandom(chunkSeed);
    const drawn = new Float32Array(count * dimensions);
    for (let row = 0; row < count; row++) {
      const centre = random.below(clusters) * dimensions;
      for (let d = 0; d < dimensions; d++)
        drawn[row * dimensions + d] = centres[centre + d]! + spread * random.normal();
    }
    return drawn;
  }

  return {
    clusters,
    queries: (count) => draw(count, seed - 1),
    *chunks() {
      for (let first = 0, chunk = 1; first < rows; first += ROWS_PER_CHUNK, chunk++)
        yield draw(Math.min(ROWS_PER_CHUNK, rows - first), seed + 1_000_003 * chunk);
    },
  };
}
