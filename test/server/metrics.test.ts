import { channel } from 'node:diagnostics_channel';
import { expect, it } from 'vitest';
import type { ScanneryServer } from '../../src/server/index.ts';
import { call, serve, smallIndex } from '../support/server.ts';
import { until } from '../support/slow-index.ts';

async function metricsOf(server: ScanneryServer): Promise<Map<string, number>> {
  const { body, headers } = await call(server, { url: '/metrics' });
  expect(headers['content-type']).toContain('text/plain');
  const lines = (body as string).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

const search = (server: ScanneryServer, more = {}) =>
  call(server, { url: '/v1/search', body: { vector: [1, 2, 3, 4], ...more } });

it('requests are counted by method, route and status', async () => {
  const server = await serve();
  await search(server);
  await search(server);
  await search(server, { k: 0 });
  await call(server, { url: '/v1/vectors/nobody' });
  await call(server, { url: '/v1/vectors/somebody' });
  await call(server, { url: '/nothing' });
  const metrics = await metricsOf(server);
  const count = (method: string, route: string, status: number) =>
    metrics.get(`scannery_http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"}`);
  expect(count('POST', '/v1/search', 200)).toBe(2);
  expect(count('POST', '/v1/search', 400)).toBe(1);
  // Ids are no labels: there would be no end of them.
  expect(count('GET', '/v1/vectors/:id', 404)).toBe(2);
  expect(count('GET', 'none', 404)).toBe(1);
});

it('the index tells of itself, until it is closed', async () => {
  const index = await smallIndex();
  const server = await serve({}, index);
  await call(server, { url: '/v1/search/batch', body: { vectors: Array(3).fill([1, 2, 3, 4]) } });
  await index.delete(['a']);
  const metrics = await metricsOf(server);
  expect(metrics.get('scannery_queries_total')).toBe(3);
  expect(metrics.get('scannery_vectors')).toBe(9);
  expect(metrics.get('scannery_vectors_deleted')).toBe(1);
  expect(metrics.get('scannery_shard_skew')).toBe(1);
  expect(metrics.get('scannery_memory_bytes')).toBe(index.stats().bytes);
  for (const name of ['scannery_queries_in_flight', 'scannery_calls_waiting', 'scannery_worker_restarts_total']) {
    expect(metrics.get(name), name).toBe(0);
  }
  for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds']) {
    expect(metrics.get(name), name).toBeGreaterThan(0);
  }
  await index.close();
  expect((await metricsOf(server)).has('scannery_vectors')).toBe(false);
});

it("what the index publishes is counted, other indexes' left out", async () => {
  const [index, other] = [await smallIndex(), await smallIndex()];
  const server = await serve({}, index);
  const stages = { prepare: 10, scan: 400, reorder: 40, merge: 4 };
  const before = await metricsOf(server);
  for (const from of [index, other]) {
    channel('scannery:search').publish({ index: from, queries: 4, k: 10, milliseconds: 2, stages });
    channel('scannery:search').publish({ index: from, queries: 1, k: 10, milliseconds: 2, error: new Error('x') });
    channel('scannery:write').publish({ index: from, kind: 'upsert', rows: 2, milliseconds: 3 });
    channel('scannery:rebalance').publish({ index: from, milliseconds: 500, error: new Error('x') });
  }
  const after = await metricsOf(server);
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown('scannery_search_duration_seconds_count')).toBe(1);
  expect(grown('scannery_searches_failed_total')).toBe(1);
  expect(grown('scannery_stage_seconds_sum{stage="scan"}')).toBeCloseTo(0.0001, 9);
  expect(grown('scannery_stage_seconds_count{stage="merge"}')).toBe(1);
  expect(grown('scannery_write_duration_seconds_count{kind="upsert",outcome="ok"}')).toBe(1);
  expect(grown('scannery_write_duration_seconds_sum{kind="rebalance",outcome="error"}')).toBe(0.5);
  await other.close();
});

it('servers have registries of their own', async () => {
  const [one, two] = [await serve(), await serve()];
  await search(one);
  const name = 'scannery_http_request_duration_seconds_count{method="POST",route="/v1/search",status="200"}';
  expect((await metricsOf(one)).get(name)).toBe(1);
  expect((await metricsOf(two)).get(name)).toBeUndefined();
});

it('recall of live queries is measured, of those without filters', async () => {
  const server = await serve({ recallSampling: 1 });
  const samples = async () => (await metricsOf(server)).get('scannery_recall_samples_total')!;
  await search(server, { excludeIds: ['a'] });
  await search(server, { filter: { allow: { colour: ['red'] } } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await samples()).toBe(0);
  await search(server);
  await until(async () => (await samples()) === 1);
  expect((await metricsOf(server)).get('scannery_recall_estimate')).toBe(1);
});

it('a request is logged in one line, with its id and its caller, and without its token', async () => {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => lines.push(JSON.parse(line)) };
  const token = 'reader-token-0123456789';
  const server = await serve({ logger: { stream }, tokens: [{ name: 'reader', token }] });
  const { headers } = await call(server, {
    url: '/v1/vectors/a',
    headers: { authorization: `Bearer ${token}`, 'x-request-id': 'mine' },
  });
  await until(() => lines.length > 0);
  expect(headers['x-request-id']).toBe('mine');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({
    reqId: 'mine',
    method: 'GET',
    route: '/v1/vectors/:id',
    status: 200,
    caller: 'reader',
  });
  await call(server, { url: '/healthz' });
  await until(() => lines.length > 1);
  expect(lines[1]!.reqId).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.stringify(lines)).not.toContain(token);
});
