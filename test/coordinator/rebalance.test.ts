import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type BuildOptions, type Id, Index, METRICS, type VectorChunk } from '../../src/index.ts';
import { fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered } from '../support/vectors.ts';

const [size, dimensions] = [900, 6];
const data = clustered(2 * size, dimensions, 5);
const given = { vectors: data.vectors.subarray(0, size * dimensions) };
const rowOf = (i: number): Float32Array => data.vectors.subarray(i * dimensions, (i + 1) * dimensions);
const queries = new Random(8).normals(12, dimensions);
const setting = { k: 10, numLeavesToSearch: 3, numReorderingCandidates: 15 };
const base = temporaryDirectory();
const { tree, hashing } = CONFIGS['tree and hashing'];

/** Replaces half of the vectors, adds some and deletes some; returns what is left, in the order in which it came. */
async function change(index: Index): Promise<VectorChunk & { ids: Id[] }> {
  const replaced = Array.from({ length: size / 2 }, (_, i) => 2 * i);
  await index.upsert({ ids: replaced, vectors: data.vectors.subarray(size * dimensions, 1.5 * size * dimensions) });
  const more = Array.from({ length: 200 }, (_, i) => `new ${i}`);
  await index.upsert({ ids: more, vectors: more.map((_, i) => Array.from(rowOf(1.5 * size + i))) });
  const gone = new Set<Id>([1, 2, 3, 'new 7', 800]);
  await index.delete([...gone]);
  const kept = Array.from({ length: size / 2 }, (_, i) => 2 * i + 1);
  const all: [Id, number][] = [
    ...kept.map((row): [Id, number] => [row, row]),
    ...replaced.map((id, i): [Id, number] => [id, size + i]),
    ...more.map((id, i): [Id, number] => [id, 1.5 * size + i]),
  ];
  const left = all.filter(([id]) => !gone.has(id));
  return { ids: left.map(([id]) => id), vectors: left.map(([, row]) => Array.from(rowOf(row))) };
}

const answers = async (index: Index) => (await index.searchBatch(queries, setting)).map(bits);

it.each(METRICS.flatMap((metric) => [undefined, 1].map((soarLambda) => [metric, soarLambda] as const)))(
  'gives what a build of the vectors would, under %s with soarLambda %s, also when it was saved in between',
  async (metric, soarLambda) => {
    // Under cosine stored vectors have length 1 and are normalised again, which may change a last bit.
    const options = { tree: { ...tree, soarLambda }, hashing, metric, dimensions, threads: 2, shards: 3 };
    await using index = await Index.build(given, options);
    const left = await change(index);
    const before = index.stats();
    const directory = join(base, `${metric} ${soarLambda}`);
    await index.save(directory);
    await using opened = await Index.open(directory, { threads: 2 });
    await using fresh = await Index.build(left, { ...options, threads: 1 });
    await Promise.all([index.rebalance(), opened.rebalance()]);
    const saved = [join(base, 'one'), join(base, 'two')] as const;
    await Promise.all([index.save(saved[0]), opened.save(saved[1])]);
    expect(fingerprint(saved[0])).toEqual(fingerprint(saved[1]));
    for (const one of [index, opened]) {
      expect(one.size).toBe(left.ids.length);
      expect(one.stats().deleted).toBe(0);
      expect(one.stats().bytes).toBeLessThan(before.bytes);
      expect(one.stats().config).toEqual(fresh.stats().config);
      if (metric !== 'cosine') expect(await answers(one)).toEqual(await answers(fresh));
      const found = await one.searchBatch(queries, { k: 20, exact: true });
      const right = await fresh.searchBatch(queries, { k: 20, exact: true });
      expect(found.map(({ ids }) => ids)).toEqual(right.map(({ ids }) => ids));
      const ids: Id[] = [];
      for await (const id of one.ids()) ids.push(id);
      expect(ids).toEqual(left.ids);
      expect(await one.upsert({ ids: [5, 'z'], vectors: [rowOf(0), rowOf(1)] })).toEqual({ inserted: 1, updated: 1 });
      expect(await one.delete(['z'])).toEqual({ deleted: 1, unknown: 0 });
    }
  },
);

it.each<[string, BuildOptions]>([
  ['int8', { tree, hashing, reordering: { vectors: 'int8' } }],
  ['no tree', CONFIGS['hashing only']],
  ['exact', CONFIGS.exact],
])('works with %s, and twice', async (_, build) => {
  await using index = await Index.build(given, { ...build, dimensions, metric: 'squared_l2', threads: 1 });
  const left = await change(index);
  for (let round = 0; round < 2; round++) {
    const vectorOf = async (id: Id) => (await index.get(id))!.vector;
    const before = await vectorOf('new 3');
    await index.rebalance();
    expect(index.size).toBe(left.ids.length);
    for (const [j, x] of (await vectorOf('new 3')).entries()) expect(x).toBeCloseTo(before[j]!, 5);
    const found = await index.search(rowOf(1.5 * size + 3), { k: 1 });
    expect(found.ids).toEqual(['new 3']);
  }
});

it('loses no write and no search, whatever goes on meanwhile', async () => {
  await using index = await Index.build(given, {
    tree,
    hashing,
    dimensions,
    metric: 'squared_l2',
    threads: 2,
    shards: 2,
  });
  const model = new Map<Id, number>(Array.from({ length: size }, (_, row) => [row, row]));
  const random = new Random(3);
  let [going, searches, rebalanced] = [true, 0, 0];
  const every = { numLeavesToSearch: 12, numReorderingCandidates: 10_000 };
  const writing = (async () => {
    while (going) {
      const ids = [...new Set(Array.from({ length: 20 }, () => random.int(0, 1200)))];
      if (random.int(0, 3) === 0) {
        await index.delete(ids);
        for (const id of ids) model.delete(id);
      } else {
        const rows = ids.map(() => random.int(0, 2 * size - 1));
        await index.upsert({ ids, vectors: rows.map((row) => rowOf(row)) });
        for (const [i, id] of ids.entries()) model.set(id, rows[i]!);
      }
      await delay(1);
    }
  })();
  const searching = Array.from({ length: 3 }, async () => {
    while (going) {
      const found = await index.searchBatch(queries, { k: 10, ...every });
      for (const { ids } of found) expect(new Set(ids).size).toBe(10);
      searches++;
      await delay(1);
    }
  });
  const measuring = (async () => {
    while (going) expect(await index.measureRecall({ k: 5, maxQueries: 20, ...every })).toBeGreaterThan(0.9);
  })();
  for (; rebalanced < 5; rebalanced++) await index.rebalance();
  going = false;
  await Promise.all([writing, measuring, ...searching]);
  expect(searches).toBeGreaterThan(10);
  expect(index.stats().queries.completed).toBeGreaterThan(searches * 12);
  expect(index.size).toBe(model.size);
  for (const [id, row] of model) expect((await index.get(id))!.vector).toEqual(rowOf(row));
  for (const exact of [true, false]) {
    const { ids } = await index.search(queries.subarray(0, dimensions), { k: 5000, exact, ...every });
    expect(new Set(ids)).toEqual(new Set(model.keys()));
  }
});

it('goes on with an iteration over ids, without those that are deleted afterwards', async () => {
  await using index = await Index.build(given, { ...CONFIGS.exact, dimensions, threads: 1 });
  const seen: Id[] = [];
  for await (const id of index.ids()) {
    seen.push(id);
    if (seen.length !== 10) continue;
    await index.rebalance();
    await index.delete([5, 20, 21]);
  }
  expect(seen).toEqual(Array.from({ length: size }, (_, i) => i).filter((i) => i !== 20 && i !== 21));
});

it('keeps what tuning chose', async () => {
  await using index = await Index.build(given, { tree, hashing, dimensions, threads: 1 });
  await index.tune({ targetRecall: 0.9, maxQueries: 50, k: 5 });
  const { defaults } = index.stats().config;
  await change(index);
  await index.rebalance();
  expect(index.stats().config.defaults).toEqual(defaults);
});

it('ends as it should: by a signal, by an error of onProgress, by closing, or not at all without vectors', async () => {
  const build = () => Index.build(given, { tree, hashing, dimensions, threads: 1 });
  const index = await build();
  await change(index);
  const right = await answers(index);
  expect(await failureOf(index.rebalance({ signal: AbortSignal.abort() }))).toMatchObject({ code: 'SCANNERY_ABORTED' });
  const controller = new AbortController();
  const seen = new Set<string>();
  const aborted = index.rebalance({
    signal: controller.signal,
    onProgress: ({ phase }) => {
      seen.add(phase);
      if (phase === 'train tree') controller.abort();
    },
  });
  expect(await failureOf(aborted)).toMatchObject({ code: 'SCANNERY_ABORTED' });
  expect([...seen].slice(0, 2)).toEqual(['ingest', 'train tree']);
  const thrown = new Error('mine');
  const throwing = () => {
    throw thrown;
  };
  await expect(index.rebalance({ onProgress: throwing })).rejects.toBe(thrown);
  expect(await failureOf(index.rebalance({ signal: 1 } as never))).toMatchObject({ option: 'signal' });
  expect(await answers(index)).toEqual(right);
  const [first, second] = [index.rebalance(), index.rebalance()];
  await first;
  const closing = index.close();
  expect(await failureOf(second)).toMatchObject({ code: 'SCANNERY_CLOSED' });
  await closing;
  expect(await failureOf(index.rebalance())).toMatchObject({ code: 'SCANNERY_CLOSED' });
  await using codes = await Index.build(given, { tree, hashing, dimensions, threads: 1, reordering: false });
  expect(await failureOf(codes.rebalance())).toMatchObject({ code: 'SCANNERY_NOT_SUPPORTED' });
  await using none = await Index.build([], { dimensions, threads: 1 });
  await none.rebalance();
  expect(none.size).toBe(0);
});

it('gives an index that was built of nothing the tree that its vectors are worth', async () => {
  await using index = await Index.build([], { dimensions: 4, metric: 'squared_l2', threads: 2 });
  const vectors = new Random(2).normals(21_000, 4);
  await index.upsert({ ids: Array.from({ length: 21_000 }, (_, i) => i), vectors });
  expect(index.stats().numLeaves).toBe(0);
  await index.rebalance();
  expect(index.stats().numLeaves).toBeGreaterThan(100);
  expect((await index.search(vectors.subarray(0, 4))).ids[0]).toBe(0);
  expect(await index.measureRecall({ maxQueries: 100 })).toBeGreaterThan(0.9);
});
