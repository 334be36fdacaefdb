import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance, type InjectOptions } from 'fastify';
import { afterAll, beforeAll, expect } from 'vitest';
import { BruteForce, Embedding, type QueryModel, StringLookup, Tower } from '../../src/recommender/index.ts';
import { modelRoutes } from '../../src/server/models/routes.ts';
import { ModelStore } from '../../src/server/models/store.ts';
import { temporaryDirectory } from './directories.ts';
import { saveVersion } from './model-versions.ts';
import { Random } from './random.ts';

const embeddings = { size: 20, dimensions: 2 };
export const candidates = new Random(5).normals(embeddings.size, embeddings.dimensions);
/** A tower of two features. */
export const deep = new Tower({
  user: [new StringLookup({ vocabulary: ['42', 'zoë'] }), new Embedding(3, 8)],
  age: [new Embedding(100, 8)],
});
/** As a query model that ONNX runs: it cannot say what it takes. The embedding is the length of a text, and a number. */
const opaque: QueryModel = {
  embed: async (batch) => {
    const { text, n } = (Array.isArray(batch) ? { text: batch, n: [] } : batch) as { text: string[]; n: number[] };
    return Float32Array.from(text.flatMap((each, i) => [each.length, n[i] ?? 0]));
  },
};

export let app: FastifyInstance;
let store: ModelStore;
/** Directory of the model 'films', of which there is version 123. */
export let films: string;

beforeAll(async () => {
  films = temporaryDirectory();
  await saveVersion(`${films}/123`, 123);
  const models: Record<string, string | { directory: string; queryModel?: () => QueryModel }> = { films };
  const save = async (name: string, layer: BruteForce, vectors: Float32Array, ids?: (string | number | bigint)[]) => {
    models[name] = temporaryDirectory();
    await using open = await layer.index(vectors, ids);
    await open.save(models[name] as string);
  };
  const layer = (queryModel?: QueryModel) => new BruteForce({ queryModel, k: 3, dimensions: 2, threads: 1 });
  const wide = new BruteForce({ queryModel: deep, k: 2, threads: 1 });
  await save('deep', wide, new Random(6).normals(9, 16), [...'abcdefghi']);
  await save('plain', layer(), candidates);
  await save('big', layer(), Float32Array.of(1, 0, 0.25, 0), [2n ** 63n - 1n, 'a "b" \u2028']);
  await save('ü.x-y 1', layer(), candidates);
  await save('none', layer(), new Float32Array(0), []);
  await save('opaque', layer(opaque), candidates);
  models.opaque = { directory: models.opaque as string, queryModel: () => opaque };
  models.empty = temporaryDirectory();
  store = await ModelStore.open(models, { threads: 1 });
  app = fastify();
  await app.register(swagger, { openapi: { openapi: '3.1.0' } });
  await app.register(modelRoutes, {
    store,
    maxBatch: 4,
    maxResults: 16,
    run: async ({ headers }, _reply, queries, work) => {
      if (headers['x-full'] === undefined)
        return work(headers['x-late'] === undefined ? undefined : AbortSignal.abort());
      // As a server around the routes turns away what is too much.
      throw Object.assign(new Error(`${queries} are too many`), {
        status: 503,
        details: { headers: { 'retry-after': '7' } },
      });
    },
  });
  await app.ready();
});

afterAll(async () => {
  await app.close();
  await store.close();
});

export interface Answer {
  status: number;
  text: string;
  json: unknown;
  headers: Record<string, unknown>;
}

export async function send(options: InjectOptions): Promise<Answer> {
  const { statusCode: status, body: text, headers } = await app.inject(options);
  expect(headers['content-type']).toMatch(/^application\/json/);
  return { status, text, json: JSON.parse(text), headers };
}

export const get = (url: string): Promise<Answer> => send({ method: 'GET', url: `/v1/models/${url}` });
export const post = (url: string, body: unknown): Promise<Answer> =>
  send({ method: 'POST', url: `/v1/models/${url}`, payload: body as object });
export const predict = (name: string, body: unknown): Promise<Answer> => post(`${name}:predict`, body);
