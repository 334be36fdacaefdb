import { expect, it } from 'vitest';
import { Index, METRICS } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered } from '../support/vectors.ts';

const [size, dimensions] = [2000, 8];
const data = clustered(size, dimensions, 4);
const options = { dimensions, ...CONFIGS['tree and hashing'], threads: 1, shards: 2 };

it.each(METRICS)('tells what a build left, and what came and went since, under %s', async (metric) => {
  await using index = await Index.build(data, { ...options, metric });
  const built = await index.health();
  expect(built).toMatchObject({ size, added: 0, deleted: 0, changed: 0, drift: 1 });
  const { leaves } = built;
  expect(leaves.count).toBe(index.stats().numLeaves);
  expect(leaves.largest).toBeGreaterThan(leaves.median);
  expect(leaves.median).toBeGreaterThan(leaves.smallest);
  expect(leaves.imbalance).toBeGreaterThan(1);
  const { histogram } = leaves;
  expect(histogram.reduce((sum, step) => sum + step.leaves, 0)).toBe(leaves.count);
  expect(histogram.length).toBeLessThanOrEqual(12);
  expect(histogram[0]!.from).toBe(leaves.smallest);
  expect(histogram.at(-1)!.from).toBeLessThanOrEqual(leaves.largest);
  expect(histogram.at(-1)!.to).toBeGreaterThanOrEqual(leaves.largest);
  for (const [i, step] of histogram.slice(1).entries()) expect(step.from).toBe(histogram[i]!.to + 1);
  expect(histogram[0]!.leaves).toBeGreaterThan(0);
  expect(histogram.at(-1)!.leaves).toBeGreaterThan(0);
  expect(leaves.imbalance).toBeLessThan(leaves.count);

  await index.delete(Array.from({ length: 300 }, (_, i) => i));
  // Such as there are already.
  await index.upsert({
    ids: Array.from({ length: 500 }, (_, i) => 400 + i),
    vectors: clustered(500, dimensions, 4).vectors,
  });
  const alike = await index.health();
  expect(alike).toMatchObject({ size: 1700, added: 500, deleted: 800, changed: 800 / 1700 });
  expect(alike.drift).toBeGreaterThan(0.7);
  expect(alike.drift).toBeLessThan(1.3);
  expect(alike.leaves.largest).toBeGreaterThan(leaves.largest);

  // Such as there were none of, far from all others, which make one leaf large.
  const strangers = new Random(1).normals(1000, dimensions).map((x, i) => 0.3 * x + (i % dimensions === 0 ? 9 : -6));
  await index.upsert({ ids: Array.from({ length: 1000 }, (_, i) => 5000 + i), vectors: strangers });
  const drifted = await index.health();
  expect(drifted.drift).toBeGreaterThan(1.5);
  expect(drifted.leaves.imbalance).toBeGreaterThan(leaves.imbalance);

  await index.rebalance();
  const again = await index.health();
  expect(again).toMatchObject({ size: 2700, added: 0, deleted: 0, changed: 0, drift: 1 });
  expect(again.leaves.imbalance).toBeLessThan(drifted.leaves.imbalance);
});

it('has nothing to tell of leaves where there are none, nor of drift where there are no vectors', async () => {
  await using exact = await Index.build(data, { ...options, ...CONFIGS.exact });
  await exact.delete([1]);
  const none = { count: 0, empty: 0, smallest: 0, median: 0, largest: 0, imbalance: 1 };
  expect(await exact.health()).toMatchObject({ size: size - 1, deleted: 1, leaves: none, drift: 1 });
  const codes = await Index.build(data, { ...options, reordering: false });
  expect((await codes.health()).drift).toBe(1);
  await codes.close();
  expect((await failureOf(codes.health())).code).toBe('SCANNERY_CLOSED');
});

it('a large index rebalances itself earlier if what is added does not suit it', async () => {
  const count = 12_000;
  const { vectors } = clustered(count, dimensions, 6);
  await using index = await Index.build({ vectors }, options);
  const add = async (from: number, some: Float32Array): Promise<void> => {
    await index.upsert({ ids: Array.from({ length: some.length / dimensions }, (_, i) => from + i), vectors: some });
  };
  // As much of what is there already changes nothing.
  await add(count, vectors.subarray(0, 2000 * dimensions));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((await index.health()).added).toBe(2000);
  await add(
    2 * count,
    new Random(1).normals(2500, dimensions).map((x, i) => 0.3 * x + (i % dimensions === 0 ? 9 : -6)),
  );
  await expect.poll(async () => (await index.health()).added, { timeout: 20_000 }).toBe(0);
  expect(index.size).toBe(count + 4500);
});

it('a large index rebalances itself earlier if what is added crowds into one leaf', async () => {
  const count = 12_000;
  const { vectors } = clustered(count, dimensions, 6);
  await using index = await Index.build({ vectors }, { ...options, tree: { ...options.tree, numLeaves: 60 } });
  const before = await index.health();
  // As near to its centroid as others are to theirs, hence no drift.
  const [noise, one] = [new Random(1).normals(4000, dimensions), vectors.subarray(0, dimensions)];
  const crowd = noise.map((x, i) => one[i % dimensions]! + 0.35 * x);
  await index.upsert({ ids: Array.from({ length: 4000 }, (_, i) => count + i), vectors: crowd });
  await expect.poll(async () => (await index.health()).added, { timeout: 20_000 }).toBe(0);
  expect((await index.health()).leaves.imbalance).toBeLessThan(1.5 * before.leaves.imbalance);
  expect(index.size).toBe(count + 4000);
});

it('a large index rebalances itself when enough has changed, and not before, and not if told so', async () => {
  const count = 12_000;
  const { vectors } = clustered(count, dimensions, 6);
  const change = async (index: Index, from: number, to: number): Promise<void> => {
    const ids = Array.from({ length: to - from }, (_, i) => from + i);
    await index.upsert({ ids, vectors: vectors.subarray(from * dimensions, to * dimensions) });
  };
  await using index = await Index.build({ vectors }, { ...options, rebalanceAt: 0.25 });
  await using other = await Index.build({ vectors }, { ...options, rebalanceAt: false });
  for (const one of [index, other]) await change(one, 0, 2900);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await index.health()).deleted).toBe(2900);
  for (const one of [index, other]) await change(one, 2900, 3100);
  await expect.poll(async () => (await index.health()).deleted, { timeout: 20_000 }).toBe(0);
  expect(index.size).toBe(count);
  expect((await other.health()).deleted).toBe(3100);
  const query = vectors.subarray(0, dimensions);
  const asked = { k: 20, exact: true };
  expect((await index.search(query, asked)).scores).toEqual((await other.search(query, asked)).scores);
});
