import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openIndex } from '../../src/coordinator/open.ts';
import { saveIndex } from '../../src/coordinator/save.ts';
import { type BuildOptions, type Id, Index, METRICS, type SearchOptions, type SearchResult } from '../../src/index.ts';
import { resolveOpenOptions } from '../../src/protocol/live-options.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { buildInline } from '../support/inline-build.ts';
import { LiveIndex } from '../support/live-index.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const [size, dimensions] = [900, 6];
const data = clustered(size, dimensions, 5);
const base = temporaryDirectory();
const random = new Random(8);
const queries = Float32Array.of(
  ...random.normals(8, dimensions),
  ...data.vectors.subarray(0, 8 * dimensions), // with vectors that repeat, so that scores tie
);
/** Rows in random order, of which some prefix is deleted. */
const order = new Random(4).shuffle(Array.from({ length: size }, (_, row) => row));
const { tree, hashing } = CONFIGS['tree and hashing'];
const WAYS: [name: string, build: BuildOptions, search: SearchOptions][] = [
  ['exact', CONFIGS.exact, {}],
  ['exact search of a tree', CONFIGS['tree and hashing'], { exact: true }],
  ['hashing only', CONFIGS['hashing only'], {}],
  ['tree only', CONFIGS['tree only'], {}],
  ['tree and hashing', CONFIGS['tree and hashing'], {}],
  ['codes', { tree, hashing, reordering: false }, {}],
  ['int8', { tree, hashing, reordering: { vectors: 'int8' } }, {}],
  ['spilled', { tree: { ...tree, soarLambda: 1 }, hashing }, {}],
];

/** A result without the rows that are deleted. */
function without(result: SearchResult, deleted: ReadonlySet<Id>, k: number): { ids: Id[]; scores: number[] } {
  const left = result.ids.map((id, i) => ({ id, score: result.scores[i]! })).filter(({ id }) => !deleted.has(id));
  return { ids: left.slice(0, k).map(({ id }) => id), scores: left.slice(0, k).map(({ score }) => score) };
}

describe.each(WAYS)('%s', (_, build, search) => {
  it.each(METRICS)('answers as if what is deleted had never been among the candidates, under %s', async (metric) => {
    await using index = await Index.build(data, { dimensions, metric, threads: 2, shards: 3, ...build });
    for (const leaves of [3, 12]) {
      const all = { ...search, k: size, numLeavesToSearch: leaves, numReorderingCandidates: 2 * size };
      const complete = await index.searchBatch(queries, all);
      const deleted = new Set<Id>();
      await using other = await Index.build(data, { dimensions, metric, threads: 1, shards: 2, ...build });
      for (const upTo of [1, 20, 500, 895]) {
        const rows = order.slice(deleted.size, upTo);
        expect(await other.delete(rows)).toEqual({ deleted: rows.length, unknown: 0 });
        for (const row of rows) deleted.add(row);
        expect([other.size, other.stats().deleted]).toEqual([size - upTo, upTo]);
        for (const k of [1, 10, size]) {
          const found = await other.searchBatch(queries, { ...all, k });
          for (const [i, result] of found.entries()) {
            expect({ ids: result.ids, scores: [...result.scores] }).toEqual(without(complete[i]!, deleted, k));
          }
        }
      }
    }
  });
});

it('finds k as long as there are as many, with no more candidates than k', async () => {
  await using index = await Index.build(data, { dimensions, threads: 2, shards: 3, tree, hashing });
  await index.delete(order.slice(0, 850));
  const found = await index.searchBatch(queries, { k: 50, numReorderingCandidates: 50, numLeavesToSearch: 12 });
  for (const { ids } of found) expect(new Set(ids)).toEqual(new Set(order.slice(850)));
});

it('gives the same bits whatever the kernels, shards and threads', async () => {
  let right: unknown;
  for (const shards of [1, 2, 8]) {
    for (const threads of [1, 2]) {
      await using index = await Index.build(data, { dimensions, threads, shards, tree, hashing });
      await index.delete(order.slice(0, 400));
      const found = (await index.searchBatch(queries, { k: 5, numReorderingCandidates: 8, numLeavesToSearch: 4 })).map(
        bits,
      );
      right ??= found;
      expect(found, `${shards} shards, ${threads} threads`).toEqual(right);
    }
  }
});

describe('an index with ids', () => {
  const ids: Id[] = Array.from({ length: size }, (_, i) => (i % 3 === 0 ? `name ${i}` : i % 3 === 1 ? i : BigInt(i)));
  let index: Index;
  beforeAll(async () => {
    index = await Index.build({ ...data, ids }, { dimensions, threads: 2, shards: 2, tree, hashing });
  });
  afterAll(() => index.close());
  const everyId = async (): Promise<Id[]> => {
    const found: Id[] = [];
    for await (const id of index.ids()) found.push(id);
    return found;
  };

  it('knows them by type and value', async () => {
    for (const id of ['name 0', 1, 2n, 'name 897', 898, 899n]) expect(await index.has(id), String(id)).toBe(true);
    for (const id of ['name 1', 0, 1n, '1', -1, 900n, 'name 900', '']) expect(await index.has(id)).toBe(false);
    expect(await everyId()).toEqual(ids);
  });

  it('gives vectors back', async () => {
    for (const row of [0, 1, 2, 450, 899]) {
      expect(await index.get(ids[row]!)).toEqual({ id: ids[row], vector: rowAt(data, row).slice() });
    }
    expect(await index.get('nobody')).toBeUndefined();
  });

  it.each<[string, unknown, object]>([
    ['what is no list', 'name 0', { code: 'SCANNERY_INVALID_OPTION', option: 'ids' }],
    ['nothing', undefined, { code: 'SCANNERY_INVALID_OPTION', option: 'ids' }],
    ['a DataView', new DataView(new ArrayBuffer(8)), { code: 'SCANNERY_INVALID_OPTION', option: 'ids' }],
    ['a list with half an id', ['name 0', 1.5], { code: 'SCANNERY_INVALID_ID', row: 1, value: 1.5 }],
    ['a list with NaN', Float64Array.of(1, Number.NaN), { code: 'SCANNERY_INVALID_ID', row: 1 }],
    ['a list with undefined', [1, undefined, 4], { code: 'SCANNERY_INVALID_ID', row: 1 }],
    ['a list with null', [null], { code: 'SCANNERY_INVALID_ID', row: 0, value: null }],
  ])('deletes nothing when given %s', async (_, given, error) => {
    expect(await failureOf(index.delete(given as Id[]))).toMatchObject(error);
    expect([index.size, await index.has('name 0'), await index.has(1)]).toEqual([size, true, true]);
  });

  it('refuses ids that cannot be, and options that are not', async () => {
    expect(await failureOf(index.has(0.5))).toMatchObject({ code: 'SCANNERY_INVALID_ID', value: 0.5 });
    expect(await failureOf(index.get({} as Id))).toMatchObject({ code: 'SCANNERY_INVALID_ID' });
    expect(await failureOf(index.delete([1], { wait: 1 } as object))).toMatchObject({ option: 'wait' });
    expect(await failureOf(index.delete([1], { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'SCANNERY_ABORTED',
    });
    expect(index.size).toBe(size);
  });

  it('counts ids that are unknown, given twice or deleted before', async () => {
    expect(await index.delete([])).toEqual({ deleted: 0, unknown: 0 });
    expect(await index.delete(['name 3', 'name 3', 3, 'nobody', 4])).toEqual({ deleted: 2, unknown: 3 });
    expect(await index.delete(Int32Array.of(4, 7))).toEqual({ deleted: 1, unknown: 1 });
    expect(await index.delete(BigInt64Array.of(8n, 9n))).toEqual({ deleted: 1, unknown: 1 });
    expect(index.size).toBe(size - 4);
    expect(index.stats()).toMatchObject({ size: size - 4, deleted: 4 });
    const gone = new Set<Id>(['name 3', 4, 7, 8n]);
    for (const id of gone) expect([await index.has(id), await index.get(id)]).toEqual([false, undefined]);
    expect(await everyId()).toEqual(ids.filter((id) => !gone.has(id)));
  });

  it('aborts a delete that waits for another, and not one that has begun', async () => {
    const controller = new AbortController();
    const before = index.size;
    const first = index.delete([10], { signal: controller.signal });
    const second = index.delete([13], { signal: controller.signal });
    const third = index.delete([16]);
    await Promise.resolve();
    controller.abort();
    expect(await first).toEqual({ deleted: 1, unknown: 0 });
    expect(await failureOf(second)).toMatchObject({ code: 'SCANNERY_ABORTED' });
    expect(await third).toEqual({ deleted: 1, unknown: 0 });
    expect([index.size, await index.has(13)]).toEqual([before - 2, true]);
  });
});

it('answers calls under way as if nothing were deleted, and later ones without it', async () => {
  await using index = await Index.build(data, { dimensions, threads: 2, shards: 2, tree, hashing });
  const many = new Random(6).normals(3000, dimensions);
  let gone = new Set<Id>();
  for (let round = 0; round < 20; round++) {
    const seen = (await index.searchBatch(many)).map(bits);
    const underWay = index.searchBatch(many);
    const rows = order.slice(round * 20, round * 20 + 20);
    const deleting = index.delete(rows);
    const either = index.search(many.subarray(0, dimensions));
    await deleting;
    gone = new Set([...gone, ...rows]);
    for (const { ids } of await index.searchBatch(many)) expect(ids.some((id) => gone.has(id))).toBe(false);
    expect((await underWay).map(bits)).toEqual(seen);
    expect((await either).ids).toHaveLength(10);
  }
});

it('finds nothing once everything is deleted', async () => {
  await using index = await Index.build(data, { dimensions, threads: 1, tree, hashing });
  await index.delete(order);
  expect(index.size).toBe(0);
  expect((await index.search(queries.subarray(0, dimensions))).ids).toEqual([]);
  expect((await index.search(queries.subarray(0, dimensions), { exact: true })).ids).toEqual([]);
  expect(await index.explain(queries.subarray(0, dimensions))).toMatchObject({ ids: [], candidates: 0 });
  expect(await index.measureRecall({ queries })).toBe(1);
});

it('has row numbers as ids where none were given', async () => {
  await using index = await Index.build(data, { dimensions, threads: 1, tree: false, hashing: false });
  expect(await Promise.all([0, 899, 900, -1, '0', 0n].map((id) => index.has(id)))).toEqual([
    ...[true, true, false, false, false, false],
  ]);
  expect(await index.delete([899, 900, 5])).toEqual({ deleted: 2, unknown: 1 });
  expect(await index.has(899)).toBe(false);
});

it.each(['float32', 'bfloat16', 'int8'] as const)('gives vectors back as they are stored, as %s', async (vectors) => {
  const options: BuildOptions = { dimensions, metric: 'cosine', threads: 1, tree, hashing, reordering: { vectors } };
  await using index = await Index.build(data, options);
  const { vector } = (await index.get(17))!;
  const given = rowAt(data, 17);
  const norm = Math.hypot(...given);
  const closeTo = { float32: 1e-6, bfloat16: 4e-3, int8: 1e-2 }[vectors];
  for (let j = 0; j < dimensions; j++) expect(Math.abs(vector[j]! - given[j]! / norm)).toBeLessThan(closeTo);
});

it('cannot give back what it does not keep', async () => {
  await using index = await Index.build(data, { dimensions, threads: 1, tree, hashing, reordering: false });
  expect(await failureOf(index.get(1))).toMatchObject({ code: 'SCANNERY_NOT_SUPPORTED', option: 'reordering' });
  expect(await index.has(1)).toBe(true);
});

it('keeps what is deleted in its files', async () => {
  const directory = join(base, 'saved');
  const options: BuildOptions = { dimensions, threads: 1, shards: 3, tree, hashing };
  await using index = await Index.build(data, options);
  const deleting = index.delete(order.slice(0, 300));
  // Writes and saves take their turns.
  const saving = index.save(directory);
  const later = index.delete([order[300]!]);
  await Promise.all([deleting, saving, later]);
  await using opened = await Index.open(directory, { threads: 2 });
  expect([opened.size, opened.stats().deleted, index.size]).toEqual([600, 300, 599]);
  await opened.delete([order[300]!]);
  expect((await opened.searchBatch(queries)).map(bits)).toEqual((await index.searchBatch(queries)).map(bits));
  const [one, two] = [join(base, 'one'), join(base, 'two')];
  await Promise.all([index.save(one), opened.save(two)]);
  expect(fingerprint(two)).toEqual(fingerprint(one));
});

it('refuses files that delete what is not there, or twice', async () => {
  const kernels = loadKernels();
  for (const [name, rows] of Object.entries({ beyond: [size], twice: [5, 5] })) {
    const built = await buildInline(data, { dimensions, tree, hashing });
    const damaged = Object.create(built.rows, {
      ...{ deleted: { value: Uint32Array.from(rows) }, count: { value: size } },
      ...{ sizes: { value: built.rows.sizes }, memories: { value: built.rows.memories } },
    });
    await saveIndex(join(base, name), { ...built, rows: damaged }, kernels);
    const opening = openIndex(join(base, name), kernels, resolveOpenOptions({}));
    expect(await failureOf(opening)).toMatchObject({ code: 'SCANNERY_CHECKSUM' });
  }
});

it('still has deleted what was when threads die', async () => {
  await using index = await LiveIndex.build(data, { dimensions, tree, hashing, shards: 2 });
  const { rows } = index.data;
  const remove = async (gone: readonly number[]) => {
    const places = gone.map((row) => rows.locate(row)!);
    await rows.reserve(places);
    await rows.commit(places);
  };
  await remove(order.slice(0, 600));
  const before = index.request(10);
  const batch = Array.from({ length: 16 }, (_, i) => rowAt({ dimensions, vectors: queries }, i));
  const right = (await index.batch(batch, before)).map(bits);
  for (let death = 0; death < 3; death++) {
    await index.threads.workers[0]!.terminate();
    await remove(order.slice(600 + death, 601 + death));
    expect((await index.batch(batch, before)).map(bits)).toEqual(right);
  }
  const gone = new Set<Id>(order.slice(0, 603));
  for (const { ids } of await index.batch(batch, index.request(10))) expect(ids.some((id) => gone.has(id))).toBe(false);
});

it('is closed to all of it once closed', async () => {
  const index = await Index.build(data, { dimensions, threads: 1 });
  await index.delete([1, 2]);
  const iterating = index.ids();
  expect((await iterating.next()).value).toBe(0);
  const pending = index.delete([3]);
  await index.close();
  expect(await pending).toEqual({ deleted: 1, unknown: 0 });
  expect(index.size).toBe(size - 3);
  for (const work of [index.delete([3]), index.has(1), index.get(1), iterating.next(), index.ids().next()]) {
    expect(await failureOf(work)).toMatchObject({ code: 'SCANNERY_CLOSED' });
  }
});
