import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { MemoryRows } from '../../src/coordinator/memory-rows.ts';
import { Index, type SearchResult } from '../../src/index.ts';
import { RESERVED_BYTES, SHARD_LEAVES } from '../../src/protocol/shard-layout.ts';
import type { Views } from '../../src/shard/views.ts';
import { failureOf } from '../support/failures.ts';
import { LiveIndex } from '../support/live-index.ts';
import { bits, CONFIGS, clustered } from '../support/vectors.ts';

const dimensions = 6;
const { tree, hashing } = CONFIGS['tree and hashing'];
const ALL = { numLeavesToSearch: 12, numReorderingCandidates: 5000 };

describe('a search', () => {
  it('sees all of a call or nothing, whatever is under way, and never waits', async () => {
    // Version v of every vector is v times the first; the score of each of the k found tells its version.
    const count = 60;
    const at = (version: number) => new Float32Array(count * dimensions).fill(version);
    const ids = Array.from({ length: count }, (_, i) => `id ${i}`);
    await using index = await Index.build(
      { ids, vectors: at(1) },
      { dimensions, tree, hashing, threads: 2, shards: 2 },
    );
    const query = new Float32Array(dimensions).fill(1 / dimensions);
    let [writing, searches] = [true, 0];
    const versions = new Set<number>();
    const check = ({ ids: found, scores }: SearchResult): void => {
      expect(new Set(found).size).toBe(count);
      const version = Math.round(scores[0]!);
      for (const score of scores) expect(score).toBeCloseTo(version, 3);
      versions.add(version);
    };
    const searching = Array.from({ length: 4 }, async (_, i) => {
      while (writing) {
        const results = await index.searchBatch([query, query, query], { k: count, ...ALL, exact: i % 2 === 0 });
        for (const result of results) check(result);
        expect(new Set(results.map(({ scores }) => Math.round(scores[0]!))).size).toBe(1);
        searches++;
      }
    });
    for (let version = 2; version <= 40; version++) {
      expect(await index.upsert({ ids, vectors: at(version) })).toEqual({ inserted: 0, updated: count });
      check(await index.search(query, { k: count, ...ALL }));
      expect(Math.round((await index.search(query, { k: 1 })).scores[0]!)).toBe(version);
    }
    writing = false;
    await Promise.all(searching);
    expect(searches).toBeGreaterThan(10);
    expect(versions.size).toBeGreaterThan(10);
  });
});

it('changes nothing when there is no more memory, and goes on when there is', async () => {
  const wide = clustered(1500, 200);
  const options = { dimensions: 200, tree, hashing, threads: 2 };
  await using index = await Index.build({ vectors: wide.vectors.subarray(0, 300 * 200) }, options);
  const every = { k: 2000, numLeavesToSearch: 12, numReorderingCandidates: 4000 };
  const probes = wide.vectors.subarray(0, 5 * 200);
  // Rows that are updated and rows that are new.
  const more = { ids: Array.from({ length: 1200 }, (_, i) => 100 + i), vectors: wide.vectors.subarray(300 * 200) };
  const answers = async () => (await index.searchBatch(probes, every)).map(bits);
  const before = await answers();
  for (const [round, refused] of [0, 1, 1].entries()) {
    let calls = 0;
    const { grow } = WebAssembly.Memory.prototype;
    const spy = vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(function (
      this: WebAssembly.Memory,
      by,
    ) {
      if (calls++ >= refused) throw new RangeError('no more');
      return grow.call(this, by);
    });
    expect(await failureOf(index.upsert(more))).toMatchObject({ code: 'SCANNERY_OUT_OF_MEMORY' });
    spy.mockRestore();
    expect([index.size, index.stats().deleted, await index.has(1299)]).toEqual([300, 3 * round, false]);
    expect(await answers()).toEqual(before);
    // What another call leaves in the same places is seen as if nothing had been there.
    const some = { ids: [5, 2000 + refused], vectors: wide.vectors.subarray(0, 2 * 200) };
    await index.upsert(some);
    const found = await index.search(probes.subarray(0, 200), every);
    expect(new Set(found.ids).size).toBe(index.size);
    await index.delete([2000 + refused]);
    await index.upsert({ ids: [5], vectors: wide.vectors.subarray(5 * 200, 6 * 200) });
    before.splice(0, before.length, ...(await answers()));
    expect(new Set(before[0]!.ids)).toEqual(new Set(Array.from({ length: 300 }, (_, i) => i)));
  }
  expect(await index.upsert(more)).toEqual({ inserted: 1000, updated: 200 });
  for (const { ids } of await index.searchBatch(probes, every)) {
    expect(new Set(ids)).toEqual(new Set(Array.from({ length: 1300 }, (_, i) => i)));
  }
});

it('has every id all the while that it is replaced, and has its vector, the old one or the new one', async () => {
  const count = 7000;
  const at = (version: number) => new Float32Array(count * 2).fill(version);
  const ids = Array.from({ length: count }, (_, i) => i);
  await using index = await Index.build({ ids, vectors: at(1) }, { ...CONFIGS.exact, dimensions: 2, threads: 1 });
  let [version, writing, looks] = [1, true, 0];
  const looking = (async () => {
    while (writing) {
      for (const id of [0, count / 2, count - 1]) {
        expect(await index.has(id)).toBe(true);
        const least = version;
        const [x] = (await index.get(id))!.vector;
        expect(x).toBeGreaterThanOrEqual(least);
        expect(x).toBeLessThanOrEqual(version + 1);
      }
      looks++;
      await nextTurn();
    }
  })();
  for (let round = 0; round < 5; round++) {
    await index.upsert({ ids, vectors: at(version + 1) });
    version++;
  }
  writing = false;
  await looking;
  expect(looks).toBeGreaterThan(20);
});

describe('several memories with a tree', () => {
  const [before, after] = [900, 1500];
  const data = clustered(after, 8, 3);
  const first = { count: before, dimensions: 8, vectors: data.vectors.subarray(0, before * 8) };
  const ids = Array.from({ length: after - before }, (_, i) => before + i);
  const added = data.vectors.subarray(before * 8);
  const queries = Array.from({ length: 10 }, (_, i) => data.vectors.subarray(i * 8, (i + 1) * 8));
  const every = (index: LiveIndex) => index.batch(queries, index.request(30, 2 * after, 12));
  /** Four memories. */
  const BYTES = (before * 8 * 4) / 4;

  it.each([undefined, 1])('each take the vectors of their leaves, with soarLambda %s', async (soarLambda) => {
    const options = { tree: { ...tree, soarLambda }, hashing, shards: 6 };
    await using whole = await LiveIndex.build(data, { ...CONFIGS.exact, shards: 1 });
    await using index = await LiveIndex.build(first, options, BYTES);
    const { memories } = index.data.rows;
    expect(memories.length).toBe(4);
    const sizes = index.data.rows.sizes;
    const leaves = (m: number): Set<number> => leavesOf(memories[m]!.views, 12);
    const owned = memories.map((_, m) => leaves(m));
    expect(await index.upsert(ids, added)).toEqual({ inserted: ids.length, updated: 0 });
    expect((await every(index)).map(bits)).toEqual((await every(whole)).map(bits));
    for (const [m, { count }] of memories.entries()) expect(count).toBeGreaterThan(sizes[m]!);
    if (soarLambda === undefined) expect(memories.map((_, m) => leaves(m))).toEqual(owned);
  });

  it('help out when one is full, and say so when all are', async () => {
    const options = { tree, hashing, shards: 6 };
    await using whole = await LiveIndex.build(data, { ...CONFIGS.exact, shards: 1 });
    await using index = await LiveIndex.build(first, options, BYTES);
    const { memories } = index.data.rows;
    let full = 3;
    const spy = vi.spyOn(MemoryRows.prototype, 'canGrow', 'get').mockImplementation(function (this: MemoryRows) {
      return memories.indexOf(this) >= full;
    });
    const sizes = index.data.rows.sizes;
    const half = ids.length / 2;
    expect(await index.upsert(ids.slice(0, half), added.subarray(0, half * 8))).toMatchObject({ inserted: half });
    expect(index.data.rows.sizes[3]! - sizes[3]!).toBeGreaterThan(half / 2);
    full = 4;
    const answers = (await every(index)).map(bits);
    const failure = await failureOf(index.upsert(ids.slice(half), added.subarray(half * 8)));
    expect(failure).toMatchObject({ code: 'SCANNERY_OUT_OF_MEMORY', value: before + half });
    expect((await every(index)).map(bits)).toEqual(answers);
    full = 0;
    await index.upsert(ids.slice(half), added.subarray(half * 8));
    spy.mockRestore();
    expect((await every(index)).map(bits)).toEqual((await every(whole)).map(bits));
  });
});

/** The leaves of which a memory has lanes. */
function leavesOf({ u32 }: Views, numLeaves: number): Set<number> {
  const heads = u32[(RESERVED_BYTES + SHARD_LEAVES) >>> 2]! >>> 2;
  return new Set(Array.from({ length: numLeaves }, (_, leaf) => leaf).filter((leaf) => u32[heads + leaf] !== 0));
}
