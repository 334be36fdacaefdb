import { clustered, createRandom } from '../datasets/index.ts';

const ROWS_PER_CHUNK = 100_000;
const SPREAD = 0.5;

export interface ClusteredFile {
  /** f32 [queries x dimensions] */
  readonly queries: Float32Array;
  /** f32 [at most 100,000 x dimensions] each, as many as make up the rows */
  readonly chunks: Iterable<Float32Array>;
  readonly note: string;
}

/**
 * The Gaussian mixture of the data sets' `clustered`, made chunk by chunk so that tens of millions of rows need no memory for
 * them all. Chunk i has a seed of its own, so a larger set begins with the rows of a smaller one of as many clusters.
 */
export function clusteredFile(rows: number, dimensions: number, queries: number, seed = 42): ClusteredFile {
  const clusters = Math.max(1, Math.round(Math.sqrt(rows)));
  const centres = clustered({ count: clusters, dimensions, clusters: 1, spread: 1, heldOut: 0, seed }).vectors;

  function draw(count: number, chunkSeed: number): Float32Array {
    const random = createRandom(chunkSeed);
    const drawn = new Float32Array(count * dimensions);
    for (let row = 0; row < count; row++) {
      const centre = random.below(clusters) * dimensions;
      for (let d = 0; d < dimensions; d++)
        drawn[row * dimensions + d] = centres[centre + d]! + SPREAD * random.normal();
    }
    return drawn;
  }

  function* all(): Generator<Float32Array> {
    for (let first = 0, chunk = 1; first < rows; first += ROWS_PER_CHUNK, chunk++)
      yield draw(Math.min(ROWS_PER_CHUNK, rows - first), seed + 1_000_003 * chunk);
  }
  return {
    queries: draw(queries, seed - 1),
    chunks: all(),
    note:
      `Clustered: ${rows} made-up vectors of ${dimensions} numbers in ${clusters} Gaussian clusters ` +
      `(spread ${SPREAD}, seed ${seed}).`,
  };
}
