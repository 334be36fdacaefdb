import { Validator } from '@seriousme/openapi-schema-validator';
import Schema from 'typebox/schema';
import { beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../src/index.ts';
import { HTTP_ERROR_CODES, type ScanneryServer } from '../../src/server/index.ts';
import { call, DIMENSIONS, serve } from '../support/server.ts';

let server: ScanneryServer;
// biome-ignore lint/suspicious/noExplicitAny: it is a JSON document
let document: any;

beforeAll(async () => {
  server = await serve({ limits: { maxK: 77 }, tokens: [{ name: 'x', token: 'reader-token-0123456789' }] });
  const headers = { authorization: 'Bearer reader-token-0123456789' };
  document = (await call(server, { url: '/openapi.json', headers })).body;
});

it('is a valid OpenAPI 3.1 document', async () => {
  const result = await new Validator().validate(structuredClone(document));
  expect(result.errors).toBeUndefined();
  expect(result.valid).toBe(true);
  expect(document.openapi).toMatch(/^3\.1\./);
});

it('has every route, and nothing else', () => {
  const operations = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(operations.sort()).toEqual([
    'DELETE /v1/vectors/{id}',
    'GET /healthz',
    'GET /metrics',
    'GET /openapi.json',
    'GET /readyz',
    'GET /v1/stats',
    'GET /v1/vectors/{id}',
    'POST /v1/search',
    'POST /v1/search/batch',
    'POST /v1/vectors',
    'POST /v1/vectors/delete',
  ]);
});

it('tells what this index and this server take', () => {
  const { schema } = document.paths['/v1/search'].post.requestBody.content['application/json'];
  expect(schema.properties.k.maximum).toBe(77);
  expect(schema.properties.vector).toMatchObject({ minItems: DIMENSIONS, maxItems: DIMENSIONS });
  expect(schema.additionalProperties).toBe(false);
  expect(document.components.schemas.Error.properties.error.properties.code.enum.sort()).toEqual(
    [...Object.keys(ERROR_CODES), ...Object.keys(HTTP_ERROR_CODES)].sort(),
  );
});

it('says of each route that it needs a token, but of two', () => {
  expect(document.security).toEqual([{ bearer: [] }]);
  for (const path of ['/healthz', '/readyz']) expect(document.paths[path].get.security).toEqual([]);
});

describe('the schemas of answers', () => {
  const fits = (schema: object, value: unknown): boolean =>
    Schema.Compile({ ...schema, components: document.components }).Check(value);

  it('tell answers from others', () => {
    const { schema } = document.paths['/v1/search'].post.responses[200].content['application/json'];
    expect(
      fits(schema, { ids: ['a', 5, { bigint: '5' }], scores: [1, 2, 3], attributes: [null, { a: ['x'] }, {}] }),
    ).toBe(true);
    for (const wrong of [
      { ids: ['a'] },
      { ids: [{ bigint: 5 }], scores: [1] },
      { ids: [1.5], scores: [1] },
      { ids: ['a'], scores: ['1'] },
    ]) {
      expect(fits(schema, wrong)).toBe(false);
    }
    expect(fits({ $ref: '#/components/schemas/Error' }, { error: { code: 'OTHER', message: 'x' } })).toBe(false);
  });
});
