import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { call, serve, smallIndex, withMethods } from '../support/server.ts';
import { slowIndex, until } from '../support/slow-index.ts';

const one = { url: '/v1/search', body: { vector: [1, 2, 3, 4] } };
const filtered = { url: '/v1/search', body: { vector: [1, 2, 3, 4], excludeIds: ['a'] } };
const batchOf = (count: number) => ({ url: '/v1/search/batch', body: { vectors: Array(count).fill([1, 2, 3, 4]) } });

describe('when as many queries are in flight as are let in', () => {
  it('further ones are turned away, before their body is read, and later ones are let in again', async () => {
    const slow = await slowIndex();
    const server = await serve({ limits: { maxInFlight: 4, maxBatch: 4 } }, slow.index);
    const running = [call(server, batchOf(3)), call(server, one)];
    await until(() => slow.waiting.size === 2);
    for (const request of [one, filtered, batchOf(1), { url: '/v1/search', body: '{no JSON' }]) {
      const { status, headers, body } = await call(server, request);
      expect([status, body.error.code]).toEqual([503, 'OVERLOADED']);
      expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
    }
    // What is no query is not concerned.
    expect((await call(server, { url: '/v1/vectors/a' })).status).toBe(200);
    slow.letGo();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    const again = call(server, batchOf(4));
    await until(() => slow.waiting.size === 1);
    slow.letGo();
    expect((await again).status).toBe(200);
  });

  it('connections get the same answer, and can be used again', async () => {
    const slow = await slowIndex();
    const server = await serve({ limits: { maxInFlight: 1 } }, slow.index);
    const url = await server.listen();
    const post = (path: string, body: unknown) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const running = post(one.url, one.body);
    await until(() => slow.waiting.size === 1);
    const injected = await call(server, one);
    for (const request of [one, filtered, batchOf(1)]) {
      const refused = await post(request.url, request.body);
      expect([refused.status, Number(refused.headers.get('retry-after'))]).toEqual([503, 1]);
      expect(await refused.json()).toEqual(injected.body);
    }
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^scannery_http_queries_rejected_total 4$/m);
    expect((await post('/v1/vectors', { ids: ['x'], vectors: [[1, 2, 3, 4]] })).status).toBe(200);
    slow.letGo();
    expect((await running).status).toBe(200);
  });

  it('a batch counts as many as it has queries', async () => {
    const slow = await slowIndex();
    const server = await serve({ limits: { maxInFlight: 4, maxBatch: 4 } }, slow.index);
    const running = call(server, batchOf(3));
    await until(() => slow.waiting.size === 1);
    expect((await call(server, batchOf(2))).status).toBe(503);
    const fits = call(server, one);
    await until(() => slow.waiting.size === 2);
    slow.letGo();
    expect([(await running).status, (await fits).status]).toEqual([200, 200]);
  });

  it('requests that fail leave room as those that succeed', async () => {
    const server = await serve({ limits: { maxInFlight: 2 } });
    for (let i = 0; i < 10; i++) {
      const { status } = await call(server, { url: '/v1/search', body: { id: 'nobody' } });
      expect(status).toBe(404);
    }
    expect((await call(server, one)).status).toBe(200);
  });

  it('writes have a limit of their own', async () => {
    let go: (() => void) | undefined;
    const upsert = () =>
      new Promise((resolve) => {
        go = () => resolve({ inserted: 1, updated: 0 });
      });
    const server = await serve({ limits: { maxWritesInFlight: 1 } }, withMethods(await smallIndex(), { upsert }));
    const write = { url: '/v1/vectors', body: { ids: ['x'], vectors: [[1, 2, 3, 4]] } };
    const first = call(server, write);
    await until(() => go !== undefined);
    expect((await call(server, write)).status).toBe(503);
    expect((await call(server, one)).status).toBe(200);
    go!();
    expect((await first).status).toBe(200);
  });
});

describe('a deadline', () => {
  it.each([
    ['of one query', one, 1],
    ['of a filtered query', filtered, 1],
    ['of a batch', batchOf(3), 3],
  ] as const)('%s is answered with 504, and the work is cancelled', async (_, request, count) => {
    const slow = await slowIndex();
    const server = await serve({}, slow.index);
    for (const timeout of ['20', '20ms']) {
      const { status, body } = await call(server, { ...request, headers: { 'x-request-timeout': timeout } });
      expect([status, body.error.code]).toEqual([504, 'DEADLINE_EXCEEDED']);
      expect(body.error.message).toContain('20 ms');
    }
    expect([slow.waiting.size, slow.aborted()]).toEqual([0, 2 * count]);
  });

  it('is at most that of the server', async () => {
    const slow = await slowIndex();
    const server = await serve({ limits: { requestTimeoutMs: 30 } }, slow.index);
    const { body } = await call(server, { ...one, headers: { 'x-request-timeout': '60s' } });
    expect(body.error.message).toContain('30 ms');
  });

  it('of one among queries that are searched together leaves the others alone', async () => {
    const slow = await slowIndex();
    const server = await serve({}, slow.index);
    const patient = [call(server, one), call(server, one)];
    const hasty = call(server, { ...one, headers: { 'x-request-timeout': '20' } });
    expect((await hasty).status).toBe(504);
    expect(slow.aborted()).toBe(0);
    slow.letGo();
    expect((await Promise.all(patient)).map(({ status }) => status)).toEqual([200, 200]);
  });
});

it('a client that goes away cancels its work', async () => {
  const slow = await slowIndex();
  const server = await serve({}, slow.index);
  const { port } = new URL(await server.listen());
  for (const { url, body } of [one, filtered]) {
    const text = JSON.stringify(body);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(
      `POST ${url} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    );
    await until(() => slow.waiting.size === 1);
    socket.destroy();
    await until(() => slow.waiting.size === 0);
  }
  expect(slow.aborted()).toBe(2);
});

it('what is no HTTP is answered in the form of other errors', async () => {
  const server = await serve();
  const { port } = new URL(await server.listen());
  for (const [text, status] of [
    ['HELLO\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n', 400],
    ['GET /v1/stats HTTP/1.1\r\n\r\n', 400],
  ] as const) {
    const answer = await new Promise<string>((resolve) => {
      let received = '';
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
      socket.on('data', (data) => {
        received += data;
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(received));
    });
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (text.includes('Host') || text.startsWith('HELLO')) expect(answer).toContain('{"error":{"code":"BAD_REQUEST"');
  }
});
