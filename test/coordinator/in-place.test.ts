import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { IndexData } from '../../src/coordinator/build.ts';
import { chooseShards, oneMemoryBytes, SHARD_BYTES } from '../../src/coordinator/configure.ts';
import { type BuildOptions, Index, type SearchResult, type VectorChunk } from '../../src/index.ts';
import type { FillTask } from '../../src/protocol/messages.ts';
import { paddedDimensions } from '../../src/protocol/metrics.ts';
import { RESERVED_BYTES, SHARD_DATA_END } from '../../src/protocol/shard-layout.ts';
import { allocate, createMemory } from '../../src/shard/arena.ts';
import { runPhase } from '../../src/shard/build-phases.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { filesIn, fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { buildInline, InlineThreads, newCursor } from '../support/inline-build.ts';
import { bits, CONFIGS, clustered, type Data, rowAt, streamOf } from '../support/vectors.ts';

// A single shard with float32 vectors is built in the memory that its vectors were staged in.
const directory = temporaryDirectory();
const dimensions = 6;
const chunk = 2 ** 14;
const data = clustered(2 * chunk + 700, dimensions);
const queries = clustered(12, dimensions, 2).vectors;
const { tree, hashing } = CONFIGS['tree and hashing'];
const soar = { ...tree, soarLambda: 1.2 };

const first = (count: number): Data => ({ count, dimensions, vectors: data.vectors.subarray(0, count * dimensions) });

const WAYS: [name: string, options: BuildOptions][] = [
  ['exact', { ...CONFIGS.exact }],
  ['exact, squared_l2', { ...CONFIGS.exact, metric: 'squared_l2' }],
  ['hashing only', { ...CONFIGS['hashing only'] }],
  ['hashing only, squared_l2', { ...CONFIGS['hashing only'], metric: 'squared_l2' }],
  ['tree only', { ...CONFIGS['tree only'], metric: 'cosine' }],
  ['tree and hashing', { tree, hashing }],
  ['tree and hashing, squared_l2', { tree, hashing, metric: 'squared_l2' }],
  ['spilled', { tree: soar, hashing, metric: 'cosine' }],
  ['spilled, squared_l2', { tree: soar, hashing, metric: 'squared_l2' }],
  ['spilled, leaves only', { tree: soar, hashing: false }],
];

/** The data of a shard, as it is saved. */
function image(memory: WebAssembly.Memory): Buffer {
  const end = new Uint32Array(memory.buffer)[(RESERVED_BYTES + SHARD_DATA_END) >>> 2]!;
  return Buffer.from(new Uint8Array(memory.buffer).slice(RESERVED_BYTES, end));
}

async function build(options: BuildOptions, of = data, kernels = loadKernels()) {
  const threads = new InlineThreads();
  const built: IndexData = await buildInline(of, options, threads, kernels);
  return { ...built, fill: threads.tasks.find((task): task is FillTask => task.kind === 'fill')! };
}

async function answers(index: Index): Promise<unknown[]> {
  const found: SearchResult[] = [];
  for (const options of [
    { k: 5, numReorderingCandidates: 7, numLeavesToSearch: 3 },
    { k: 40, numReorderingCandidates: 90, numLeavesToSearch: 9 },
  ]) {
    found.push(...(await index.searchBatch(queries, options)));
    found.push(await index.search(rowAt({ dimensions, vectors: queries }, 3), options));
  }
  return found.map(bits);
}

describe.each(WAYS)('%s', (name, options) => {
  it('makes the very shard that copying makes, in the staging memory', async () => {
    const { shards, fill } = await build({ ...options, shards: 1 });
    expect(fill.inPlace).toBe(true);
    expect(shards).toEqual([fill.segments[0]!.memory]);
    const copy = createMemory(0);
    allocate(copy, image(shards[0]!).length);
    runPhase({ ...fill, shards: [copy], stale: [0], inPlace: false, cursor: newCursor() });
    expect(image(copy).equals(image(shards[0]!))).toBe(true);
    // What encoding needs beside the rows goes where the leaves then are, or is little.
    expect(shards[0]!.buffer.byteLength - image(shards[0]!).length).toBeLessThan(1 << 20);
  });

  it('answers and saves the same whatever the threads, and answers as two shards do', async () => {
    const two = await Index.build(data, { dimensions, ...options, shards: 2, threads: 1 });
    const expected = await answers(two);
    await two.close();
    const saved = [];
    for (const threads of [1, 2]) {
      const path = join(directory, `${name}-${threads}`);
      await using index = await Index.build(data, { dimensions, ...options, shards: 1, threads });
      expect(await answers(index), `${threads} threads`).toEqual(expected);
      await index.save(path);
      saved.push(fingerprint(path));
      await using opened = await Index.open(path, { threads: 1 });
      expect(await answers(opened)).toEqual(expected);
    }
    expect(saved[1]).toEqual(saved[0]);
  });
});

it.each([
  ['two shards', { shards: 2 }, data],
  ['bfloat16', { shards: 1, reordering: { vectors: 'bfloat16' } }, data],
  ['int8', { shards: 1, reordering: { vectors: 'int8' } }, data],
  ['codes only', { shards: 1, reordering: false }, data],
  ['a single chunk', { shards: 1 }, first(chunk)],
] as [string, BuildOptions, Data][])('copies for %s', async (_, options, of) => {
  const { fill, shards } = await build({ tree, hashing, ...options }, of);
  expect(fill.inPlace).toBe(false);
  for (const { memory } of fill.segments) expect(shards).not.toContain(memory);
});

it.each([chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1])('holds %i vectors', async (count) => {
  const found = [];
  for (const shards of [1, 2]) {
    await using index = await Index.build(first(count), { dimensions, tree: soar, hashing, shards, threads: 1 });
    const last = await index.search(rowAt(data, count - 1), { k: 3, numLeavesToSearch: 12 });
    found.push([...(await answers(index)), bits(last)]);
  }
  expect(found[0]).toEqual(found[1]);
});

it('takes a stream of odd chunks with ids, and vectors as arrays, into the same shard', async () => {
  const ids = Array.from({ length: data.count }, (_, row) => `id ${row * 7}`);
  const options = { tree, hashing, metric: 'cosine', threads: 1 } as const;
  const cuts = [0, 0, 1, 4097, chunk - 1, chunk, chunk + 1, 2 * chunk + 3, data.count];
  const chunks = cuts.slice(1).map((to, i): VectorChunk => {
    const vectors = data.vectors.subarray(cuts[i]! * dimensions, to * dimensions);
    const rows = Array.from({ length: to - cuts[i]! }, (_, row) => Array.from(rowAt({ dimensions, vectors }, row)));
    return { vectors: i % 2 === 0 ? vectors : rows, ids: ids.slice(cuts[i]!, to) };
  });
  const saved = [];
  for (const [name, input] of [
    ['whole', { vectors: data.vectors, ids }],
    ['stream', streamOf(chunks)],
  ] as const) {
    const path = join(directory, name);
    await using index = await Index.build(input, { dimensions, ...options });
    const [own] = (await index.search(rowAt(data, chunk + 2), { k: 1, exact: true })).ids;
    const row = Number(String(own).slice(3)) / 7;
    expect(rowAt(data, row)).toEqual(rowAt(data, chunk + 2));
    await index.save(path);
    saved.push(fingerprint(path));
  }
  expect(saved[1]).toEqual(saved[0]);
});

it('saves no more than the shard holds', async () => {
  const path = join(directory, 'size');
  await using index = await Index.build(data, { dimensions, tree, hashing, shards: 1, threads: 1 });
  await index.save(path);
  const shard = filesIn(path).find((name) => name.includes('shard-'))!;
  // Row number and vector, then a lane with its codes; leaves are padded to 32 lanes, and one chunk has room for all numbers.
  const least = data.count * (4 + 32 + 2 + 4);
  expect(statSync(join(path, shard)).size).toBeGreaterThan(least);
  expect(statSync(join(path, shard)).size).toBeLessThan(least + 4 * chunk + 12 * (31 * 6 + 64) + 8192);
});

it('is the same shard from the scalar kernels', async () => {
  const options = { tree: soar, hashing, metric: 'squared_l2', shards: 1 } as const;
  const [simd, scalar] = [await build(options), await build(options, data, loadKernels('scalar'))];
  expect(image(scalar.shards[0]!).equals(image(simd.shards[0]!))).toBe(true);
});

it.each([
  ...['ingest', 'train tree', 'train codebooks', 'encode'].map(
    (phase) => [`in the phase "${phase}"`, phase, 0] as const,
  ),
  ['before the shard is filled', 'encode', data.count],
] as const)('can be aborted %s', async (_, phase, least) => {
  const controller = new AbortController();
  const building = Index.build(data, {
    ...{ dimensions, tree, hashing, shards: 1, threads: 1, signal: controller.signal },
    onProgress: (progress) => {
      if (progress.phase === phase && progress.done >= least) controller.abort();
    },
  });
  expect(await failureOf(building)).toMatchObject({ code: 'SCANNERY_ABORTED' });
});

describe('vectors are staged in one memory', () => {
  it('as long as one shard is chosen by their size', () => {
    for (const d of [3, 100, 1536]) {
      const rows = Math.floor(oneMemoryBytes({}, 1) / (paddedDimensions(d) * 4));
      expect(chooseShards(rows, d, 1, undefined)).toBe(1);
      expect(chooseShards(rows + 1, d, 1, undefined)).toBe(2);
    }
  });

  it('whatever their size if one shard was asked for, and never if it cannot take them', () => {
    expect(oneMemoryBytes({ shards: 1 }, 4)).toBe(Number.POSITIVE_INFINITY);
    expect(oneMemoryBytes({ shards: 1, reordering: { vectors: 'float32' } }, 1)).toBe(Number.POSITIVE_INFINITY);
    for (const [options, threads] of [
      [{ tree: false, shards: 2 }, 1],
      [{ tree: false }, 2],
      [{ shards: 1, reordering: false }, 1],
      [{ reordering: { vectors: 'int8' } }, 1],
    ] as [BuildOptions, number][]) {
      expect(oneMemoryBytes(options, threads)).toBe(0);
    }
    expect(oneMemoryBytes({ shards: 8 }, 2)).toBe(SHARD_BYTES);
  });
});
