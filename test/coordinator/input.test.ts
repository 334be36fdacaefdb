import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Index, type Metric, type VectorChunk } from '../../src/index.ts';
import { fingerprint, temporaryDirectory } from '../support/directories.ts';
import { CONFIGS, clustered, rowsOf, streamOf } from '../support/vectors.ts';

const data = clustered(400, 6);
const { count, dimensions, vectors } = data;
const ids = Array.from({ length: count }, (_, i) => (i % 3 === 0 ? `s${i}` : i));
const rows = rowsOf(data);
const directory = temporaryDirectory();

/** The first rows as one chunk of a stream, and so on; the sizes are uneven, and one chunk is empty. */
function chunks(form: (from: number, to: number) => VectorChunk['vectors']): VectorChunk[] {
  const ends = [1, 50, 50, 300, count];
  return ends.map((end, i) => ({ vectors: form(ends[i - 1] ?? 0, end), ids: ids.slice(ends[i - 1] ?? 0, end) }));
}

const flat = (from: number, to: number): Float32Array => vectors.subarray(from * dimensions, to * dimensions);

const FORMS: Record<string, () => Parameters<typeof Index.build>[0]> = {
  'a Float64Array': () => ({ vectors: Float64Array.from(vectors), ids }),
  'arrays of numbers': () => ({ vectors: rows, ids }),
  'rows as Float32Array': () => ({ vectors: rows.map((row) => Float32Array.from(row)), ids }),
  'chunks of an array': () => chunks(flat),
  'chunks of a generator': () => chunks((from, to) => rows.slice(from, to)).values(),
  'chunks of an async generator': () => streamOf(chunks((from, to) => Float64Array.from(flat(from, to)))),
};

let made = 0;

async function filesOf(input: Parameters<typeof Index.build>[0], metric: Metric): Promise<Record<string, string>> {
  const path = join(directory, String(made++));
  const options = { dimensions, metric, ...CONFIGS['tree and hashing'], shards: 2, threads: 1 };
  await using index = await Index.build(input, options);
  expect(index.size).toBe(count);
  await index.save(path);
  return fingerprint(path);
}

describe('the same vectors give the same index', () => {
  let base: Record<string, string>;
  beforeAll(async () => {
    base = await filesOf({ vectors, ids }, 'cosine');
  });

  it.each(Object.keys(FORMS))('as %s', async (form) => {
    expect(await filesOf(FORMS[form]!(), 'cosine')).toEqual(base);
  });
});

it('takes the number of dimensions from the first row when it is not given', async () => {
  await using index = await Index.build({ vectors: rows }, { threads: 1 });
  expect(index.dimensions).toBe(dimensions);
  expect(index.size).toBe(count);
});

it.each(['cosine', 'squared_l2'] as const)('leaves vectors and ids as they were, under %s', async (metric) => {
  const own = { vectors: Float32Array.from(vectors), ids: [...ids] };
  const ownRows = { vectors: rows.map((row) => [...row]), ids: Object.freeze([...ids]) };
  await filesOf(own, metric);
  await filesOf(ownRows, metric);
  expect(own).toEqual({ vectors, ids });
  expect(ownRows).toEqual({ vectors: rows, ids });
});

it('does not look at the vectors again once it is built', async () => {
  const own = Float32Array.from(vectors);
  await using index = await Index.build({ vectors: own }, { dimensions, threads: 1 });
  const before = await index.search(flat(0, 1));
  own.fill(0);
  expect(await index.search(flat(0, 1))).toEqual(before);
});

it('asks a stream for the next chunk only after the one before was taken', async () => {
  const events: string[] = [];
  async function* stream(): AsyncGenerator<VectorChunk> {
    for (let i = 0; i < 3; i++) {
      events.push(`give ${i}`);
      yield { vectors: flat(i * 100, (i + 1) * 100) };
    }
  }
  await using index = await Index.build(stream(), {
    ...{ dimensions, threads: 1 },
    onProgress: ({ phase, done, total }) => {
      if (phase === 'ingest') events.push(`took ${done} of ${total}`);
    },
  });
  expect(index.size).toBe(300);
  expect(events).toEqual([0, 1, 2].flatMap((i) => [`give ${i}`, `took ${(i + 1) * 100} of undefined`]));
});

it('reports every phase of a build, in order and up to its end', async () => {
  const seen = new Map<string, { done: number; total: number | undefined }>();
  await using index = await Index.build(data, {
    ...{ dimensions, ...CONFIGS['tree and hashing'], shards: 3, threads: 2 },
    onProgress: ({ phase, done, total }) => {
      expect(done).toBeGreaterThanOrEqual(seen.get(phase)?.done ?? 0);
      seen.set(phase, { done, total });
    },
  });
  expect(index.size).toBe(count);
  expect([...seen]).toEqual([
    ['ingest', { done: count, total: count }],
    ['train tree', { done: 4, total: 4 }],
    ['train codebooks', { done: 3, total: 3 }],
    ['encode', { done: count, total: count }],
    ['fill shards', { done: 1, total: 1 }],
  ]);
});
