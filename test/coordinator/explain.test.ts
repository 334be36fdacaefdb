import { describe, expect, it } from 'vitest';
import { type BuildOptions, Index } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';

const DIMENSIONS = 8;
const vectors = new Random(4).normals(3000, DIMENSIONS);
const query = new Random(5).normals(1, DIMENSIONS);
const build = (options: BuildOptions) =>
  Index.build({ vectors }, { dimensions: DIMENSIONS, threads: 2, shards: 3, ...options });

describe('explain', () => {
  it.each<[string, BuildOptions, object]>([
    ['hashed', { tree: { numLeaves: 40 }, hashing: {} }, { k: 5, numLeavesToSearch: 6, numReorderingCandidates: 50 }],
    ['codes', { tree: { numLeaves: 40 }, hashing: {}, reordering: false }, { k: 5, numLeavesToSearch: 6 }],
    ['tree', { tree: { numLeaves: 40 }, hashing: false }, { k: 5, numLeavesToSearch: 6 }],
    ['exact', { tree: false, hashing: false }, { k: 5 }],
  ])('gives the answer of search, and how it was found: %s', async (method, options, search) => {
    await using index = await build(options);
    const { ids, scores } = await index.search(query, search);
    const account = await index.explain(query, search);
    expect(account).toMatchObject({ ids, scores, method });
    expect(account.shards).toHaveLength(3);
    const sum = (of: (shard: (typeof account.shards)[number]) => number) =>
      account.shards.reduce((total, shard) => total + of(shard), 0);
    expect(sum((shard) => shard.codesScanned)).toBe(account.codesScanned);
    expect(sum((shard) => shard.candidates)).toBe(account.candidates);
    expect(sum((shard) => shard.reordered)).toBe(account.reordered);
    const { total, prepare, scan, reorder, merge } = account.microseconds;
    expect(prepare + scan + reorder + merge).toBeGreaterThanOrEqual(total - 1);
    expect(scan).toBeCloseTo(
      sum((shard) => shard.scanMicroseconds),
      5,
    );
    expect(account.candidates).toBeGreaterThanOrEqual(5);
    if (method === 'exact') expect(account.leaves).toEqual([]);
    else expect(new Set(account.leaves).size).toBe(6);
    expect(account.reordered).toBe(method === 'hashed' ? Math.min(50, account.candidates) : 0);
    if (method === 'hashed' || method === 'codes') expect(account.codesScanned).toBeGreaterThan(0);
  });

  it('accounts for each query on its own', async () => {
    await using index = await build({ tree: { numLeaves: 40 }, hashing: {} });
    const few = await index.explain(query, { numLeavesToSearch: 1, numReorderingCandidates: 10 });
    const many = await index.explain(query, { numLeavesToSearch: 40, numReorderingCandidates: 3000 });
    expect(many.codesScanned).toBe(3000);
    expect(many.reordered).toBe(3000);
    expect(few.codesScanned).toBeLessThan(many.codesScanned);
    expect((await index.explain(query, { numLeavesToSearch: 1, numReorderingCandidates: 10 })).codesScanned).toBe(
      few.codesScanned,
    );
    expect('leaves' in (await index.search(query))).toBe(false);
  });

  it('of an empty index tells of nothing', async () => {
    await using index = await Index.build({ vectors: [] }, { dimensions: DIMENSIONS });
    expect(await index.explain(query)).toMatchObject({ ids: [], method: 'exact', shards: [], codesScanned: 0 });
  });

  it('refuses what search refuses', async () => {
    await using index = await build({});
    expect(await failureOf(index.explain([1]))).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR' });
    expect(await failureOf(index.explain(query, { k: 0 }))).toMatchObject({ option: 'k' });
    expect(await failureOf(index.explain(null as never))).toMatchObject({ option: 'query' });
  });
});
