import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BuildOptions, Index, METRICS, type SearchOptions, type SearchResult } from '../../src/index.ts';
import { fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { bits, clustered, type Data, naiveRanking, recall, rowAt } from '../support/vectors.ts';

const directory = temporaryDirectory();
const [size, dimensions, numLeaves] = [1200, 6, 16];
const data = clustered(size, dimensions, 3);
const [hashing, trainingIterations] = [{ trainingIterations: 4 }, 4];
const treeWith = (soarLambda?: number | null): BuildOptions['tree'] => ({ numLeaves, trainingIterations, soarLambda });
const tree = treeWith(1);
const queries = Float32Array.of(
  ...new Random(9).normals(15, dimensions),
  ...data.vectors.subarray(0, 15 * dimensions), // with vectors that repeat, so that scores tie
);
const query = rowAt({ dimensions, vectors: queries }, 3);

/** Ways to answer with spilled vectors: how to build, and what to ask. */
const MODES: [name: string, build: BuildOptions, search: SearchOptions][] = [
  ['hashed', { tree, hashing }, {}],
  ['hashed, int8', { tree, hashing, reordering: { vectors: 'int8' } }, {}],
  ['codes', { tree, hashing, reordering: false }, {}],
  ['tree', { tree, hashing: false }, {}],
  ['exact', { tree, hashing }, { exact: true }],
];
/** [k, numReorderingCandidates] */
const ASKED = [
  [1, 1],
  [2, 2],
  [10, 1],
  [10, 10],
  [100, 100],
  [100, 300],
  [size - 1, size - 1],
] as const;
const build = (options: BuildOptions, of: Data = data): Promise<Index> =>
  Index.build(of, { dimensions: of.dimensions, threads: 1, shards: 3, ...options });

function expectDistinct(results: readonly SearchResult[]): void {
  for (const { ids } of results) expect(new Set(ids).size).toBe(ids.length);
}

describe.each(MODES)('%s', (name, options, search) => {
  it.each(METRICS)('finds no vector twice, and k as soon as the leaves hold as many, under %s', async (metric) => {
    await using index = await build({ ...options, metric });
    for (const numLeavesToSearch of [1, 3, numLeaves]) {
      const all = await index.searchBatch(queries, { ...search, k: size, numLeavesToSearch });
      expectDistinct(all);
      if (numLeavesToSearch === numLeaves || search.exact) for (const { ids } of all) expect(ids).toHaveLength(size);
      for (const [k, numReorderingCandidates] of ASKED) {
        const some = await index.searchBatch(queries, { ...search, k, numLeavesToSearch, numReorderingCandidates });
        expectDistinct(some);
        expect(some.map(({ ids }) => ids.length)).toEqual(all.map(({ ids }) => Math.min(k, ids.length)));
        if (name.startsWith('hashed')) continue;
        for (const [i, { ids }] of some.entries()) expect(ids).toEqual(all[i]!.ids.slice(0, k));
      }
    }
  });

  it('answers the same after it was saved and opened', async () => {
    const path = join(directory, name.replace(/\W/g, '-'));
    await using built = await build(options);
    await built.save(path);
    await using opened = await Index.open(path, { threads: 2 });
    expect(opened.stats().config).toEqual(built.stats().config);
    expect(opened.stats().config.tree).toMatchObject({ soarLambda: 1 });
    for (const k of [1, 10, size]) {
      for (const numLeavesToSearch of [1, 4]) {
        const asked = { ...search, k, numLeavesToSearch };
        const found = await opened.searchBatch(queries, asked);
        expect(found.map(bits)).toEqual((await built.searchBatch(queries, asked)).map(bits));
      }
    }
  });
});

it.each(METRICS)('finds the nearest vectors when all leaves and all lanes are searched, under %s', async (metric) => {
  const everything = { k: 20, numLeavesToSearch: numLeaves, numReorderingCandidates: 2 * size };
  for (const options of [{ hashing }, { hashing: false as const }]) {
    await using index = await build({ tree, metric, ...options });
    const found = await index.searchBatch(queries, everything);
    const exact = await index.searchBatch(queries, { k: 20, exact: true });
    expect(found.map(bits)).toEqual(exact.map(bits));
    const top = found[3]!.ids.slice(0, 5);
    expect(top).toEqual(naiveRanking(metric, data, query).slice(0, 5));
  }
});

it.each(METRICS)('finds at least as much as without in as many leaves, under %s', async (metric) => {
  const many = clustered(4000, 16, 7);
  const asked = new Random(8).normals(150, 16).map((x, i) => x * 0.4 + many.vectors[i * 3]!);
  const options = { metric, hashing, shards: 2 };
  const found = new Map<number | null, number[]>();
  for (const soarLambda of [null, 1]) {
    const shape = { numLeaves: 64, trainingIterations, soarLambda };
    await using index = await build({ ...options, tree: shape }, many);
    const truth = await index.searchBatch(asked, { k: 10, exact: true });
    const recalls: number[] = [];
    for (const numLeavesToSearch of [1, 2, 4, 8, 64]) {
      const results = await index.searchBatch(asked, { k: 10, numLeavesToSearch, numReorderingCandidates: 8000 });
      recalls.push(results.reduce((sum, result, i) => sum + recall(result, truth[i]!), 0) / results.length);
    }
    found.set(soarLambda, recalls);
  }
  const [without, spilled] = [found.get(null)!, found.get(1)!];
  for (const [i, value] of spilled.entries()) expect(value).toBeGreaterThanOrEqual(without[i]!);
  expect(spilled[1]).toBeGreaterThan(without[1]! + 0.02);
  expect(spilled.at(-1)).toBe(1);
});

describe('what others tell of spilled vectors', () => {
  it('explain counts the codes of both lanes, and reorders each vector once', async () => {
    for (const shards of [1, 3]) {
      await using index = await build({ tree, hashing, shards });
      const all = { k: 10, numLeavesToSearch: numLeaves, numReorderingCandidates: 2 * size };
      const account = await index.explain(query, all);
      expect(account).toMatchObject({ ...(await index.search(query, all)), method: 'hashed' });
      expect(account).toMatchObject({ codesScanned: 2 * size, candidates: 2 * size, reordered: size });
      const few = await index.explain(query, { k: 10, numLeavesToSearch: 3, numReorderingCandidates: 50 });
      expect(few.reordered).toBeLessThanOrEqual(50);
      expect(few.reordered).toBeGreaterThanOrEqual(25);
      expect(few.shards.reduce((sum, shard) => sum + shard.codesScanned, 0)).toBe(few.codesScanned);
    }
  });

  it('every vector is in two leaves, without hashing too', async () => {
    await using index = await build({ tree, hashing: false });
    let lanes = 0;
    const { leaves } = await index.explain(query, { numLeavesToSearch: numLeaves });
    expect(new Set(leaves).size).toBe(numLeaves);
    for (let count = 1; count <= numLeaves; count++) {
      const { ids } = await index.search(query, { k: size, numLeavesToSearch: count });
      expect(ids.length).toBeGreaterThanOrEqual(lanes);
      lanes = ids.length;
    }
    expect(lanes).toBe(size);
    // All are there before the last leaf is searched: none is in it alone.
    expect((await index.search(query, { k: size, numLeavesToSearch: numLeaves - 1 })).ids).toHaveLength(size);
  });

  it('measureRecall and tune work', async () => {
    await using index = await build({ tree, hashing });
    const all = { k: 10, numLeavesToSearch: numLeaves, numReorderingCandidates: 2 * size, maxQueries: 50 };
    expect(await index.measureRecall(all)).toBe(1);
    expect(await index.measureRecall({ ...all, numLeavesToSearch: 1 })).toBeLessThanOrEqual(1);
    const tuned = await index.tune({ k: 10, targetRecall: 0.9, maxQueries: 50 });
    expect(tuned.recall).toBeGreaterThanOrEqual(0.9);
    expect(await index.measureRecall({ k: 10, maxQueries: 50 })).toBeGreaterThan(0.8);
  });

  it('tune finds all neighbours if it has to, however coarse the codes are', async () => {
    const noise = { count: 2000, dimensions: 16, vectors: new Random(4).normals(2000, 16) };
    const coarse = { dimensionsPerBlock: 16, trainingIterations: 1 };
    await using index = await build({ tree, hashing: coarse, shards: 1 }, noise);
    // As many candidates as there are vectors are fewer than their lanes.
    const asked = { k: 10, queries: new Random(6).normals(1000, 16) };
    expect((await index.tune({ ...asked, targetRecall: 1 })).recall).toBe(1);
  });

  it('stats count each vector once', async () => {
    await using index = await build({ tree, hashing });
    const { size: held, shards, numLeaves: leaves } = index.stats();
    expect([held, leaves]).toEqual([size, numLeaves]);
    expect(shards.reduce((sum, shard) => sum + shard.size, 0)).toBe(size);
  });
});

describe('tree.soarLambda', () => {
  it.each([Number.NaN, -1, 101, Number.POSITIVE_INFINITY, 'x', true, {}])('refuses %o', async (soarLambda) => {
    const error = await failureOf(build({ tree: { soarLambda } as never }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'tree.soarLambda', value: soarLambda });
  });

  it.each([null, undefined])('%o is the same as nothing', async (soarLambda) => {
    const paths: string[] = [];
    for (const given of [treeWith(soarLambda), { numLeaves, trainingIterations }]) {
      await using index = await build({ tree: given, hashing });
      expect(index.stats().config.tree).toMatchObject({ soarLambda: null });
      expect((await index.explain(query, { numLeavesToSearch: numLeaves })).codesScanned).toBe(size);
      paths.push(join(directory, `off-${soarLambda}-${paths.length}`));
      await index.save(paths.at(-1)!);
    }
    const [one, two] = paths.map(fingerprint);
    expect(one).toEqual(two);
  });

  it.each([0, 1e-3, 100])('%d spills', async (soarLambda) => {
    await using index = await build({ tree: treeWith(soarLambda), hashing });
    const { ids, codesScanned } = await index.explain(query, { k: size, numLeavesToSearch: numLeaves });
    expect([new Set(ids).size, codesScanned]).toEqual([size, 2 * size]);
  });

  it('has no effect on a tree of one leaf, nor on an index of nothing', async () => {
    for (const options of [{ hashing }, { hashing: false as const }]) {
      await using single = await build({ tree: { numLeaves: 1, soarLambda: 1 }, ...options });
      const { ids } = await single.search(query, { k: size });
      expect(new Set(ids).size).toBe(size);
      expect((await single.search(query, { k: 5 })).ids).toEqual(ids.slice(0, 5));
      await using nothing = await build(
        { tree: { soarLambda: 1 }, ...options },
        { ...data, count: 0, vectors: new Float32Array(0) },
      );
      expect((await nothing.search(query)).ids).toEqual([]);
    }
  });

  it.each([1, 2, 20])(
    'works on %i vectors, more leaves than vectors, and vectors that are all the same',
    async (count) => {
      for (const vectors of [clustered(count, 4).vectors, new Float32Array(4 * count).fill(1)]) {
        for (const options of [{ hashing }, { hashing: false as const }]) {
          await using index = await build(
            { tree: { numLeaves: 30, soarLambda: 1 }, shards: 5, ...options },
            { count, dimensions: 4, vectors },
          );
          const { ids } = await index.search([1, 2, 3, 4], { k: 50, numLeavesToSearch: 30 });
          expect(ids.toSorted()).toEqual(Array.from({ length: count }, (_, id) => id).toSorted());
        }
      }
    },
  );
});
