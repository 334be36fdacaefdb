import { readFileSync } from 'node:fs';
import { Index, type SearchOptions } from '../../src/index.ts';
import { createProgress, createRandom, loadDataset } from '../datasets/index.ts';
import type { Target } from './driver.ts';
import { type TargetOptions, UsageError } from './options.ts';

export interface OpenTarget extends Target {
  /** Different queries that it has. */
  readonly queries: number;
  /** Upserts one vector: new ones at first, then new versions of the same. */
  upsert(i: number): Promise<void>;
  /** Lines to print: what it is. */
  readonly description: readonly string[];
  /** Bytes of shared memory now; undefined where they are not this process's. */
  sharedBytes(): number | undefined;
}

/** Queries made up for a saved index, which comes with none; and vectors to upsert. */
export const MADE_UP = 1000;
/** Different ids that are upserted, so that the index stays as large as it was but for them. */
export const UPSERTED_IDS = 10_000;
export const UPSERT_SEED = 7;

/** Unit vectors of random directions, row-major f32 [count x dimensions]. */
export function unitVectors(count: number, dimensions: number, seed: number): Float32Array {
  const random = createRandom(seed);
  const vectors = new Float32Array(count * dimensions);
  for (let row = 0; row < count; row++) {
    const vector = vectors.subarray(row * dimensions, (row + 1) * dimensions);
    let norm = 0;
    do {
      norm = 0;
      for (let d = 0; d < dimensions; d++) {
        vector[d] = random.normal();
        norm += vector[d]! ** 2;
      }
    } while (norm === 0);
    for (let d = 0; d < dimensions; d++) vector[d] = vector[d]! / Math.sqrt(norm);
  }
  return vectors;
}

/** Reads queries of `dimensions` numbers: rows of a .json file, or raw little-endian float32. Throws UsageError. */
export function readQueries(path: string, dimensions: number): Float32Array {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError(`--queries: cannot read '${path}' (${(error as NodeJS.ErrnoException).code})`);
  }
  const queries = path.endsWith('.json') ? fromJson(path, bytes, dimensions) : fromBytes(path, bytes, dimensions);
  const bad = queries.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new UsageError(`--queries: row ${Math.floor(bad / dimensions)} of '${path}' holds ${queries[bad]}`);
  }
  return queries;
}

function fromBytes(path: string, bytes: Buffer, dimensions: number): Float32Array {
  const row = 4 * dimensions;
  if (bytes.length === 0 || bytes.length % row !== 0) {
    throw new UsageError(
      `--queries: '${path}' must hold rows of ${dimensions} float32, ${row} bytes each, not ${bytes.length} bytes`,
    );
  }
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

function fromJson(path: string, bytes: Buffer, dimensions: number): Float32Array {
  let rows: unknown;
  try {
    rows = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new UsageError(`--queries: '${path}' is not JSON`);
  }
  if (!Array.isArray(rows) || rows.length === 0)
    throw new UsageError(`--queries: '${path}' must hold an array of rows`);
  for (const [i, row] of rows.entries()) {
    const sound = Array.isArray(row) && row.length === dimensions && row.every((value) => typeof value === 'number');
    if (!sound) throw new UsageError(`--queries: row ${i} of '${path}' is not an array of ${dimensions} numbers`);
  }
  return Float32Array.from((rows as number[][]).flat());
}

/** Builds or opens the index that the options name, in this process. */
export async function openIndexTarget(options: TargetOptions, signal?: AbortSignal): Promise<OpenTarget> {
  const { threads, seed, k, numLeavesToSearch, numReorderingCandidates } = options;
  const description: string[] = [];
  let index: Index;
  let queries: Float32Array | undefined;
  let source: string;
  if (options.index !== undefined) {
    index = await Index.open(options.index, { threads, signal });
    source = `random unit vectors (seed ${seed})`;
  } else {
    const progress = createProgress();
    const dataset = await loadDataset(options.data, {
      ...{ heldOut: MADE_UP, seed, progress: (p) => progress.update(p) },
      ...(options.data === 'clustered' && { count: options.rows, dimensions: options.dimensions }),
    });
    progress.finish();
    description.push(...dataset.notes);
    queries = dataset.queries;
    source = 'held out of the data';
    // Read first, so that a mistake in the file is not told after minutes of building.
    if (options.queries !== undefined) readQueries(options.queries, dataset.dimensions);
    index = await Index.build(
      { vectors: dataset.vectors, ids: dataset.ids },
      {
        ...{ dimensions: dataset.dimensions, metric: 'cosine', threads, seed, signal },
        onProgress: ({ phase, done, total }) => progress.update({ phase, done, total: total ?? 0 }),
      },
    );
    progress.finish();
  }
  try {
    const { dimensions } = index;
    if (options.queries !== undefined) {
      queries = readQueries(options.queries, dimensions);
      source = options.queries;
    }
    return inProcess(index, queries ?? unitVectors(MADE_UP, dimensions, seed), source, description, {
      ...{ k, numLeavesToSearch, numReorderingCandidates },
    });
  } catch (error) {
    await index.close();
    throw error;
  }
}

function inProcess(
  index: Index,
  queries: Float32Array,
  source: string,
  notes: readonly string[],
  options: SearchOptions,
): OpenTarget {
  const { dimensions } = index;
  const count = queries.length / dimensions;
  const { size, metric, threads, kernels, numLeaves, config } = index.stats();
  const { numLeavesToSearch = config.defaults.numLeavesToSearch } = options;
  const { numReorderingCandidates = config.defaults.numReorderingCandidates } = options;
  const leaves = `${Math.min(numLeavesToSearch, numLeaves)} of ${numLeaves} leaves`;
  const approximate = `${leaves}, ${numReorderingCandidates} candidates`;
  const upserts = unitVectors(MADE_UP, dimensions, UPSERT_SEED);
  return {
    queries: count,
    description: [
      ...notes,
      `Index in this process: ${size.toLocaleString('en')} x ${dimensions}, ${metric}, ${threads} threads, kernels '${kernels}'`,
      `${count.toLocaleString('en')} queries, ${source}; k = ${options.k}, ` +
        (numLeaves === 0 ? 'exact scan' : approximate),
    ],
    async search(i) {
      await index.search(queries.subarray(i * dimensions, (i + 1) * dimensions), options);
    },
    async upsert(i) {
      const at = (i % MADE_UP) * dimensions;
      await index.upsert({ ids: [`load test ${i % UPSERTED_IDS}`], vectors: upserts.subarray(at, at + dimensions) });
    },
    sharedBytes: () => index.stats().bytes,
    close: () => index.close(),
  };
}
