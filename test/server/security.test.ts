import { describe, expect, it } from 'vitest';
import { createServer, hashToken, type ServerOptions } from '../../src/server/index.ts';
import { failureOf } from '../support/failures.ts';
import { call, serve, smallIndex } from '../support/server.ts';

const READ = 'reader-token-0123456789';
const WRITE = 'writer-token-0123456789';
const BOTH = 'both-token-0123456789-abc';
const tokens = [
  { name: 'reader', token: READ },
  { name: 'writer', hash: hashToken(WRITE), scopes: ['write'] },
  { name: 'both', hash: hashToken(BOTH).toUpperCase(), scopes: ['read', 'write'] },
] as const;
const bearing = (token: string) => ({ authorization: `Bearer ${token}` });

describe('with tokens', async () => {
  const server = await serve({ tokens });
  const reads = [
    { url: '/v1/search', body: { vector: [1, 2, 3, 4] } },
    { url: '/v1/search/batch', body: { vectors: [[1, 2, 3, 4]] } },
    ...['/v1/vectors/a', '/v1/stats', '/metrics', '/openapi.json', '/docs', '/docs/json'].map((url) => ({ url })),
    { url: '/v1/stats', method: 'HEAD' },
  ];
  const writes = [
    { url: '/v1/vectors', body: { ids: ['x'], vectors: [[1, 2, 3, 4]] } },
    { url: '/v1/vectors/delete', body: { ids: ['nobody'] } },
    { url: '/v1/vectors/x', method: 'DELETE' },
  ];

  it.each([...reads, ...writes])('nobody gets $url without one', async (request) => {
    const wrong = [
      {},
      bearing('unknown-token-0123456789'),
      bearing(''),
      { authorization: `Basic ${READ}` },
      bearing(READ.slice(0, -1)),
    ];
    for (const headers of wrong) {
      const { status, headers: given } = await call(server, { ...request, headers });
      expect([status, given['www-authenticate']]).toEqual([401, 'Bearer realm="scannery"']);
    }
  });

  it('each scope is for its own routes', async () => {
    for (const [token, mine, others] of [
      [READ, reads, writes],
      [WRITE, writes, reads],
    ] as const) {
      for (const request of mine) {
        expect([200, 404], request.url).toContain((await call(server, { ...request, headers: bearing(token) })).status);
      }
      for (const request of others) {
        const { status, headers } = await call(server, { ...request, headers: bearing(token) });
        expect(status, request.url).toBe(403);
        expect(headers['www-authenticate']).toContain('insufficient_scope');
      }
    }
    for (const request of [...reads, ...writes]) {
      const { status } = await call(server, { ...request, headers: { authorization: `bearer ${BOTH}` } });
      expect([200, 404]).toContain(status);
    }
  });

  it('/healthz and /readyz are open', async () => {
    for (const url of ['/healthz', '/readyz']) expect((await call(server, { url })).status).toBe(200);
  });

  it('bodies of strangers are not read', async () => {
    const { status } = await call(server, { url: '/v1/search', body: '{no JSON' });
    expect(status).toBe(401);
  });

  it('names of other machines are answered to', async () => {
    const headers = { host: 'search.example.com', ...bearing(READ) };
    expect((await call(server, { url: '/v1/stats', headers })).status).toBe(200);
  });
});

describe('without tokens', async () => {
  const server = await serve();

  it.each(['localhost', 'localhost:8080', '127.0.0.1:1', '[::1]:80', 'LOCALHOST'])(
    '%s is this machine',
    async (host) => {
      expect((await call(server, { url: '/v1/stats', headers: { host } })).status).toBe(200);
    },
  );

  it.each(['example.com', 'localhost.example.com', '127.0.0.1.example.com', '10.0.0.1'])(
    '%s is another',
    async (host) => {
      const { status, body } = await call(server, { url: '/v1/stats', headers: { host } });
      expect([status, body.error.code]).toEqual([421, 'MISDIRECTED']);
    },
  );
});

describe('options', () => {
  const refusal = async (options: ServerOptions) => failureOf(createServer(await smallIndexOnce, options));
  const smallIndexOnce = smallIndex();

  it.each(['0.0.0.0', '::', '10.1.2.3', 'example.com'])('host %s needs tokens', async (host) => {
    const { code, option, message } = await refusal({ host });
    expect([code, option]).toEqual(['SCANNERY_INVALID_OPTION', 'tokens']);
    expect(message).toContain(host);
  });

  it.each<[string, ServerOptions]>([
    ['port', { port: 65_536 }],
    ['host', { host: '' }],
    ['limits.maxBatch', { limits: { maxInFlight: 10, maxBatch: 11 } }],
    ['limits.rate.max', { limits: { rate: {} as never } }],
    ['limits.maxk', { limits: { maxk: 1 } as never }],
    ['tokens', { tokens: [] }],
    ['tokens', { tokens: [tokens[0], tokens[0]] }],
    ['tokens[0]', { tokens: [{ name: 'x' }] }],
    ['tokens[0]', { tokens: [{ name: 'x', token: READ, hash: hashToken(READ) }] }],
    ['tokens[0].token', { tokens: [{ name: 'x', token: 'short' }] }],
    ['tokens[0].hash', { tokens: [{ name: 'x', hash: 'abc' }] }],
    ['tokens[0].name', { tokens: [{ token: READ } as never] }],
    ['tokens[0].scopes[0]', { tokens: [{ name: 'x', token: READ, scopes: ['admin' as never] }] }],
    ['https.cert', { https: { key: 'x' } as never }],
    ['recallSampling', { recallSampling: 2 }],
    ['logger', { logger: 'yes' as never }],
    ['trustProxy', { trustProxy: {} as never }],
    ['models', { models: 1 } as never],
  ])('%s is checked', async (option, options) => {
    const error = await refusal(options);
    expect([error.code, error.option]).toEqual(['SCANNERY_INVALID_OPTION', option]);
    expect(error.message).not.toContain('short');
  });
});

it('requests beyond the rate are refused, by token and by address', async () => {
  const server = await serve({ tokens, limits: { rate: { max: 2, windowMs: 60_000 } } });
  const statuses = async (headers: Record<string, string>) => {
    const all = [];
    for (let i = 0; i < 3; i++) all.push((await call(server, { url: '/v1/vectors/a', headers })).status);
    return all;
  };
  expect(await statuses(bearing(READ))).toEqual([200, 200, 429]);
  expect(await statuses(bearing(BOTH))).toEqual([200, 200, 429]);
  // Who has no token guesses no faster.
  expect(await statuses(bearing('unknown-token-0123456789'))).toEqual([401, 401, 429]);
  const { headers, body } = await call(server, { url: '/v1/vectors/a', headers: bearing(READ) });
  expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
  expect(body.error.code).toBe('RATE_LIMITED');
  for (let i = 0; i < 5; i++) expect((await call(server, { url: '/healthz' })).status).toBe(200);
});

describe('headers', async () => {
  const server = await serve();

  it('of pages keep browsers from what the pages do not need', async () => {
    for (const url of ['/docs', '/docs/static/index.html', '/metrics']) {
      const { headers } = await call(server, { url });
      expect(headers['content-security-policy']).toContain("default-src 'self'");
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['strict-transport-security']).toBeUndefined();
    }
  });

  it('of data say that it is data, and let no other origin read it', async () => {
    const { headers } = await call(server, { url: '/v1/vectors/a', headers: { origin: 'http://example.com' } });
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  it('take over the id of a request if it is short and printable', async () => {
    for (const [given, echoed] of [
      ['abc-123', 'abc-123'],
      ['x'.repeat(65), undefined],
      ['a b', undefined],
      ['"; drop', undefined],
    ] as const) {
      const { headers } = await call(server, { url: '/healthz', headers: { 'x-request-id': given } });
      expect(headers['x-request-id']).toBe(echoed);
    }
  });
});

it('the page of the API has no scripts of its own, which the policy would refuse', async () => {
  const server = await serve();
  const { body, status } = await call(server, { url: '/docs/' });
  expect(status).toBe(200);
  expect(body).toContain('swagger-initializer.js');
  expect(body.match(/<script(?![^>]* src=)/g)).toBeNull();
  expect(body).not.toMatch(/<style|\son\w+=/);
  expect((await call(server, { url: '/docs/static/swagger-ui-bundle.js' })).status).toBe(200);
});
