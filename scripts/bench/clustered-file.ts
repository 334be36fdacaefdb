import { mixture } from '../datasets/index.ts';

const SPREAD = 0.5;

export interface ClusteredFile {
  /** f32 [queries x dimensions] */
  readonly queries: Float32Array;
  /** f32 [at most 100,000 x dimensions] each, as many as make up the rows */
  readonly chunks: Iterable<Float32Array>;
  readonly note: string;
}

/** The clustered set of the benchmark: a Gaussian mixture with as many clusters as the square root of the rows. */
export function clusteredFile(rows: number, dimensions: number, queries: number, seed = 42): ClusteredFile {
  const made = mixture(rows, { dimensions, clusters: 'sqrt', spread: SPREAD, seed });
  return {
    queries: made.queries(queries),
    chunks: made.chunks(),
    note:
      `Clustered: ${rows} made-up vectors of ${dimensions} numbers in ${made.clusters} Gaussian clusters ` +
      `(spread ${SPREAD}, seed ${seed}).`,
  };
}
