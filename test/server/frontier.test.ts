import { beforeAll, describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import type { ScanneryServer } from '../../src/server/index.ts';
import { call, serve, withMethods } from '../support/server.ts';
import { clustered } from '../support/vectors.ts';

const url = '/v1/frontier';
let index: Index;
let server: ScanneryServer;

const build = (): Promise<Index> =>
  Index.build(clustered(2000, 8, 4), { dimensions: 8, threads: 1, tree: { numLeaves: 20 }, hashing: {} });

beforeAll(async () => {
  index = await build();
  server = await serve({ limits: { maxK: 50 } }, index);
});

it('there is none before the index is tuned; then it is that of the last tuning, whose choice is the default', async () => {
  const none = await call(server, { url });
  expect([none.status, none.body.error.code]).toEqual([404, 'NOT_FOUND']);
  const tuned = await call(server, { url, body: { targetRecall: 0.9, k: 5 } });
  expect(tuned.status).toBe(200);
  expect(tuned.body).toMatchObject({ targetRecall: 0.9, k: 5, queries: 1000 });
  expect(tuned.body.recall).toBeGreaterThanOrEqual(0.9);
  expect(tuned.body.frontier.length).toBeGreaterThan(0);
  const { numLeavesToSearch, numReorderingCandidates } = tuned.body;
  expect(index.stats().config.defaults).toMatchObject({ k: 5, numLeavesToSearch, numReorderingCandidates });
  expect((await call(server, { url })).body).toEqual(tuned.body);
});

describe('tuning', () => {
  it.each([
    [{ targetRecall: 1.5 }, 'targetRecall'],
    [{ targetRecall: 0 }, 'targetRecall'],
    [{ k: 51 }, 'k'],
    [{ recall: 0.9 }, 'recall'],
  ])('with %j is refused', async (body, option) => {
    const { status, body: answer } = await call(server, { url, body });
    expect([status, answer.error.code, answer.error.option]).toEqual([400, 'SCANNERY_INVALID_OPTION', option]);
  });

  it('is done by one call at a time, and may be tried again after one that failed', async () => {
    const failures: (() => void)[] = [];
    const tune = () => new Promise((_, reject) => failures.push(() => reject(new Error('broken'))));
    const busy = await serve({}, withMethods(index, { tune }));
    const first = call(busy, { url, body: {} });
    await expect.poll(() => failures.length).toBe(1);
    const second = await call(busy, { url, body: {} });
    expect([second.status, second.body.error.code]).toEqual([409, 'CONFLICT']);
    failures[0]!();
    expect((await first).status).toBe(500);
    const third = call(busy, { url, body: {} });
    await expect.poll(() => failures.length).toBe(2);
    failures[1]!();
    expect((await third).status).toBe(500);
  });

  it('is refused by a server that is read-only, and to those who may only read', async () => {
    const readOnly = await serve({ readOnly: true });
    const refused = await call(readOnly, { url, body: {} });
    expect([refused.status, refused.body.error.code]).toEqual([409, 'SCANNERY_READ_ONLY']);
    const token = 'reader-token-0123456789';
    const guarded = await serve({ tokens: [{ name: 'reader', token }] });
    const headers = { authorization: `Bearer ${token}` };
    expect((await call(guarded, { url, body: {}, headers })).status).toBe(403);
    expect((await call(guarded, { url, headers })).status).toBe(404);
  });

  it('may take longer than a search, but not longer than its caller waits', async () => {
    const until = (signal: AbortSignal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const endless = withMethods(index, { tune: ({ signal }: { signal: AbortSignal }) => until(signal) });
    const hasty = await serve({ limits: { requestTimeoutMs: 20 } }, endless);
    const { status, body } = await call(hasty, { url, body: {}, headers: { 'x-request-timeout': '200ms' } });
    expect([status, body.error.message]).toEqual([504, expect.stringContaining('200 ms')]);
  });

  it('of an index that keeps no vectors is not possible', async () => {
    const codes = await Index.build(clustered(500, 8, 4), {
      ...{ dimensions: 8, threads: 1, tree: { numLeaves: 4 }, hashing: {}, reordering: false },
    });
    const { status, body } = await call(await serve({}, codes), { url, body: {} });
    expect([status, body.error.code]).toEqual([422, 'SCANNERY_NOT_SUPPORTED']);
  });
});
