import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withCommas } from './format.ts';
import { defaultCacheDirectory } from './glove.ts';
import type { Dataset, ProgressListener } from './types.ts';

const EPOCHS = 3;
/** Raises when what the files hold changes. */
const VERSION = 1;
const PART_BYTES = 64 << 20;

export interface MovielensGrownOptions {
  cacheDirectory?: string | undefined;
  /** Told of the phase 'train', in epochs. */
  progress?: ProgressListener | undefined;
}

const bytesOf = (numbers: Float32Array): Uint8Array =>
  new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

/**
 * Loads the candidates that the tutorial of `npm start` ends up with: embeddings of movies, of 32 numbers, and 183 copies of
 * each with every number multiplied by a random one, 1.67 million in all; queries are the embeddings of all 671 users. To be
 * compared by dot product. Trained on the first call, which takes some seconds, and kept as plain float32. There are no ids.
 */
export async function loadMovielensGrown(
  options: MovielensGrownOptions = {},
): Promise<Omit<Dataset, 'ids' | 'queryIds'>> {
  const folder = join(options.cacheDirectory ?? defaultCacheDirectory(), 'movielens-grown');
  const path = (name: string): string => join(folder, `${name}-v${VERSION}`);
  if (!existsSync(path('header.json'))) {
    const made = await make(options.progress);
    mkdirSync(folder, { recursive: true });
    for (const name of ['vectors', 'queries'] as const) {
      const temporary = `${path(name)}.${process.pid}.tmp`;
      writeFileSync(temporary, bytesOf(made[name]));
      renameSync(temporary, path(name));
    }
    // Last, since its presence says that the others are whole.
    writeFileSync(path('header.json'), JSON.stringify({ dimensions: made.dimensions, notes: made.notes }));
  }
  const { dimensions, notes } = JSON.parse(readFileSync(path('header.json'), 'utf8')) as Pick<
    Dataset,
    'dimensions' | 'notes'
  >;
  return { name: 'movielens', dimensions, vectors: read(path('vectors')), queries: read(path('queries')), notes };
}

function read(path: string): Float32Array {
  const parts: Buffer[] = [];
  const file = openSync(path, 'r');
  try {
    for (;;) {
      const part = Buffer.alloc(PART_BYTES);
      const count = readSync(file, part, 0, PART_BYTES, null);
      if (count === 0) break;
      parts.push(part.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
  return new Float32Array(new Uint8Array(Buffer.concat(parts)).buffer);
}

async function make(progress?: ProgressListener): Promise<Omit<Dataset, 'ids' | 'queryIds' | 'name'>> {
  // Imported here, since the other data sets have no need of the recommender; and they import this folder in turn.
  const [{ loadSplit }, { grow }, { makeModel, TUTORIAL }] = await Promise.all([
    import('../movielens/data.ts'),
    import('../movielens/grown.ts'),
    import('../movielens/models.ts'),
  ]);
  const split = await loadSplit(fileURLToPath(new URL('../../data/movielens', import.meta.url)));
  const { model, metrics } = await makeModel(split, TUTORIAL);
  progress?.({ phase: 'train', done: 0, total: EPOCHS });
  await model.fit(split.train.batch(TUTORIAL.batchSize), { epochs: EPOCHS, verbose: 0 });
  progress?.({ phase: 'train', done: EPOCHS, total: EPOCHS });
  const embeddings = await model.candidateTower.embed(split.titles);
  const queries = await model.queryTower.embed(split.users);
  await metrics.close();
  await model.close();
  const grown = grow(split.titles, embeddings);
  const dimensions = embeddings.length / split.titles.length;
  const vectors = new Float32Array(grown.size * dimensions);
  let filled = 0;
  for await (const [, chunk] of grown.candidates) {
    vectors.set(chunk, filled);
    filled += chunk.length;
  }
  const notes = [
    `MovieLens: ${withCommas(split.titles.length)} movies' embeddings of ${dimensions} numbers and ${grown.copies} copies of each, ` +
      `every number multiplied by a random one; ${withCommas(split.users.length)} users' embeddings ask.`,
  ];
  return { dimensions, vectors, queries, notes };
}
