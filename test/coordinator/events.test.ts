import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, it } from 'vitest';
import { type DiagnosticsEvents, Index } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { LiveIndex } from '../support/live-index.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered } from '../support/vectors.ts';

const DIMENSIONS = 8;
const vectors = new Random(4).normals(3000, DIMENSIONS);
const options = { dimensions: DIMENSIONS, threads: 2, shards: 3, tree: { numLeaves: 40 }, hashing: {} };

const listening: (() => void)[] = [];
afterEach(() => {
  for (const stop of listening.splice(0)) stop();
});

/** The events of a channel from now on. */
function listen<N extends keyof DiagnosticsEvents>(name: N): DiagnosticsEvents[N][] {
  const events: DiagnosticsEvents[N][] = [];
  const take = (event: unknown): void => {
    events.push(event as DiagnosticsEvents[N]);
  };
  subscribe(name, take);
  listening.push(() => unsubscribe(name, take));
  return events;
}

it('tells of searches, and of the time of each stage', async () => {
  await using index = await Index.build({ vectors }, options);
  const quiet = await index.search(vectors.subarray(0, DIMENSIONS));
  const events = listen('scannery:search');
  expect(await index.search(vectors.subarray(0, DIMENSIONS))).toEqual(quiet);
  await index.searchBatch(vectors.subarray(0, 300 * DIMENSIONS), { k: 3 });
  await index.search(vectors.subarray(0, DIMENSIONS), { excludeIds: [0], k: 4 });
  const { microseconds } = await index.explain(vectors.subarray(0, DIMENSIONS), { k: 5 });
  expect(events.map(({ queries, k }) => [queries, k])).toEqual([
    [1, 10],
    [300, 3],
    [1, 4],
    [1, 5],
  ]);
  for (const event of events) {
    expect(event.index).toBe(index);
    expect(event).not.toHaveProperty('error');
    expect(event.milliseconds).toBeGreaterThan(0);
    const { prepare, scan, reorder, merge } = event.stages;
    for (const time of [prepare, scan, reorder]) expect(time).toBeGreaterThan(0);
    expect(merge).toBeGreaterThanOrEqual(0);
  }
  const { total, ...stages } = microseconds;
  expect(events[3]!.stages).toEqual(stages);
  expect(total).toBeGreaterThan(0);

  const before = index.stats().queries.kernelMicroseconds;
  await index.searchBatch(vectors, { k: 3 });
  const { prepare, scan, reorder, merge } = events[4]!.stages;
  // Rounded to tenths, per query and shard.
  const spent = index.stats().queries.kernelMicroseconds - before;
  expect(Math.abs(prepare + scan + reorder + merge - spent)).toBeLessThan(spent / 20);
});

it('tells of searches that fail', async () => {
  await using index = await Index.build({ vectors }, options);
  const events = listen('scannery:search');
  const failure = await failureOf(index.search([1, 2]));
  expect(events).toMatchObject([{ queries: 1, k: 10, error: failure }]);
  expect(failure).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR' });
});

it('tells of writes and rebalancing', async () => {
  await using index = await Index.build({ vectors }, options);
  const writes = listen('scannery:write');
  const rebalancings = listen('scannery:rebalance');
  await index.upsert({ ids: [1, 5000], vectors: vectors.subarray(0, 2 * DIMENSIONS) });
  await index.delete([1, 2, 9999]);
  const failure = await failureOf(index.upsert({ ids: [1], vectors: [[1]] }));
  expect(writes).toMatchObject([
    { index, kind: 'upsert', rows: 2 },
    { index, kind: 'delete', rows: 3 },
    { index, kind: 'upsert', rows: 1, error: failure },
  ]);
  await index.rebalance();
  const abort = await failureOf(index.rebalance({ signal: AbortSignal.timeout(1) }));
  expect(rebalancings).toMatchObject([{ index }, { index, error: abort }]);
  expect(rebalancings[0]).not.toHaveProperty('error');
});

it('tells of checkpoints', async () => {
  const directory = temporaryDirectory();
  const built = await Index.build({ vectors }, options);
  await built.save(directory);
  await built.close();
  const events = listen('scannery:checkpoint');
  await using index = await Index.open(directory, { durability: 'none' });
  await index.delete([1]);
  await index.save();
  expect(events).toMatchObject([{ directory }]);
  expect(events[0]!.milliseconds).toBeGreaterThan(0);
});

it('tells of threads that died', async () => {
  const events = listen('scannery:worker-restart');
  await using index = await LiveIndex.build(clustered(4000, 32), { ...CONFIGS['tree and hashing'], threads: 2 });
  await index.threads.workers[0]!.terminate();
  await expect.poll(() => events, { timeout: 20_000 }).toMatchObject([{ threads: 2 }]);
  expect(events[0]).not.toHaveProperty('error');
});
