import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Index, type SearchResult } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { LiveIndex } from '../support/live-index.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const data = clustered(600, 8);
const options = { dimensions: 8, ...CONFIGS['tree and hashing'], shards: 2, threads: 2 };
const random = new Random(2);
const queries = Array.from({ length: 5000 }, () => random.normals(1, 8));
const directory = temporaryDirectory();

describe('back-pressure', () => {
  it.each([1, 2])('keeps to maxInFlight, with %i threads, and answers in the order of submission', async (threads) => {
    await using index = await Index.build(data, { ...options, threads, maxInFlight: 32 });
    const alone = bits(await index.search(queries[4000]!));
    const order: number[] = [];
    let most = 0;
    const found = queries.map(async (query, i) => {
      const result = await index.search(query);
      order.push(i);
      most = Math.max(most, index.stats().queries.inFlight);
      return result;
    });
    // A thread may have answered some already; the first search was another one.
    const { inFlight, waitingCalls, completed } = index.stats().queries;
    expect(inFlight).toBe(32);
    expect(waitingCalls + inFlight + completed).toBe(5001);
    expect(waitingCalls).toBeGreaterThan(0);
    const results = await Promise.all(found);
    expect(most).toBeLessThanOrEqual(32);
    expect(bits(results[4000]!)).toEqual(alone);
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from(order.keys()));
    // One thread works them off in order, so only those that are answered in the same moment may change places.
    if (threads === 1) expect(order.every((query, position) => Math.abs(query - position) < 32)).toBe(true);
    expect(index.stats().queries).toMatchObject({ inFlight: 0, waitingCalls: 0, completed: 5001 });
  });

  it('shares the slots between waiting batches', async () => {
    await using index = await Index.build(data, { ...options, maxInFlight: 32 });
    let firstDone = false;
    const first = index.searchBatch(Array.from({ length: 20_000 }, (_, i) => queries[i % 5000]!)).then((results) => {
      firstDone = true;
      return results;
    });
    const single = index.search(queries[7]!).then((result) => ({ result, early: !firstDone }));
    const small = index.searchBatch(queries.slice(0, 200)).then((results) => ({ results, early: !firstDone }));
    expect((await single).early).toBe(true);
    expect((await small).early).toBe(true);
    const results = await first;
    expect(results).toHaveLength(20_000);
    expect(bits((await single).result)).toEqual(bits(results[7]!));
    expect((await small).results.map(bits)).toEqual(results.slice(0, 200).map(bits));
  });
});

describe('close', () => {
  it('lets the calls in flight finish, and refuses those that come later', async () => {
    const index = await Index.build(data, { ...options, maxInFlight: 32 });
    const right = (await index.searchBatch(queries.slice(0, 300))).map(bits);
    const found = queries.slice(0, 300).map((query) => index.search(query));
    const batch = index.searchBatch(queries.slice(0, 300));
    const saved = index.save(join(directory, 'closing'));
    const closed = index.close();
    const late = [index.search(queries[0]!), index.searchBatch(queries.slice(0, 2)), index.save(join(directory, 'x'))];
    for (const call of late) expect((await failureOf(call)).code).toBe('SCANNERY_CLOSED');
    await closed;
    expect((await Promise.all(found)).map(bits)).toEqual(right);
    expect((await batch).map(bits)).toEqual(right);
    await saved;
    expect(readdirSync(directory)).toEqual(['closing']);
    await using again = await Index.open(join(directory, 'closing'), { threads: 1 });
    expect((await again.searchBatch(queries.slice(0, 300))).map(bits)).toEqual(right);
  });

  it('may be called twice, and at the same time', async () => {
    const index = await Index.build(data, options);
    await Promise.all([index.close(), index.close()]);
    await index.close();
    for (const call of [index.search(queries[0]!), index.searchBatch([]), index.save(directory)]) {
      expect((await failureOf(call)).code).toBe('SCANNERY_CLOSED');
    }
    expect(() => index.stats()).toThrow(expect.objectContaining({ code: 'SCANNERY_CLOSED' }));
    expect([index.size, index.dimensions, index.metric]).toEqual([600, 8, 'dot_product']);
  });

  it('ends the threads', async () => {
    const index = await LiveIndex.build(data, options);
    const { workers } = index.threads;
    expect(workers).toHaveLength(2);
    expect(workers.every((worker) => worker.threadId > 0)).toBe(true);
    await index.serving.stop();
    // A thread that has ended has no id any more.
    expect(workers.map((worker) => worker.threadId)).toEqual([-1, -1]);
    expect(index.threads.workers).toHaveLength(0);
  });

  it('is what `await using` does', async () => {
    let kept: Index;
    {
      await using index = await Index.build(data, options);
      kept = index;
      expect((await index.search(queries[0]!)).ids).toHaveLength(10);
    }
    expect((await failureOf(kept.search(queries[0]!))).code).toBe('SCANNERY_CLOSED');
  });
});

it('serves several indexes at once, each its own', async () => {
  const others = clustered(500, 8, 77);
  await using one = await Index.build(data, options);
  await using two = await Index.build(others, options);
  const search = (index: Index, i: number): Promise<SearchResult> => index.search(queries[i]!, { k: 1, exact: true });
  for (let i = 0; i < 50; i++) {
    const [a, b] = await Promise.all([search(one, i), search(two, i)]);
    const dot = (row: Float32Array): number => row.reduce((sum, value, j) => sum + value * queries[i]![j]!, 0);
    expect(a.scores[0]).toBeCloseTo(dot(rowAt(data, a.ids[0] as number)), 3);
    expect(b.scores[0]).toBeCloseTo(dot(rowAt(others, b.ids[0] as number)), 3);
  }
});

it('counts what it did', async () => {
  await using index = await Index.build(data, options);
  const before = index.stats();
  expect(before).toMatchObject({ size: 600, threads: 2, workerRestarts: 0 });
  expect(before.numLeaves).toBeGreaterThan(1);
  expect(before.numLeaves).toBeLessThanOrEqual(12);
  expect(before.queries).toMatchObject({ completed: 0, codesScanned: 0, retried: 0, inFlight: 0, waitingCalls: 0 });
  await index.searchBatch(queries.slice(0, 100), { numLeavesToSearch: 12, numReorderingCandidates: 600 });
  await nextTurn();
  const after = index.stats();
  expect(after.queries.completed).toBe(100);
  expect(after.queries.codesScanned).toBe(100 * 600);
  expect(after.queries.kernelMicroseconds).toBeGreaterThan(0);
  expect(after.bytes).toBeGreaterThanOrEqual(after.shards.reduce((sum, shard) => sum + shard.bytes, 0));
});
