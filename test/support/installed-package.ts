import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the consumers' programs print. */
export interface Outcome {
  /** Version of the Node that ran it. */
  node: string;
  /** Tier of the kernels. */
  kernels: string;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'scannery-package-'));
}

// npm tells what it runs where the project is, and test runners change how Node starts: neither concerns a consumer.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle|config_local_prefix)|NODE_OPTIONS$|NODE_ENV$|VITEST|SCANNERY_)/.test(name),
  ),
);

/** Runs a program; resolves to its standard output, and rejects with all its output if it fails. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, [...args], { cwd, env: environment, maxBuffer: 1 << 26 });
    return stdout;
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(`${message}\n${stdout ?? ''}${stderr ?? ''}`);
  }
}

/** Builds and packs the project; returns the path of the tarball. */
export async function pack(directory: string): Promise<string> {
  const into = join(directory, 'packed');
  mkdirSync(into);
  await run('npm', ['pack', '--pack-destination', into], root);
  return join(into, readdirSync(into)[0]!);
}

/** Makes an empty project and installs packages into it; returns its folder. */
export async function installInto(directory: string, name: string, packages: readonly string[]): Promise<string> {
  const project = join(directory, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }));
  await run('npm', ['install', '--prefix', project, '--no-audit', '--no-fund', ...packages], project);
  return project;
}

/** Installs the Node of a version, 22 or 24.1.0 for example; returns the path of its binary. */
export async function installNode(directory: string, version: string): Promise<string> {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const project = await installInto(directory, `node-${version}`, [`${name}@${version}`]);
  return join(project, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** Runs the JavaScript program in a project that has the package. */
export async function runJavaScript(project: string, node = process.execPath): Promise<Outcome> {
  writeFileSync(join(project, 'main.js'), JAVASCRIPT);
  return JSON.parse(await run(node, ['main.js'], project));
}

/** Compiles the TypeScript program as strictly as can be, in a project that has the package, and runs it. */
export async function runTypeScript(project: string, node = process.execPath): Promise<Outcome> {
  for (const name of ['@types/node', 'undici-types']) {
    cpSync(join(root, 'node_modules', name), join(project, 'node_modules', name), { recursive: true });
  }
  writeFileSync(join(project, 'main.ts'), TYPESCRIPT);
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], project);
  return JSON.parse(await run(node, ['main.js'], project));
}

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2022'],
  types: ['node'],
  module: 'nodenext',
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noUncheckedSideEffectImports: true,
};

const JAVASCRIPT = `
import assert from 'node:assert/strict';
import { ERROR_CODES, Index, METRICS, ScanneryError } from 'scannery';
import { OnnxQueryModel } from 'scannery/recommender';

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

// The recommender. onnxruntime-node is an optional peer, which this project has not installed.
assert.equal(typeof OnnxQueryModel, 'function');
await assert.rejects(OnnxQueryModel.load('package.json'), (error) => {
  assert.match(error.message, /npm install onnxruntime-node/);
  return error instanceof ScanneryError && error.code === 'SCANNERY_MISSING_PACKAGE';
});

console.log(JSON.stringify({ node: process.versions.node, kernels }));
`;

const TYPESCRIPT = `
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
  type FeatureColumn,
  type Features,
  OnnxQueryModel,
  type OnnxQueryModelOptions,
  type QueryModel,
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

console.log(JSON.stringify({ node: process.versions.node, kernels }));
`;
