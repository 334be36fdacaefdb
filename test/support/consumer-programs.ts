// What users' own projects do with the package: it is written there, compiled if need be, and run.

export const JAVASCRIPT = `
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { ERROR_CODES, Index, METRICS, ScanneryError } from 'scannery';
import { openHdf5, openVectors } from 'scannery/io';
import { createServer } from 'scannery/server';
import {
  Adagrad,
  BruteForce,
  Dataset,
  Embedding,
  FactorizedTopK,
  load,
  OnnxQueryModel,
  Retrieval,
  ScaNN,
  StringLookup,
  Tower,
  TwoTowerModel,
} from 'scannery/recommender';

const rows = 3000;
const dimensions = 16;
let state = 1;
const vectors = Float32Array.from({ length: rows * dimensions }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32 - 0.5;
});
const ids = Array.from({ length: rows }, (_, i) => 'row ' + i);
const query = vectors.subarray(0, dimensions);

const index = await Index.build(
  { vectors, ids },
  { dimensions, metric: 'cosine', threads: 2, tree: { numLeaves: 30 }, hashing: {} },
);
assert.equal(index.size, rows);
const found = await index.search(query, { k: 5 });
assert.equal(found.ids[0], 'row 0');
assert.deepEqual(await index.searchBatch(vectors.subarray(0, 8 * dimensions), { k: 5 }).then((all) => all[0]), found);
await index.save('saved');
await index.close();

const opened = await Index.open('saved', { threads: 1 });
assert.deepEqual(await opened.search(query, { k: 5 }), found);
await assert.rejects(opened.search([1]), (error) => {
  return error instanceof ScanneryError && error.code === 'SCANNERY_INVALID_VECTOR' && error.code in ERROR_CODES;
});
assert.ok(METRICS.includes(opened.metric));
const { kernels } = opened.stats();
await opened.close();
await assert.rejects(opened.search(query), { code: 'SCANNERY_CLOSED' });

// Vector files. h5wasm is an optional peer, which this project has not installed.
writeFileSync('vectors.fbin', Buffer.concat([Uint32Array.of(rows, dimensions), vectors].map((a) => Buffer.from(a.buffer))));
const file = await openVectors('vectors.fbin');
assert.deepEqual([file.rows, file.dimensions, file.element], [rows, dimensions, 'float32']);
assert.deepEqual(await file.read(), vectors);
const fromFile = await Index.build(file.chunks({ rowsPerChunk: 700 }), { dimensions, threads: 1 });
assert.equal(fromFile.size, rows);
await fromFile.close();
writeFileSync('vectors.hdf5', Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, ...new Uint8Array(88)));
await assert.rejects(openHdf5('vectors.hdf5'), (error) => {
  assert.match(error.message, /npm install h5wasm/);
  return error instanceof ScanneryError && error.code === 'SCANNERY_MISSING_PACKAGE';
});

// The server. Its packages are optional peers, which this project has not installed.
await assert.rejects(createServer(opened), (error) => {
  assert.match(error.message, /^npm install fastify @fastify\\/helmet /);
  return error instanceof ScanneryError && error.code === 'SCANNERY_MISSING_PACKAGE';
});

// The recommender. onnxruntime-node is an optional peer, which this project has not installed.
assert.equal(typeof OnnxQueryModel, 'function');
await assert.rejects(OnnxQueryModel.load('package.json'), (error) => {
  assert.match(error.message, /npm install onnxruntime-node/);
  return error instanceof ScanneryError && error.code === 'SCANNERY_MISSING_PACKAGE';
});

const words = Array.from({ length: 40 }, (_, i) => 'word ' + i);
const tower = () => new Tower([new StringLookup({ vocabulary: words }), new Embedding(41, 8)]);
const movies = Dataset.from(words).batch(16).map(async (batch) => [batch, await candidateTower.embed(batch)]);
const [queryTower, candidateTower] = [tower(), tower()];
const model = new TwoTowerModel({
  ...{ queryTower, candidateTower, queryFeatures: 'user', candidateFeatures: 'movie', candidateIds: 'movie', threads: 2 },
  task: new Retrieval({ metrics: new FactorizedTopK({ candidates: movies, ks: [1] }) }),
});
model.compile({ optimizer: new Adagrad({ learningRate: 0.5 }) });
const seen = Dataset.from(words.map((word) => ({ user: word, movie: word })));
await model.fit(seen.shuffle(40).batch(20), { epochs: 20 });
const metrics = await model.evaluate(seen.batch(20));
assert.ok(metrics['factorized_top_k/top_1_categorical_accuracy'] > 0.9, JSON.stringify(metrics));
for (const Layer of [BruteForce, ScaNN]) {
  const layer = await new Layer({ queryModel: queryTower, k: 3 }).indexFromDataset(movies);
  const answer = await layer.call(['word 7', 'nobody']);
  await layer.save(Layer.name);
  await layer.close();
  const loaded = await load(Layer.name, { threads: 1 });
  assert.deepEqual(await loaded.call(['word 7', 'nobody']), answer);
  await loaded.close();
}
await model.task.factorizedMetrics.close();
await model.close();

console.log(JSON.stringify({ node: process.versions.node, kernels }));
`;

export const TYPESCRIPT = `
import { writeFileSync } from 'node:fs';
import {
  type BuildOptions,
  type BuildProgress,
  ERROR_CODES,
  type ErrorCode,
  type HashingOptions,
  type Id,
  Index,
  type IndexConfig,
  type IndexStats,
  type KernelTier,
  METRICS,
  type Metric,
  type OpenOptions,
  type Query,
  type QueryBatch,
  type QueryCounters,
  type ReorderingOptions,
  ScanneryError,
  type SearchDefaults,
  type SearchOptions,
  type SearchResult,
  type TreeOptions,
  type VectorChunk,
  type VectorsInput,
} from 'scannery';
import {
  type ChunkOptions,
  type ElementName,
  type FileChunk,
  type IntegerMatrix,
  openFbin,
  openHdf5,
  openVectors,
  readIntegers,
  type VectorFile,
} from 'scannery/io';
import {
  Adam,
  BatchTopKAccuracy,
  BruteForce,
  Dataset,
  Dense,
  Embedding,
  type FeatureColumn,
  type Features,
  type History,
  load as loadLayer,
  type Logs,
  OnnxQueryModel,
  type OnnxQueryModelOptions,
  type QueryModel,
  Retrieval,
  type ScaNN,
  StringLookup,
  type TopKResult,
  Tower,
  type TrainingProgress,
  TwoTowerModel,
  type TwoTowerModelOptions,
} from 'scannery/recommender';

const dimensions = 8;
const metric: Metric = METRICS[2];
const tree: TreeOptions = { numLeaves: 20, seeding: 'kmeans++' };
const hashing: HashingOptions = { dimensionsPerBlock: 2 };
const reordering: ReorderingOptions = { vectors: 'bfloat16' };
const defaults: SearchDefaults = { k: 3 };
const phases = new Set<BuildProgress['phase']>();
const options: BuildOptions = {
  ...{ dimensions, metric, threads: 2, tree, hashing, reordering, defaults },
  onProgress: ({ phase, done, total }: BuildProgress) => {
    if (total === undefined || done <= total) phases.add(phase);
  },
};

async function* chunks(): AsyncGenerator<VectorChunk> {
  for (let chunk = 0; chunk < 4; chunk++) {
    const vectors: VectorsInput = Float32Array.from({ length: 500 * dimensions }, (_, i) => Math.sin(i * (chunk + 1)));
    const ids: readonly bigint[] = Array.from({ length: 500 }, (_, i) => BigInt(chunk * 500 + i));
    yield { vectors, ids };
  }
}

const index: Index = await Index.build(chunks(), options);
const query: Query = Array.from({ length: dimensions }, (_, i) => Math.sin(i));
const searching: SearchOptions = { exact: true, signal: new AbortController().signal };
const found: SearchResult = await index.search(query, searching);
const ids: Id[] = found.ids;
const scores: Float32Array = found.scores;
if (ids[0] !== 0n || ids.length !== 3 || scores.length !== 3) throw new Error('the wrong vectors were found');
const batch: QueryBatch = [query, Float32Array.from(query)];
if ((await index.searchBatch(batch)).length !== 2) throw new Error('answers are missing');
await index.save('saved');
await index.close();

const opening: OpenOptions = { threads: 1, verifyChecksums: true };
const opened = await Index.open('saved', opening);
const stats: IndexStats = opened.stats();
const config: IndexConfig = stats.config;
const counters: QueryCounters = stats.queries;
const kernels: KernelTier = stats.kernels;
if (config.tree === false || config.tree.numLeaves !== 20 || counters.completed !== 0) throw new Error('wrong stats');
try {
  await opened.search([Number.NaN]);
  throw new Error('a bad query was accepted');
} catch (error) {
  if (!(error instanceof ScanneryError)) throw error;
  const code: ErrorCode = error.code;
  const meaning: string = ERROR_CODES[code];
  if (code !== 'SCANNERY_INVALID_VECTOR' || meaning === '') throw error;
}
await opened.close();
if (!phases.has('ingest')) throw new Error('no progress was reported');

// Vector files.
writeFileSync('few.fbin', new Uint8Array(Uint32Array.of(2, 3, ...new Uint32Array(6)).buffer));
const file: VectorFile = await openVectors('few.fbin');
const element: ElementName = file.element;
const chunking: ChunkOptions = { rowsPerChunk: 1, ids: 'row' };
const read: FileChunk[] = [];
for await (const chunk of file.chunks(chunking)) read.push(chunk);
if (element !== 'float32' || read.length !== 2 || read[1]!.ids?.[0] !== 1) throw new Error('wrong vectors were read');
const fromFile: Index = await Index.build((await openFbin('few.fbin')).chunks(), { dimensions: file.dimensions });
if (fromFile.size !== 2) throw new Error('vectors of the file are missing');
await fromFile.close();
writeFileSync('neighbors.ibin', new Uint8Array(Uint32Array.of(1, 2, 7, 8).buffer));
const neighbors: IntegerMatrix = await readIntegers('neighbors.ibin');
if (neighbors.data[1] !== 8 || typeof openHdf5 !== 'function') throw new Error('wrong integers were read');

// The recommender.
const column: FeatureColumn = ['ada', 'bob'];
const features: Features = { user: column };
const model: QueryModel = { embed: async (batch) => new Float32Array(batch === features ? 2 * dimensions : 0) };
if ((await model.embed(features)).length !== 2 * dimensions) throw new Error('wrong embeddings');
const loading: OnnxQueryModelOptions = { inputs: { user: 'user_id' }, dimensions };
const load: (path: string, options?: OnnxQueryModelOptions) => Promise<QueryModel> = OnnxQueryModel.load;
if (typeof load !== 'function') throw new Error('there is no OnnxQueryModel');
try {
  await OnnxQueryModel.load('package.json', loading);
  throw new Error('a package that is not installed was found');
} catch (error) {
  if (!(error instanceof ScanneryError && error.code === 'SCANNERY_MISSING_PACKAGE')) throw error;
}
const vocabulary: string[] = ['ada', 'bob'];
const towers: Pick<TwoTowerModelOptions, 'queryTower' | 'candidateTower'> = {
  queryTower: new Tower({ user: [new StringLookup({ vocabulary }), new Embedding(3, 8)] }, [
    new Dense(8, { activation: 'relu' }),
    new Dense(4),
  ]),
  candidateTower: new Tower([new Embedding(2, 4)]),
};
const trained = new TwoTowerModel({
  ...towers,
  candidateFeatures: 'item',
  sampleWeight: (batch: Features) => Float32Array.from({ length: (batch as { user: string[] }).user.length }, () => 1),
  task: new Retrieval({ temperature: 0.5, batchMetrics: [new BatchTopKAccuracy({ k: 1 })] }),
  threads: 1,
});
trained.compile({ optimizer: new Adam({ learningRate: 0.01 }) });
const progress: TrainingProgress[] = [];
const history: History = await trained.fit(Dataset.from([{ user: 'ada', item: 0 }, { user: 'bob', item: 1 }]).batch(2), {
  epochs: 2,
  onProgress: (p) => progress.push(p),
  onEpochEnd: (epoch: number, logs: Logs) => epoch < 2 || logs.loss === undefined,
});
if (history.epoch.length !== 2 || progress.length !== 2) throw new Error('training was not reported');
const layer: BruteForce = await new BruteForce({ queryModel: trained.queryTower }).index(
  await trained.candidateTower.embed([0, 1]),
  ['first', 'second'],
);
const answer: TopKResult = await layer.call({ user: ['ada'] }, { k: 1 });
await layer.save('layer');
const restored: BruteForce | ScaNN = await loadLayer('layer', { threads: 1 });
if ((await restored.call({ user: ['ada'] }, 1))[1][0]![0] !== answer[1][0]![0]) throw new Error('another answer');
for (const open of [layer, restored, trained]) await open.close();

console.log(JSON.stringify({ node: process.versions.node, kernels }));
`;

/** For a project that has the packages of the server. */
export const SERVER = `
import assert from 'node:assert/strict';
import { Index } from 'scannery';
import { createServer, hashToken, stopOnSignals } from 'scannery/server';

const token = 'a-token-of-some-length';
const index = await Index.build({ vectors: [[1, 0], [0, 1]], ids: ['east', 'north'] }, { threads: 1 });
const server = await createServer(index, { port: 0, tokens: [{ name: 'me', hash: hashToken(token) }] });
const undo = stopOnSignals(server);
const url = await server.listen();
const ask = (path, init = {}) =>
  fetch(url + path, { ...init, headers: { authorization: 'Bearer ' + token, 'content-type': 'application/json' } });
const answer = await ask('/v1/search', { method: 'POST', body: '{"vector":[0,1],"k":1}' });
assert.deepEqual(await answer.json(), { ids: ['north'], scores: [1] });
assert.equal((await fetch(url + '/v1/stats')).status, 401);
assert.equal((await (await ask('/openapi.json')).json()).openapi, '3.1.0');
assert.match(await (await ask('/metrics')).text(), /^scannery_queries_total 1$/m);
assert.match(await (await ask('/docs')).text(), /swagger-ui/);
const { kernels } = index.stats();
undo();
await server.close();
await assert.rejects(fetch(url + '/healthz'));
await index.close();

console.log(JSON.stringify({ node: process.versions.node, kernels }));
`;
