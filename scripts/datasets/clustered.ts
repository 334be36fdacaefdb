import { withCommas } from './format.ts';
import { createRandom } from './random.ts';
import type { Dataset } from './types.ts';

export interface ClusteredOptions {
  /** Vectors to index, the held-out ones not included. */
  count: number;
  /** Numbers per vector. */
  dimensions: number;
  /** Clusters of the mixture, all equally likely; the square root of `count` by default. */
  clusters?: number | undefined;
  /** Deviation of a vector from its centre, per dimension, where the centres deviate by 1; 0.5 by default. */
  spread?: number | undefined;
  /** Queries, drawn from the same mixture. */
  heldOut: number;
  /** Any integer; the same options give the same numbers. */
  seed: number;
}

function requireWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${name} must be a whole number of at least ${least}, not ${value}.`);
  }
}

/**
 * Makes a Gaussian mixture: centres are normal with deviation 1 in every dimension, and a vector is a centre picked at
 * random plus normal noise of deviation `spread`. Nothing is read or downloaded.
 *
 * @returns vectors [count x dimensions] with ids 'v0', 'v1' ..., queries [heldOut x dimensions] with ids 'q0', 'q1' ...
 */
export function clustered(options: ClusteredOptions): Dataset {
  const { count, dimensions, heldOut, seed } = options;
  const clusters = options.clusters ?? Math.max(1, Math.round(Math.sqrt(count)));
  const spread = options.spread ?? 0.5;
  requireWhole('count', count, 1);
  requireWhole('dimensions', dimensions, 1);
  requireWhole('clusters', clusters, 1);
  requireWhole('heldOut', heldOut, 0);
  requireWhole('seed', seed, Number.MIN_SAFE_INTEGER);
  if (!(spread >= 0 && Number.isFinite(spread))) throw new RangeError(`spread must be 0 or more, not ${spread}.`);

  const random = createRandom(seed);
  const centres = new Float32Array(clusters * dimensions);
  for (let i = 0; i < centres.length; i++) centres[i] = random.normal();

  function draw(rows: number): Float32Array {
    const drawn = new Float32Array(rows * dimensions);
    for (let row = 0; row < rows; row++) {
      const centre = random.below(clusters) * dimensions;
      const start = row * dimensions;
      for (let d = 0; d < dimensions; d++) drawn[start + d] = centres[centre + d]! + spread * random.normal();
    }
    return drawn;
  }

  // Queries come first, so that they stay the same when only `count` changes and `clusters` is given.
  const queries = draw(heldOut);
  const vectors = draw(count);
  return {
    name: 'clustered',
    dimensions,
    vectors,
    ids: Array.from({ length: count }, (_, i) => `v${i}`),
    queries,
    queryIds: Array.from({ length: heldOut }, (_, i) => `q${i}`),
    notes: [
      `Clustered: ${withCommas(count)} made-up vectors of ${dimensions} numbers in ` +
        `${withCommas(clusters)} Gaussian clusters (spread ${spread}, seed ${seed}).`,
    ],
  };
}
