import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Index, ScanneryError } from '../../src/index.ts';
import { pack } from '../../src/protocol/packing.ts';
import { HTTP_ERROR_CODES, type ScanneryServer } from '../../src/server/index.ts';
import { root } from '../support/installed-package.ts';
import { call, serve, smallIndex, withMethods } from '../support/server.ts';

let server: ScanneryServer;
beforeAll(async () => {
  server = await serve({ limits: { bodyBytes: 200_000, maxK: 50, maxBatch: 3, maxResults: 60 } });
});

const vector = [1, 2, 3, 4];
const search = (body: unknown, headers = {}) => call(server, { url: '/v1/search', body, headers });
const nested = (n: number): string => `{"vector":[1,2,3,4],"filter":${'{"not":'.repeat(n)}{}${'}'.repeat(n)}}`;

describe('a bad search in JSON', () => {
  it.each<[string, unknown, string, string | undefined]>([
    ['text for k', { vector, k: '5' }, 'SCANNERY_INVALID_OPTION', 'k'],
    ['a k of 0', { vector, k: 0 }, 'SCANNERY_INVALID_OPTION', 'k'],
    ['a k above the limit', { vector, k: 51 }, 'SCANNERY_INVALID_OPTION', 'k'],
    ['a fraction for k', { vector, k: 1.5 }, 'SCANNERY_INVALID_OPTION', 'k'],
    ['null for k', { vector, k: null }, 'SCANNERY_INVALID_OPTION', 'k'],
    [
      'candidates above the limit',
      { vector, numReorderingCandidates: 1e9 },
      'SCANNERY_INVALID_OPTION',
      'numReorderingCandidates',
    ],
    ['an unknown property', { vector, nummLeaves: 3 }, 'SCANNERY_INVALID_OPTION', 'nummLeaves'],
    ['an unknown part of a filter', { vector, filter: { allows: {} } }, 'SCANNERY_INVALID_OPTION', 'filter.allows'],
    [
      'a filter by a value of another kind',
      { vector, filter: { allow: { price: ['x'] } } },
      'SCANNERY_INVALID_OPTION',
      'filter.allow.price[0]',
    ],
    ['neither vector nor id', { k: 3 }, 'SCANNERY_INVALID_OPTION', 'vector'],
    ['both vector and id', { vector, id: 'a' }, 'SCANNERY_INVALID_OPTION', 'vector'],
    ['a short vector', { vector: [1, 2] }, 'SCANNERY_INVALID_VECTOR', 'vector'],
    ['text in a vector', { vector: [1, 2, '3', 4] }, 'SCANNERY_INVALID_VECTOR', 'vector.2'],
    ['too large a number', '{"vector":[1,2,1e999,4]}', 'SCANNERY_INVALID_VECTOR', 'vector.2'],
    ['a lone surrogate', '{"vector":[1,2,3,4],"excludeIds":["\\ud800"]}', 'SCANNERY_INVALID_ID', undefined],
    ['crowding without attribute', { vector, crowding: { max: 1 } }, 'SCANNERY_INVALID_OPTION', 'crowding.attribute'],
    ['a filter of 33 filters', nested(33), 'SCANNERY_INVALID_OPTION', undefined],
    ['a filter of 20,000 filters', nested(20_000), 'SCANNERY_INVALID_OPTION', 'filter'],
    ['no object', '[]', 'BAD_REQUEST', undefined],
    ['null', 'null', 'BAD_REQUEST', undefined],
    ['no JSON', '{"vector":', 'BAD_REQUEST', undefined],
    ['nothing', '', 'BAD_REQUEST', undefined],
    ['a prototype', '{"vector":[1,2,3,4],"__proto__":{"k":1}}', 'BAD_REQUEST', undefined],
    ['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'BAD_REQUEST', undefined],
  ])('with %s is refused, and the error names it', async (_, body, code, option) => {
    const answer = await search(body);
    expect([answer.status, answer.body.error.code]).toEqual([400, code]);
    if (option !== undefined) expect(answer.body.error.option).toBe(option);
  });

  it('has the value and the row where there are any', async () => {
    expect((await search({ vector, k: '5' })).body.error).toMatchObject({
      value: '5',
      message: expect.stringContaining("'5'"),
    });
    const batch = await call(server, { url: '/v1/search/batch', body: { vectors: [vector, [1, 2, 3]] } });
    expect(batch.body.error).toMatchObject({ row: 1, code: 'SCANNERY_INVALID_VECTOR' });
  });

  it('of an empty request is refused', async () => {
    const { status } = await call(server, { url: '/v1/search', method: 'POST' });
    expect(status).toBe(400);
  });

  it.each([0, 4])('of a batch of %i is refused', async (count) => {
    const { status } = await call(server, { url: '/v1/search/batch', body: { vectors: Array(count).fill(vector) } });
    expect(status).toBe(400);
  });

  it('of more results than are allowed is refused', async () => {
    const vectors = [vector, vector, vector];
    expect((await call(server, { url: '/v1/search/batch', body: { vectors, k: 20 } })).status).toBe(200);
    const { status, body } = await call(server, { url: '/v1/search/batch', body: { vectors, k: 21 } });
    expect([status, body.error.option]).toEqual([400, 'k']);
  });
});

describe('a bad search in MessagePack', () => {
  const headers = { 'content-type': 'application/msgpack' };
  it.each<[string, Uint8Array]>([
    ['nothing', Buffer.from([])],
    ['half a message', pack({ vector }).subarray(0, 9)],
    ['something behind it', Buffer.concat([pack({ vector }), Buffer.from([0])])],
    ['a list that claims a billion entries', Buffer.from([0xdd, 0x3b, 0x9a, 0xca, 0x00])],
    ['lists in lists', Buffer.alloc(100_000, 0x91)],
    ['an extension', Buffer.from([0x81, 0xa1, 0x6b, 0xd4, 0x01, 0x00])],
    ['a record of msgpackr', Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x6b, 0x05])],
    ['no UTF-8', Buffer.from([0x81, 0xa1, 0xff, 0x01])],
    ['a reserved byte', Buffer.from([0xc1])],
    ['a number', Buffer.from([5])],
    ['bin of 15 bytes', pack({ vector: Buffer.alloc(15) })],
    ['bin of too few numbers', pack({ vector: Buffer.alloc(12) })],
    ['NaN', pack({ vector: Buffer.from(Float32Array.of(1, 2, Number.NaN, 4).buffer) })],
    ['text as vector', pack({ vector: 'abcd' })],
    ['infinity in a filter', pack({ vector, filter: { allow: { price: [Number.POSITIVE_INFINITY] } } })],
    ['an unknown property', pack({ vector, nummLeaves: 3 })],
  ])('with %s is refused', async (_, body) => {
    const answer = await call(server, { url: '/v1/search', body, headers });
    expect(answer.status).toBe(400);
  });
});

describe('other requests', () => {
  it('of another type are refused with 415', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonx',
    ]) {
      const { status, body } = await search('{"vector":[1,2,3,4]}', { 'content-type': type });
      expect([status, body.error.code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    }
    expect((await search({ vector }, { 'content-type': 'Application/JSON; charset=utf-8' })).status).toBe(200);
  });

  it('that accept neither encoding are refused with 406', async () => {
    for (const accept of ['text/html', 'application/json;q=0', 'image/*, text/plain']) {
      const { status, body } = await search({ vector }, { accept });
      expect([status, body.error.code]).toEqual([406, 'NOT_ACCEPTABLE']);
    }
  });

  it('that are too large are refused with 413', async () => {
    const { status, body } = await search(`{"vector":[1,2,3,4],"k":${' '.repeat(200_000)}3}`);
    expect([status, body.error.code]).toEqual([413, 'BODY_TOO_LARGE']);
  });

  it.each([
    '/',
    '/v1',
    '/v1/search/',
    '/v1/nothing',
    '/etc/passwd',
    '/docs/static/../../package.json',
    '/..%2f..%2fetc/passwd',
  ])('of the path %s find nothing', async (url) => {
    const { status, body } = await call(server, { url });
    expect([status, body.error.code]).toEqual([404, 'NOT_FOUND']);
  });

  it('of a path that is no text are refused', async () => {
    for (const path of ['%ff', '%', '%c3%28']) {
      const { status, body } = await call(server, { url: `/v1/vectors/${path}` });
      expect([status, body.error.code]).toEqual([400, 'BAD_REQUEST']);
    }
  });

  it.each([
    ['GET', '/v1/search', 'POST'],
    ['PUT', '/v1/search', 'POST'],
    ['POST', '/v1/vectors/a', 'GET, HEAD, DELETE'],
    ['DELETE', '/healthz', 'GET, HEAD'],
    ['OPTIONS', '/v1/vectors', 'POST'],
  ])('%s %s is refused with the methods that there are', async (method, url, allow) => {
    const { status, headers, body } = await call(server, {
      method,
      url,
      ...(method === 'PUT' && { body: 'x', headers: { 'content-type': 'text/plain' } }),
    });
    expect([status, headers.allow, body.error.code]).toEqual([405, allow, 'METHOD_NOT_ALLOWED']);
  });

  it.each(['0', '-1', '1.5', 'soon', '1h', '9999999999'])('with the timeout %s are refused', async (timeout) => {
    const { status, body } = await search({ vector }, { 'x-request-timeout': timeout });
    expect([status, body.error.option]).toEqual([400, 'X-Request-Timeout']);
  });
});

describe('what fails inside', () => {
  const failing = async (error: unknown) => {
    const fail = async () => {
      throw error;
    };
    const own = withMethods(await smallIndex(), { search: fail, upsert: fail, get: fail });
    const failing = await serve({}, own);
    return call(failing, { url: '/v1/search', body: { vector, excludeIds: ['a'] } });
  };

  it.each([
    ['SCANNERY_NOT_SUPPORTED', 422],
    ['SCANNERY_CLOSED', 503],
    ['SCANNERY_OUT_OF_MEMORY', 507],
  ] as const)('%s is answered with %i', async (code, status) => {
    const answer = await failing(new ScanneryError(code, 'why'));
    expect([answer.status, answer.body.error]).toEqual([status, { code, message: 'why' }]);
    expect(answer.headers['retry-after']).toBe(status === 503 ? '1' : undefined);
  });

  it.each([new Error('secret'), new ScanneryError('SCANNERY_IO', 'secret', { path: '/secret' }), 'secret', undefined])(
    'is not told of where it is unexpected (%s)',
    async (error) => {
      const { status, body } = await failing(error);
      expect([status, body.error.code]).toEqual([500, 'INTERNAL']);
      expect(JSON.stringify(body)).not.toContain('secret');
    },
  );

  it('of a closed index is 503, and the server is not ready', async () => {
    const index = await smallIndex();
    const closed = await serve({}, index);
    expect((await call(closed, { url: '/readyz' })).status).toBe(200);
    await index.close();
    expect((await call(closed, { url: '/v1/search', body: { vector } })).status).toBe(503);
    expect((await call(closed, { url: '/readyz' })).status).toBe(503);
    expect((await call(closed, { url: '/healthz' })).status).toBe(200);
    expect((await call(closed, { url: '/metrics' })).status).toBe(200);
  });

  it('of an index without vectors is 422', async () => {
    const vectors = Array.from({ length: 40 }, (_, i) => [i, 1, 2, 3]);
    const index = await Index.build({ vectors }, { reordering: false, hashing: {}, threads: 1 });
    const codes = await serve({}, index);
    expect((await call(codes, { url: '/v1/search', body: { vector } })).status).toBe(200);
    for (const url of ['/v1/vectors/1?type=integer']) expect((await call(codes, { url })).status).toBe(422);
    expect((await call(codes, { url: '/v1/search', body: { id: 1 } })).status).toBe(422);
  });
});

it('a read-only server refuses writes', async () => {
  const reader = await serve({ readOnly: true });
  const writes = [
    { url: '/v1/vectors', body: { ids: ['x'], vectors: [vector] } },
    { url: '/v1/vectors/delete', body: { ids: ['a'] } },
    { url: '/v1/vectors/a', method: 'DELETE' },
  ];
  for (const write of writes) {
    const { status, body } = await call(reader, write);
    expect([status, body.error.code]).toEqual([409, 'SCANNERY_READ_ONLY']);
  }
  expect((await call(reader, { url: '/v1/vectors/a' })).status).toBe(200);
});

it('docs/serving.md lists the codes', () => {
  const text = readFileSync(join(root, 'docs/serving.md'), 'utf8');
  const listed = [...text.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map((match) => match[1]!);
  expect(listed.filter((code) => !code.startsWith('SCANNERY_')).sort()).toEqual(Object.keys(HTTP_ERROR_CODES).sort());
});
