import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type BuildOptions, type Id, Index, METRICS } from '../../src/index.ts';
import { fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered } from '../support/vectors.ts';

const [size, added, dimensions] = [700, 500, 6];
const data = clustered(size + added, dimensions, 5);
const rowsFrom = (first: number, end: number) => data.vectors.subarray(first * dimensions, end * dimensions);
const given = { vectors: rowsFrom(0, size) };
const base = temporaryDirectory();
const queries = new Random(8).normals(12, dimensions);
const { tree, hashing } = CONFIGS['tree and hashing'];
const WAYS: [name: string, build: BuildOptions][] = [
  ['exact', CONFIGS.exact],
  ['hashing only', CONFIGS['hashing only']],
  ['tree only', CONFIGS['tree only']],
  ['tree and hashing', CONFIGS['tree and hashing']],
  ['int8', { tree, hashing, reordering: { vectors: 'int8' } }],
  ['bfloat16', { ...CONFIGS.exact, reordering: { vectors: 'bfloat16' } }],
  ['spilled', { tree: { ...tree, soarLambda: 1 }, hashing }],
];
const ALL = { numLeavesToSearch: 12, numReorderingCandidates: 4 * (size + added) };

/** Ids of the rows that are added: every other one is that of a row there is. */
const idOf = (row: number): number => (row < size ? row : row % 2 === 0 ? row : row - size);
const replaced = Array.from({ length: added }, (_, i) => size + i)
  .filter((row) => row % 2 === 1)
  .map(idOf);

/** Upserts all rows beyond `size`, some calls of one vector, some of many. */
async function addAll(index: Index): Promise<void> {
  for (let first = size, step = 1; first < size + added; first += step, step = (step * 5) % 97) {
    const end = Math.min(size + added, first + step);
    const ids = Array.from({ length: end - first }, (_, i) => idOf(first + i));
    const updated = ids.filter((id) => id < size).length;
    expect(await index.upsert({ ids, vectors: rowsFrom(first, end) })).toEqual({
      inserted: ids.length - updated,
      updated,
    });
  }
}

/** What an exact search finds in an index of all the vectors that were ever given, without those that were replaced. */
async function truth(build: BuildOptions, k: number): Promise<{ ids: Id[]; scores: string }[]> {
  await using whole = await Index.build(
    { vectors: data.vectors },
    { ...build, ...CONFIGS.exact, dimensions, threads: 1 },
  );
  await whole.delete(replaced);
  const found = await whole.searchBatch(queries, { k });
  return found.map((result) => bits({ ...result, ids: result.ids.map((row) => idOf(row as number)) }));
}

describe.each(WAYS)('%s', (_, build) => {
  it.each(METRICS)('answers as if all had been there from the start, under %s', async (metric) => {
    const options = { ...build, metric, dimensions };
    await using index = await Index.build(given, { ...options, threads: 2, shards: 3 });
    await addAll(index);
    expect([index.size, index.stats().deleted]).toEqual([size + added - replaced.length, replaced.length]);
    expect(index.stats().shards.reduce((sum, shard) => sum + shard.size, 0)).toBe(size + added);
    for (const k of [1, 10, 2 * size]) {
      const right = await truth(options, k);
      expect((await index.searchBatch(queries, { ...ALL, k, exact: true })).map(bits)).toEqual(right);
      expect((await index.searchBatch(queries, { ...ALL, k })).map(bits)).toEqual(right);
    }
  });
});

it('gives the same bits whatever the kernels, shards and threads, and saves the same bytes whatever the threads', async () => {
  const options = { tree, hashing, dimensions };
  let right: unknown;
  for (const [shards, threads, kernels] of [
    ...[[1, 1, ''] as const, [1, 2, ''] as const, [3, 2, ''] as const, [8, 1, 'scalar'] as const],
  ]) {
    vi.stubEnv('SCANNERY_KERNELS', kernels);
    await using index = await Index.build(given, { ...options, threads, shards });
    await addAll(index);
    const found = await index.searchBatch(queries, { k: 20, numLeavesToSearch: 4, numReorderingCandidates: 30 });
    right ??= found.map(bits);
    expect(found.map(bits)).toEqual(right);
  }
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('codes alone', () => {
  it('are those that the build gives: a copy of a vector scores as the vector', async () => {
    for (const metric of METRICS) {
      for (const soarLambda of [undefined, 1]) {
        const options = { tree: { ...tree, soarLambda }, hashing, metric, dimensions, reordering: false as const };
        await using index = await Index.build(given, { ...options, threads: 2, shards: 2 });
        await index.upsert({ ids: Array.from({ length: size }, (_, i) => size + i), vectors: given.vectors });
        for (const { ids, scores } of await index.searchBatch(queries, { k: 2 * size, numLeavesToSearch: 12 })) {
          const scoreOf = new Map(ids.map((id, i) => [id, scores[i]!]));
          expect(scoreOf.size).toBe(2 * size);
          for (let row = 0; row < size; row++) expect(scoreOf.get(row + size)).toBe(scoreOf.get(row));
        }
      }
    }
  });
});

describe('ids', () => {
  const vector = (i: number) => rowsFrom(i, i + 1);
  const nearest = async (index: Index, i: number) => (await index.search(vector(i), { k: 1 })).ids[0];

  it.each<[string, Id[] | undefined, Id[]]>([
    ['row numbers', undefined, [3, -1, 'three', 900n, 1000, 3n, '3']],
    ['numbers', Array.from({ length: size }, (_, i) => 3 * i), [9, 10, 'nine', 2n ** 63n, -3]],
    ['text', Array.from({ length: size }, (_, i) => `v${i}`), ['v7', 'v900', 7, 7n, '', 'é']],
  ])('of any kind join %s, and are saved', async (kind, ids, more) => {
    const directory = join(base, `ids ${kind}`);
    await using index = await Index.build({ ...given, ids }, { dimensions, metric: 'squared_l2', threads: 1 });
    const [first] = more;
    expect(await index.has(first!)).toBe(true);
    const upserted = { ids: more, vectors: rowsFrom(size, size + more.length) };
    expect(await index.upsert(upserted)).toEqual({ inserted: more.length - 1, updated: 1 });
    expect(await index.upsert(upserted)).toEqual({ inserted: 0, updated: more.length });
    const check = async (one: Index): Promise<void> => {
      expect(one.size).toBe(size + more.length - 1);
      const all: Id[] = [];
      for await (const id of one.ids()) all.push(id);
      expect(all.length).toBe(one.size);
      expect(all.slice(-more.length)).toEqual(more);
      for (const [i, id] of more.entries()) {
        expect(await nearest(one, size + i)).toBe(id);
        expect((await one.get(id))!.vector).toEqual(vector(size + i));
      }
    };
    await check(index);
    await index.save(directory);
    await using opened = await Index.open(directory, { threads: 1 });
    await check(opened);
    expect(await opened.delete(more)).toEqual({ deleted: more.length, unknown: 0 });
    expect(await opened.has(first!)).toBe(false);
    expect(await opened.upsert({ ids: [first!], vectors: [Array.from(vector(0))] })).toEqual({
      inserted: 1,
      updated: 0,
    });
    expect((await opened.get(first!))!.vector).toEqual(vector(0));
  });
});

it('grows from nothing to many, through saves and deletions', async () => {
  const directory = join(base, 'growing');
  let index = await Index.build([], { dimensions, metric: 'squared_l2', threads: 2, shards: 2 });
  const live = new Set<number>();
  for (let round = 0; round < 6; round++) {
    const ids = Array.from({ length: 1 + 37 * round * round }, (_, i) => (round % 2 === 0 ? i : 1000 + i));
    const rows = ids.map((id) => Array.from(rowsFrom(id % size, (id % size) + 1)));
    await index.upsert({ ids, vectors: rows });
    for (const id of ids) live.add(id);
    const gone = ids.filter((id) => id % 3 === round % 3);
    await index.delete(gone);
    for (const id of gone) live.delete(id);
    expect(index.size).toBe(live.size);
    const everything = await index.search(new Float32Array(dimensions), { k: 5000 });
    expect(new Set(everything.ids)).toEqual(live);
    await index.save(directory);
    const right = (await index.searchBatch(queries)).map(bits);
    await index.close();
    index = await Index.open(directory, { threads: 1 });
    expect((await index.searchBatch(queries)).map(bits)).toEqual(right);
    const again = join(base, 'again');
    await index.save(again);
    expect(fingerprint(again)).toEqual(fingerprint(directory));
  }
  await index.close();
});

describe('what is refused', () => {
  const good = { ids: [1, size, size + 1], vectors: rowsFrom(size, size + 3) };
  const withNumber = (i: number, value: number) => Float32Array.from(good.vectors, (x, j) => (j === i ? value : x));

  it.each<[string, unknown, string, object]>([
    ['NaN', { ...good, vectors: withNumber(dimensions + 2, Number.NaN) }, 'SCANNERY_INVALID_VECTOR', { row: 1 }],
    ['Infinity', { ...good, vectors: withNumber(0, Number.POSITIVE_INFINITY) }, 'SCANNERY_INVALID_VECTOR', { row: 0 }],
    [
      'a zero vector',
      {
        ids: [1, 2],
        vectors: [
          [1, 2, 3, 4, 5, 6],
          [0, 0, 0, 0, 0, 0],
        ],
      },
      'SCANNERY_INVALID_VECTOR',
      { row: 1 },
    ],
    ['too few numbers', { ids: [1], vectors: [[1, 2]] }, 'SCANNERY_INVALID_VECTOR', { row: 0, value: 2 }],
    ['a flat array that is cut', { ...good, vectors: good.vectors.subarray(1) }, 'SCANNERY_INVALID_VECTOR', { row: 2 }],
    [
      'a vector that is none',
      { ids: [1, 2], vectors: [[1, 2, 3, 4, 5, 6], 7] },
      'SCANNERY_INVALID_OPTION',
      { option: 'vectors[1]' },
    ],
    ['no vectors', { ids: [1] }, 'SCANNERY_INVALID_OPTION', { option: 'vectors' }],
    ['no ids', { vectors: good.vectors }, 'SCANNERY_INVALID_OPTION', { option: 'ids' }],
    ['nothing', undefined, 'SCANNERY_INVALID_OPTION', { option: 'input' }],
    ['too few ids', { ...good, ids: [1, 2] }, 'SCANNERY_INVALID_ID', { row: 2 }],
    ['too many ids', { ...good, ids: [1, 2, 3, 4] }, 'SCANNERY_INVALID_ID', { row: 3 }],
    ['a bad id', { ...good, ids: [1, 2, 0.5] }, 'SCANNERY_INVALID_ID', { row: 2, value: 0.5 }],
    ['an id twice', { ...good, ids: ['a', 2, 'a'] }, 'SCANNERY_DUPLICATE_ID', { row: 2, value: 'a' }],
  ])('%s, with nothing changed', async (_, input, code, details) => {
    await using index = await Index.build(given, { dimensions, metric: 'cosine', threads: 1 });
    const before = (await index.searchBatch(queries, { k: size })).map(bits);
    expect(await failureOf(index.upsert(input as never))).toMatchObject({ code, ...details });
    expect([index.size, index.stats().deleted]).toEqual([size, 0]);
    expect((await index.searchBatch(queries, { k: size })).map(bits)).toEqual(before);
  });

  it('is what comes after closing; what was under way ends', async () => {
    const index = await Index.build(given, { dimensions, threads: 1 });
    const pending = index.upsert(good);
    await index.close();
    expect(await pending).toEqual({ inserted: 2, updated: 1 });
    expect(index.size).toBe(size + 2);
    expect(await failureOf(index.upsert(good))).toMatchObject({ code: 'SCANNERY_CLOSED' });
  });

  it('is what was aborted before its turn, and no more', async () => {
    await using index = await Index.build(given, { dimensions, threads: 1 });
    const controller = new AbortController();
    const first = index.upsert(good);
    const second = index.upsert({ ids: [9000], vectors: rowsFrom(0, 1) }, { signal: controller.signal });
    const third = index.upsert({ ids: [9001], vectors: rowsFrom(0, 1) });
    controller.abort();
    expect(await failureOf(second)).toMatchObject({ code: 'SCANNERY_ABORTED' });
    expect([await first, await third]).toEqual([
      { inserted: 2, updated: 1 },
      { inserted: 1, updated: 0 },
    ]);
    expect([await index.has(9000), await index.has(9001)]).toEqual([false, true]);
    expect(await failureOf(index.upsert(good, { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'SCANNERY_ABORTED',
    });
    expect(await failureOf(index.upsert(good, { signal: 1 } as never))).toMatchObject({ option: 'signal' });
  });

  it('changes nothing: no vectors', async () => {
    await using index = await Index.build(given, { dimensions, threads: 1 });
    expect(await index.upsert({ ids: [], vectors: [] })).toEqual({ inserted: 0, updated: 0 });
    expect(index.size).toBe(size);
  });
});
