import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Dispatcher } from '../../src/coordinator/dispatcher.ts';
import { SearchWork } from '../../src/coordinator/search-work.ts';
import type { SearchResult } from '../../src/index.ts';
import { MODE_HASHED } from '../../src/protocol/control-layout.ts';
import { METRIC_DOT } from '../../src/protocol/shard-layout.ts';
import { failureOf } from '../support/failures.ts';
import { buildInline, InlineServer } from '../support/inline-build.ts';
import { LiveIndex } from '../support/live-index.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered } from '../support/vectors.ts';

const data = clustered(4000, 32);
const options = { ...CONFIGS['tree and hashing'], shards: 3, threads: 2 };
const random = new Random(8);
const queries = Array.from({ length: 2000 }, () => random.normals(1, 32));

async function truth(index: LiveIndex): Promise<unknown[]> {
  return (await index.batch(queries)).map(bits);
}

/** Resolves when the index has answered `count` more queries. */
async function answered(index: LiveIndex, count: number): Promise<void> {
  const goal = index.stats().queries.completed + count;
  while (index.stats().queries.completed < goal) await nextTurn();
}

async function restarts(index: LiveIndex, count: number): Promise<void> {
  while (index.stats().workerRestarts < count) await delay(1);
}

it('answers every search, and rightly, when a thread dies in the middle of them', async () => {
  await using index = await LiveIndex.build(data, options);
  const right = await truth(index);
  const found: Promise<SearchResult>[] = queries.map((query) => index.search(query));
  await answered(index, 100);
  await index.threads.workers[0]!.terminate();
  expect((await Promise.all(found)).map(bits)).toEqual(right);
  await restarts(index, 1);
  expect(index.stats().workerRestarts).toBe(1);
  expect(await truth(index)).toEqual(right);
  await expect.poll(() => index.stats().queries).toMatchObject({ inFlight: 0, waitingCalls: 0 });
});

it('starts unanswered queries again even when none are waiting behind them', async () => {
  await using index = await LiveIndex.build(data, { ...options, maxInFlight: 2048 });
  const few = queries.slice(0, 200);
  const right = (await index.batch(few)).map(bits);
  const request = index.request(10, 4000, 12);
  const slow = (await index.batch(few, request)).map(bits);
  for (let round = 0; round < 4; round++) {
    const found = index.batch(few, request);
    await nextTurn();
    await index.threads.workers[round % 2]!.terminate();
    expect((await found).map(bits)).toEqual(slow);
  }
  expect(index.stats().queries.retried).toBeGreaterThan(0);
  expect((await index.batch(few)).map(bits)).toEqual(right);
});

it('survives the death of all threads at once', async () => {
  await using index = await LiveIndex.build(data, options);
  const right = await truth(index);
  const found = queries.map((query) => index.search(query));
  await answered(index, 100);
  await Promise.all(index.threads.workers.map((worker) => worker.terminate()));
  expect((await Promise.all(found)).map(bits)).toEqual(right);
  expect(index.stats().workerRestarts).toBeGreaterThanOrEqual(1);
});

it('works on after a thread died while idle', async () => {
  await using index = await LiveIndex.build(data, options);
  const before = bits(await index.search(queries[0]!));
  await index.threads.workers[1]!.terminate();
  expect(bits(await index.search(queries[0]!))).toEqual(before);
  await restarts(index, 1);
  expect(bits(await index.search(queries[0]!))).toEqual(before);
  expect(index.stats().workerRestarts).toBe(1);
});

it('counts each death once, over five in a row', async () => {
  await using index = await LiveIndex.build(data, options);
  const right = await truth(index);
  for (let death = 1; death <= 5; death++) {
    const found = queries.map((query) => index.search(query));
    await answered(index, 50);
    // Now a thread that is new, now one that has seen the deaths of others.
    await index.threads.workers[death % 2]!.terminate();
    expect((await Promise.all(found)).map(bits)).toEqual(right);
    await restarts(index, death);
    expect(index.stats().workerRestarts).toBe(death);
  }
});

it('works with the only thread replaced', async () => {
  await using index = await LiveIndex.build(data, { ...options, threads: 1, shards: 1 });
  const right = await truth(index);
  const found = queries.map((query) => index.search(query));
  await index.threads.workers[0]!.terminate();
  expect((await Promise.all(found)).map(bits)).toEqual(right);
});

it('ends threads that die while an index closes without starting others', async () => {
  const index = await LiveIndex.build(data, options);
  const found = index.batch(queries);
  await answered(index, 10);
  const ending = index.threads.workers[0]!.terminate();
  const stopping = index.serving.stop();
  expect(await found).toHaveLength(queries.length);
  await Promise.all([ending, stopping]);
  expect(index.threads.workers).toHaveLength(0);
});

it('settles every search when threads die at any moment, also while others start', async () => {
  await using index = await LiveIndex.build(data, options);
  const right = await truth(index);
  const storm = (async () => {
    for (let death = 0; death < 25; death++) {
      await delay(random.int(0, 40));
      await index.threads.workers[death % 2]?.terminate();
    }
  })();
  const settled = await Promise.allSettled(queries.map((query) => index.search(query)));
  await storm;
  settled.forEach((outcome, i) => {
    if (outcome.status === 'fulfilled') expect(bits(outcome.value)).toEqual(right[i]);
    else expect(outcome.reason).toMatchObject({ code: 'SCANNERY_WORKER_FAILED' });
  });
  await expect.poll(() => index.stats().queries.inFlight).toBe(0);
});

it('fails a query that has been at two dead threads, and starts the others again', async () => {
  // No thread serves here, so nothing is answered in between.
  const { data: built, slots, server } = new InlineServer(await buildInline(data, options));
  const { dimensions, stride, ids } = built;
  const dispatcher = new Dispatcher(slots, { threads: 1, spareCore: false });
  const searched = { dimensions, stride, ids, normalise: false, shards: 1, kernelMetric: METRIC_DOT };
  const request = { mode: MODE_HASHED, k: 10, limit: 40, numLeavesToSearch: 4, snapshot: built.rows.snapshot };
  const search = (i: number): Promise<SearchResult[]> =>
    dispatcher.run(new SearchWork({ count: 1, row: () => queries[i]! }, request, searched), undefined);
  const first = failureOf(search(0));
  const second = search(1);
  expect(dispatcher.inFlight).toBe(2);
  dispatcher.restart(new Set([0]));
  expect([dispatcher.inFlight, dispatcher.counters.retried]).toEqual([2, 2]);
  dispatcher.restart(new Set([0]));
  expect(await first).toMatchObject({ code: 'SCANNERY_WORKER_FAILED', row: 0 });
  expect([dispatcher.inFlight, dispatcher.counters.retried]).toEqual([1, 3]);
  // Units of the earlier rounds are still queued, for nobody emptied the queue; they change nothing.
  server.drain();
  dispatcher.collect();
  expect((await second)[0]!.ids).toHaveLength(10);
  dispatcher.dispose();
});

it('fails a build whose thread dies, and leaves no thread behind', async () => {
  const big = clustered(5000, 64);
  const { Threads } = await import('../../src/coordinator/threads.ts');
  const kernels = (await import('../../src/shard/kernels/load.ts')).loadKernels();
  const { createMemory, allocate } = await import('../../src/shard/arena.ts');
  const { allocateLeafTables, assignScratchBytes } = await import('../../src/coordinator/leaf-tables.ts');
  const threads = new Threads(2);
  const memory = createMemory(0);
  const rows = allocate(memory, big.vectors.byteLength);
  const [leaves, numLeaves] = [allocate(memory, 4 * big.count), 16_000];
  const leafTables = allocateLeafTables(memory, numLeaves, 64);
  const scratchBytes = assignScratchBytes(numLeaves, 64);
  const task = {
    kind: 'assign' as const,
    ...{ kernels, memory, rows, count: big.count, stride: 64, rowsPerChunk: 8, chunks: big.count / 8 },
    ...{ leafTables, leaves, scratch: allocate(memory, scratchBytes * 2), scratchBytes },
  } as const;
  await threads.runPhase({ ...task, chunks: 2 });
  const failure = failureOf(threads.runPhase(task));
  await delay(5);
  await threads.workers[0]!.terminate();
  expect((await failure).code).toBe('SCANNERY_WORKER_FAILED');
  await threads.destroy();
  expect(threads.workers).toHaveLength(0);
});

it('adds vectors although threads die meanwhile', async () => {
  await using index = await LiveIndex.build(
    { ...data, count: 2000, vectors: data.vectors.subarray(0, 2000 * 32) },
    options,
  );
  const ids = Array.from({ length: 2000 }, (_, i) => 2000 + i);
  const upserting = index.upsert(ids, data.vectors.subarray(2000 * 32));
  for (let death = 0; death < 3; death++) {
    await delay(30);
    await index.threads.workers[0]?.terminate();
  }
  expect(await upserting).toEqual({ inserted: 2000, updated: 0 });
  expect(index.stats().workerRestarts).toBeGreaterThan(0);
  await using whole = await LiveIndex.build(data, options);
  const every = (one: LiveIndex) => one.batch(queries.slice(0, 50), one.request(20, 8000, 12));
  expect((await every(index)).map(bits)).toEqual((await every(whole)).map(bits));
});
