import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metric } from '../../src/index.ts';
import {
  loadFashionMnist,
  loadGlove,
  loadMnist,
  loadMovielensGrown,
  type ProgressListener,
} from '../datasets/index.ts';
import { clusteredFile } from './clustered-file.ts';
import { writeNumbers } from './rows.ts';
import type { DataFiles } from './types.ts';

export const DATA_SETS = ['glove', 'movielens', 'fashion-mnist', 'mnist', 'clustered'] as const;
export type DataSetName = (typeof DATA_SETS)[number];

const METRIC_OF: Record<DataSetName, Metric> = {
  glove: 'cosine',
  movielens: 'dot_product',
  'fashion-mnist': 'squared_l2',
  mnist: 'squared_l2',
  clustered: 'squared_l2',
};

interface Source {
  readonly dimensions: number;
  readonly chunks: Iterable<Float32Array>;
  readonly queries: Float32Array;
  readonly notes: readonly string[];
}

export interface DataOptions {
  readonly dataset: DataSetName;
  readonly metric?: Metric | undefined;
  readonly rows?: number | undefined;
  readonly dimensions?: number | undefined;
  readonly queries: number;
  readonly progress?: ProgressListener | undefined;
}

async function load(options: DataOptions): Promise<Source> {
  const { dataset, rows, queries, progress } = options;
  if (dataset === 'clustered') {
    const dimensions = options.dimensions ?? 100;
    const made = clusteredFile(rows ?? 100_000, dimensions, queries);
    return { dimensions, chunks: made.chunks, queries: made.queries, notes: [made.note] };
  }
  const loaders = {
    glove: () => loadGlove({ heldOut: queries, progress }),
    movielens: () => loadMovielensGrown({ progress }),
    'fashion-mnist': () => loadFashionMnist({ heldOut: queries, progress }),
    mnist: () => loadMnist({ heldOut: queries }),
  };
  const { dimensions, vectors, queries: all, notes } = await loaders[dataset]();
  return {
    dimensions,
    chunks: [vectors.subarray(0, (rows ?? vectors.length / dimensions) * dimensions)],
    queries: all.subarray(0, queries * dimensions),
    notes,
  };
}

/**
 * A data set as files of plain float32, made the first time it is asked for. Engines read them piece by piece, so that their
 * peak memory is their own.
 */
export async function prepare(options: DataOptions, cacheDirectory: string): Promise<DataFiles> {
  const { dataset, rows, dimensions, queries } = options;
  const metric = options.metric ?? METRIC_OF[dataset];
  const parts = [dataset, rows && `${rows}rows`, dataset === 'clustered' && dimensions && `${dimensions}d`];
  const stem = [...parts.filter(Boolean), `${queries}q`].join('-');
  const path = (end: string): string => join(cacheDirectory, 'data', `${stem}.${end}`);
  const files = { vectorsFile: path('vectors.f32'), queriesFile: path('queries.f32') };
  if (!existsSync(path('json'))) {
    const source = await load(options);
    mkdirSync(join(cacheDirectory, 'data'), { recursive: true });
    const count = write(files.vectorsFile, source.chunks) / source.dimensions;
    const asked = write(files.queriesFile, [source.queries]) / source.dimensions;
    const { notes } = source;
    // Last, since its presence says that the others are whole.
    const header = { name: dataset, dimensions: source.dimensions, rows: count, queries: asked, notes };
    writeFileSync(path('json'), JSON.stringify(header));
  }
  const header = JSON.parse(readFileSync(path('json'), 'utf8')) as Omit<DataFiles, 'metric' | keyof typeof files>;
  return { ...header, metric, ...files };
}

/** Writes the chunks one after another; returns how many numbers they hold. */
function write(path: string, chunks: Iterable<Float32Array>): number {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, 'w');
  let count = 0;
  try {
    for (const chunk of chunks) {
      writeNumbers(file, chunk);
      count += chunk.length;
    }
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  return count;
}
