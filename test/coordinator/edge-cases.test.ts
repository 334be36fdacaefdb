import { describe, expect, it } from 'vitest';
import { type BuildOptions, Index, METRICS, type SearchResult } from '../../src/index.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIG_NAMES, CONFIGS, clustered, type Data, naiveScore, recall, rowAt } from '../support/vectors.ts';

const both = CONFIGS['tree and hashing'];
const all = { numLeavesToSearch: 1_000_000, numReorderingCandidates: 1_000_000 };

function expectTrueScores(
  data: Data,
  query: Float32Array,
  metric: (typeof METRICS)[number],
  found: SearchResult,
): void {
  found.ids.forEach((id, r) => {
    const score = naiveScore(metric, rowAt(data, id as number), query);
    expect(Math.abs(found.scores[r]! - score)).toBeLessThanOrEqual(1e-4 * Math.max(1, Math.abs(score)));
  });
}

describe.each(CONFIG_NAMES)('%s', (name) => {
  it('over no vectors finds nothing', async () => {
    await using index = await Index.build([], { ...CONFIGS[name], dimensions: 3, shards: 4, threads: 1 });
    expect(index.size).toBe(0);
    expect(await index.search([1, 2, 3])).toEqual({ ids: [], scores: new Float32Array(0) });
    const empty = { ids: [], scores: new Float32Array(0) };
    expect(
      await index.searchBatch(
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        { exact: true, k: 3 },
      ),
    ).toEqual([empty, empty]);
  });

  it('over one vector finds it', async () => {
    await using index = await Index.build(
      { vectors: [[1, 2, 3]], ids: ['only'] },
      { ...CONFIGS[name], threads: 1, shards: 3 },
    );
    expect(await index.search([1, 0, 2])).toEqual({ ids: ['only'], scores: Float32Array.of(7) });
    expect(await index.search([0, 0, 0])).toEqual({ ids: ['only'], scores: Float32Array.of(0) });
  });

  it('over equal vectors answers them in the order of insertion', async () => {
    const vectors = Array.from({ length: 300 }, () => [0.5, -1, 2]);
    await using index = await Index.build(
      { vectors },
      { ...CONFIGS[name], metric: 'squared_l2', threads: 1, shards: 3 },
    );
    const { ids, scores } = await index.search([0.5, 1, 2], { k: 40 });
    expect(ids).toEqual(Array.from({ length: 40 }, (_, i) => i));
    expect(new Set(scores)).toEqual(new Set([4]));
  });
});

it.each([
  [1, 2],
  [2, 3],
  [3, 2],
  [5, 3],
  [5, 16],
  [16, 5],
  [17, 1],
  [33, 16],
  [4096, 2],
  [4095, 16],
])('takes %i dimensions with %i per block', async (dimensions, dimensionsPerBlock) => {
  const count = dimensions > 1000 ? 60 : 300;
  const data = clustered(count, dimensions);
  const metric = dimensions % 2 === 0 ? 'cosine' : 'squared_l2';
  await using index = await Index.build(data, {
    ...{ dimensions, metric, tree: { ...both.tree, numLeaves: 4 }, threads: 1, shards: 2 },
    hashing: { ...both.hashing, dimensionsPerBlock },
  });
  for (let i = 0; i < 5; i++) {
    const query = new Random(i).normals(1, dimensions);
    const exact = await index.search(query, { exact: true });
    expect(bits(await index.search(query, all))).toEqual(bits(exact));
    expectTrueScores(data, query, metric, exact);
    expect(recall(await index.search(query, { ...all, numReorderingCandidates: count / 2 }), exact)).toBeGreaterThan(
      0.5,
    );
  }
});

describe('the tree', () => {
  const data = clustered(500, 8);
  const query = new Random(6).normals(1, 8);

  it('has fewer leaves where there are fewer distinct vectors', async () => {
    const distinct = 5;
    const vectors = Array.from({ length: 200 }, (_, i) => [i % distinct, 1, (i % distinct) ** 2]);
    await using index = await Index.build({ vectors }, { tree: { numLeaves: 50 }, hashing: {}, threads: 1, shards: 2 });
    const { numLeaves } = index.stats();
    expect(numLeaves).toBeGreaterThanOrEqual(1);
    expect(numLeaves).toBeLessThanOrEqual(distinct);
    const { ids } = await index.search([1, 0, 0], { k: 200, ...all });
    expect(ids.slice(0, 40)).toEqual(Array.from({ length: 40 }, (_, i) => 4 + distinct * i));
  });

  it('has no more leaves than vectors', async () => {
    await using index = await Index.build({ vectors: [[1], [2], [3]] }, { tree: { numLeaves: 1000 }, threads: 1 });
    expect(index.stats().numLeaves).toBeLessThanOrEqual(3);
    expect((await index.search([1], all)).ids).toEqual([2, 1, 0]);
  });

  it.each<[string, BuildOptions['tree'], BuildOptions['metric']]>([
    ['kmeans++ seeding', { seeding: 'kmeans++' }, 'squared_l2'],
    ['spherical centroids', { spherical: true }, 'cosine'],
    ['no training iterations', { trainingIterations: 0 }, 'dot_product'],
    ['a sample smaller than the leaves', { trainingSampleSize: 5 }, 'dot_product'],
    ['a sample of one', { trainingSampleSize: 1 }, 'squared_l2'],
  ])('may be made with %s', async (_, tree, metric) => {
    const options = {
      dimensions: 8,
      metric,
      tree: { ...both.tree, ...(tree as object) },
      hashing: both.hashing,
      threads: 1,
    };
    await using index = await Index.build(data, { ...options, shards: 2 });
    const exact = await index.search(query, { exact: true });
    expect(bits(await index.search(query, all))).toEqual(bits(exact));
    expectTrueScores(data, query, metric!, exact);
  });

  it('dissolves leaves that are too small', async () => {
    const minPartitionSize = 30;
    const options = { dimensions: 8, hashing: both.hashing, threads: 1 };
    await using small = await Index.build(data, { ...options, tree: { numLeaves: 40 } });
    await using index = await Index.build(data, { ...options, tree: { numLeaves: 40, minPartitionSize } });
    expect(index.stats().numLeaves).toBeGreaterThanOrEqual(1);
    expect(index.stats().numLeaves).toBeLessThan(small.stats().numLeaves);
    await using one = await Index.build(data, { ...options, tree: { numLeaves: 40, minPartitionSize: 501 } });
    expect(one.stats().numLeaves).toBe(1);
    for (const each of [index, one]) expect((await each.search(query, { k: 500, ...all })).ids).toHaveLength(500);
  });
});

describe('vectors stored as', () => {
  const data = clustered(1000, 32);
  const queries = Array.from({ length: 20 }, (_, i) => new Random(i).normals(1, 32));
  const TOLERANCE = { float32: 1e-5, bfloat16: 0.01, int8: 0.02, false: 0.4 };

  it.each(
    METRICS.flatMap((metric) => (['float32', 'bfloat16', 'int8', false] as const).map((kind) => ({ metric, kind }))),
  )('$kind give scores that are near enough, under $metric', async ({ metric, kind }) => {
    const reordering = kind === false ? (false as const) : { vectors: kind };
    await using index = await Index.build(data, { dimensions: 32, metric, ...both, reordering, threads: 1, shards: 2 });
    let found = 0;
    for (const query of queries) {
      const scores = Array.from({ length: data.count }, (_, i) => naiveScore(metric, rowAt(data, i), query));
      const sign = metric === 'squared_l2' ? 1 : -1;
      const best = Array.from(scores.keys()).sort((a, b) => sign * (scores[a]! - scores[b]!) || a - b);
      const answer = await index.search(query, { k: 10, numLeavesToSearch: 12, numReorderingCandidates: 200 });
      found += recall(answer, { ids: best.slice(0, 10), scores: new Float32Array(10) });
      const scale = Math.max(...scores.map(Math.abs));
      answer.ids.forEach((id, r) => {
        expect(Math.abs(answer.scores[r]! - scores[id as number]!)).toBeLessThan(TOLERANCE[`${kind}`] * scale);
        if (r > 0) expect(sign * (answer.scores[r]! - answer.scores[r - 1]!)).toBeGreaterThanOrEqual(0);
      });
      expect(answer.ids).toHaveLength(10);
    }
    expect(found / queries.length).toBeGreaterThan(kind === false ? 0.3 : kind === 'float32' ? 0.95 : 0.85);
  });
});

it('answers requests for everything, many at a time', async () => {
  const count = 5000;
  const data = clustered(count, 4);
  await using index = await Index.build(data, { dimensions: 4, ...both, threads: 2, shards: 3, maxInFlight: 32 });
  const queries = Array.from({ length: 60 }, (_, i) => new Random(i).normals(1, 4));
  const found = await index.searchBatch(queries, { k: count, ...all });
  const exact = await index.searchBatch(queries, { k: count, exact: true });
  expect(found.map(bits)).toEqual(exact.map(bits));
  for (const { ids } of found) expect(new Set(ids).size).toBe(count);
  const small = await index.searchBatch(queries, { k: 3, ...all });
  expect(small.map(({ ids }) => ids)).toEqual(found.map(({ ids }) => ids.slice(0, 3)));
  const { bytes } = index.stats();
  // A worker's scratch grows with the queries that it takes at once, and so by chance, but not with each batch.
  for (let round = 0; round < 10; round++) await index.searchBatch(queries, { k: count, ...all });
  expect(index.stats().bytes, 'memory is used again').toBeLessThan(2 * bytes);
});

describe('numbers of extreme magnitude', () => {
  it.each(METRICS)('keep their order, under %s', async (metric) => {
    for (const magnitude of [1e17, 1e-15, 1e-30]) {
      const vectors = Float32Array.from(
        clustered(300, 4).vectors,
        (value) => (Math.max(-7, Math.min(7, value)) / 7) * magnitude,
      );
      const data = { count: 300, dimensions: 4, vectors };
      await using index = await Index.build(data, { dimensions: 4, metric, ...both, threads: 1, shards: 2 });
      const query = rowAt(data, 17);
      const exact = await index.search(query, { k: 300, exact: true });
      expect(exact.scores.every(Number.isFinite), `${magnitude}`).toBe(true);
      expect(new Set(exact.ids).size).toBe(300);
      expect(bits(await index.search(query, { k: 300, ...all }))).toEqual(bits(exact));
      if (magnitude > 1e-20) expectTrueScores({ ...data, count: 300 }, query, metric, exact);
    }
  });
});
