import { Validator } from '@seriousme/openapi-schema-validator';
import fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { ScanneryError } from '../../../src/index.ts';
import { modelRoutes } from '../../../src/server/models/routes.ts';
import type { ModelStore } from '../../../src/server/models/store.ts';
import { app, get, send } from '../../support/model-app.ts';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { tags: string[] }>>>>;
}

describe('state', () => {
  it('is that of TensorFlow Serving', async () => {
    // The answer in its documentation, https://www.tensorflow.org/tfx/serving/api_rest
    const documented = {
      model_version_status: [{ version: '123', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } }],
    };
    expect((await get('films')).json).toEqual(documented);
    expect((await get('films/versions/123')).json).toEqual(documented);
  });

  it.each([
    ['nobody', 'Could not find any versions of model nobody'],
    ['empty', 'Could not find any versions of model empty'],
    ['films/versions/2', 'Could not find version 2 of model films'],
  ])('of %s is not found', async (url, error) => {
    const { status, json } = await get(url);
    expect(json).toEqual({ error });
    expect(status).toBe(404);
  });
});

describe('metadata', () => {
  const extent = (size: number) => ({ size: String(size), name: '' });
  const tensor = (name: string, dtype: string, ...dim: number[]) => ({
    dtype,
    tensor_shape: { dim: dim.map(extent), unknown_rank: false },
    name,
  });

  it.each([
    ['films', '123', { input_1: tensor('serving_default_input_1:0', 'DT_STRING', -1) }, 'DT_STRING', 5],
    [
      'deep',
      '1',
      {
        user: tensor('serving_default_user:0', 'DT_STRING', -1),
        age: tensor('serving_default_age:0', 'DT_INT64', -1),
      },
      'DT_STRING',
      2,
    ],
    ['plain', '1', { input_1: tensor('serving_default_input_1:0', 'DT_FLOAT', -1, 2) }, 'DT_INT64', 3],
    ['opaque', '1', {}, 'DT_INT64', 3],
  ] as const)('of %s', async (name, version, inputs, identifiers, k) => {
    const { json } = await get(`${name}/metadata`);
    expect(json).toEqual({
      model_spec: { name, signature_name: '', version },
      metadata: {
        signature_def: {
          signature_def: {
            serving_default: {
              inputs,
              outputs: {
                output_1: tensor('StatefulPartitionedCall:0', 'DT_FLOAT', -1, k),
                output_2: tensor('StatefulPartitionedCall:1', identifiers, -1, k),
              },
              method_name: 'tensorflow/serving/predict',
            },
          },
        },
      },
    });
    expect((await get(`${name}/versions/${version}/metadata`)).json).toEqual(json);
  });

  it('of what is not there is not found', async () => {
    expect((await get('films/versions/9/metadata')).status).toBe(404);
    expect((await get('nobody/metadata')).status).toBe(404);
  });
});

it('versions beyond safe integers are refused', async () => {
  const { status, json } = await get('films/versions/99999999999999999999');
  expect([status, json]).toEqual([400, { error: 'Failed to convert version: 99999999999999999999 to numeric.' }]);
});

it('other paths are malformed, and other methods are, too', async () => {
  for (const url of ['/v1/models', '/v1/models/films/metadata/more', '/v1/models/films:predict']) {
    const { status, json } = await send({ method: 'GET', url });
    expect(json).toEqual({ error: `Malformed request: GET ${url}` });
    expect(status).toBe(400);
  }
});

it('the OpenAPI document is valid, and has every route but those of labels', async () => {
  const document = app.swagger() as unknown as Document;
  expect(await new Validator().validate(JSON.parse(JSON.stringify(document)))).toMatchObject({ valid: true });
  const { paths } = document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { tags }]) => `${method} ${path} ${tags}`),
  );
  expect(operations.sort()).toEqual([
    'get /v1/models/{name} models',
    'get /v1/models/{name}/metadata models',
    'get /v1/models/{name}/versions/{version} models',
    'get /v1/models/{name}/versions/{version}/metadata models',
    'post /v1/models/{name}/versions/{version}:predict models',
    'post /v1/models/{name}:predict models',
  ]);
});

it('failures that nobody foresaw tell nothing, and a closed store asks for patience', async () => {
  const other = fastify();
  const broken = {
    acquire: () => {
      throw new TypeError('secret');
    },
    status: () => {
      throw new ScanneryError('SCANNERY_CLOSED', 'the store is closed');
    },
  };
  await other.register(modelRoutes, { store: broken as unknown as ModelStore });
  const unforeseen = await other.inject({ method: 'GET', url: '/v1/models/films/metadata' });
  expect([unforeseen.statusCode, unforeseen.json()]).toEqual([500, { error: 'internal error' }]);
  const closed = await other.inject({ method: 'GET', url: '/v1/models/films' });
  expect([closed.statusCode, closed.headers['retry-after']]).toEqual([503, '1']);
  await other.close();
});
