import type { FastifyInstance, InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServer, hashToken, ModelStore, type ScanneryServer } from '../../../src/server/index.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';
import { saveVersion, USERS } from '../../support/model-versions.ts';
import { smallIndex } from '../../support/server-index.ts';

const TOKEN = 'reader-token-0123456789';
const films = temporaryDirectory();
let store: ModelStore;
let server: ScanneryServer;
let app: FastifyInstance;

beforeAll(async () => {
  await saveVersion(`${films}/3`, 3);
  store = await ModelStore.open({ films: { directory: films, pollMs: false } }, { threads: 1 });
  server = await createServer(null, {
    ...{ port: 0, models: store, limits: { maxBatch: 3 } },
    tokens: [
      { name: 'reader', hash: hashToken(TOKEN) },
      { name: 'writer', hash: hashToken('writer-token-0123456789'), scopes: ['write'] },
    ],
  });
  app = server.app;
});
afterAll(async () => {
  await server.close();
  await store.close();
});

const send = (options: InjectOptions, token = TOKEN) =>
  app.inject({ ...options, headers: { authorization: `Bearer ${token}`, ...options.headers } });
const predict = (body: object, token?: string, headers = {}) =>
  send({ method: 'POST', url: '/v1/models/films:predict', payload: body, headers }, token);

describe('a server of models alone', () => {
  it('answers predict, state and metadata', async () => {
    const answer = await predict({ instances: [USERS[0]] });
    expect(answer.statusCode).toBe(200);
    const titles: string[] = answer.json().predictions[0].output_2;
    expect(titles.length).toBe(5);
    expect(titles.filter((title) => !title.startsWith('v3/'))).toEqual([]);
    const status = await send({ url: '/v1/models/films' });
    expect(status.json().model_version_status).toMatchObject([{ version: '3', state: 'AVAILABLE' }]);
    const metadata = await send({ url: '/v1/models/films/versions/3/metadata' });
    expect(metadata.json().model_spec).toMatchObject({ name: 'films', version: '3' });
  });

  it('is ready, and has no routes of vectors', async () => {
    expect((await send({ url: '/readyz' })).statusCode).toBe(200);
    for (const url of ['/v1/search', '/v1/vectors', '/v1/stats', '/v1/frontier']) {
      expect((await send({ url, method: 'POST', payload: {} })).statusCode).toBe(404);
    }
    const { paths } = (await send({ url: '/openapi.json' })).json();
    expect(Object.keys(paths)).toContain('/v1/models/{name}:predict');
    expect(Object.keys(paths)).not.toContain('/v1/search');
  });

  it('wants a token of the scope', async () => {
    expect((await predict({ instances: ['42'] }, 'nobody-0123456789')).statusCode).toBe(401);
    expect((await predict({ instances: ['42'] }, 'writer-token-0123456789')).statusCode).toBe(403);
    expect((await app.inject({ url: '/v1/models/films' })).statusCode).toBe(401);
  });

  it('keeps to the limits and deadlines', async () => {
    const many = await predict({ instances: ['42', '42', '42', '42'] });
    expect([many.statusCode, many.json().error]).toEqual([400, expect.stringContaining('3')]);
    const odd = await predict({ instances: ['42'] }, TOKEN, { 'x-request-timeout': 'soon' });
    expect([odd.statusCode, odd.json().error]).toEqual([400, expect.stringContaining('X-Request-Timeout')]);
  });

  it.each([
    ['POST', '/v1/models/films', 'GET, HEAD'],
    ['GET', '/v1/models/films:predict', 'POST'],
    ['GET', '/v1/models/films/versions/3:predict', 'POST'],
    ['DELETE', '/v1/models/films/versions/3', 'GET, HEAD'],
  ] as const)('%s %s is refused with the methods that there are', async (method, url, allow) => {
    const { statusCode, headers } = await send({ method, url });
    expect([statusCode, headers.allow]).toEqual([405, allow]);
  });

  it('tells which versions serve', async () => {
    const { body } = await send({ url: '/metrics' });
    expect(body).toContain('scannery_model_version{model="films"} 3');
    expect(body).not.toContain('scannery_vectors ');
  });
});

it('an index and models are served side by side', async () => {
  await using index = await smallIndex();
  await using both = await createServer(index, { port: 0, models: store });
  const predicted = await both.app.inject({
    ...{ method: 'POST', url: '/v1/models/films:predict' },
    payload: { instances: ['42'] },
  });
  expect(predicted.statusCode).toBe(200);
  expect((await both.app.inject({ url: '/v1/stats' })).json().size).toBe(index.size);
});

it('a server of nothing is refused', async () => {
  expect(await failureOf(createServer(null))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'models' });
  const wrong = createServer(null, { models: {} as never });
  expect(await failureOf(wrong)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'models' });
});
