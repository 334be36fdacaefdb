import { describe, expect, it } from 'vitest';
import type { IndexData } from '../../src/coordinator/build.ts';
import type { BuildOptions } from '../../src/index.ts';
import { type BuildTask, CURSOR_DONE, type EncodeTask } from '../../src/protocol/messages.ts';
import { RESERVED_BYTES, SHARD_COUNT, SHARD_DATA_END } from '../../src/protocol/shard-layout.ts';
import { runPhase } from '../../src/shard/build-phases.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import run from '../../src/shard/worker.ts';
import { buildInline, InlineThreads, newCursor } from '../support/inline-build.ts';
import { LiveIndex } from '../support/live-index.ts';
import { CONFIG_NAMES, CONFIGS, clustered } from '../support/vectors.ts';

const data = clustered(2500, 10);

/** All that a build has made: the model, and each shard's data. */
function image({ control, modelEnd, shards }: IndexData): Buffer[] {
  const ends = shards.map((memory) => new Uint32Array(memory.buffer)[(RESERVED_BYTES + SHARD_DATA_END) >>> 2]!);
  const part = (memory: WebAssembly.Memory, end: number): Buffer =>
    Buffer.from(new Uint8Array(memory.buffer).slice(RESERVED_BYTES, end));
  return [part(control, modelEnd), ...shards.map((memory, s) => part(memory, ends[s]!))];
}

describe.each(CONFIG_NAMES)('%s', (name) => {
  it.each<BuildOptions>([
    { metric: 'dot_product' },
    { metric: 'squared_l2', reordering: { vectors: 'int8' } },
    { metric: 'cosine', reordering: { vectors: 'bfloat16' } },
  ])('gives in this thread what worker threads give, with %o', async (rest) => {
    const options = { ...CONFIGS[name], ...rest, shards: 3 };
    const inline = image(await buildInline(data, options, new InlineThreads(), loadKernels(), 2 ** 30));
    await using index = await LiveIndex.build(data, options);
    expect(image(index.data).map((part, i) => part.equals(inline[i]!))).toEqual(new Array(inline.length).fill(true));
    expect(inline).toHaveLength(1 + (name.startsWith('tree') ? 1 : 3));
  });
});

it.each([1, 2, 5])('gives the same however many threads there are: %i', async (count) => {
  const options = { ...CONFIGS['tree and hashing'], shards: 2 };
  const one = image(await buildInline(data, options, new InlineThreads(1)));
  const many = image(await buildInline(data, options, new InlineThreads(count)));
  expect(many.map((part, i) => part.equals(one[i]!))).toEqual([true, true, true]);
});

it('the scalar kernels give the same index, and run every phase', async () => {
  const options = { ...CONFIGS['tree and hashing'], shards: 2, metric: 'squared_l2' } as const;
  const threads = new InlineThreads();
  const scalar = image(await buildInline(data, options, threads, loadKernels('scalar')));
  const simd = image(await buildInline(data, options, new InlineThreads(), loadKernels('simd')));
  expect(scalar.map((part, i) => part.equals(simd[i]!))).toEqual([true, true, true]);
  expect([...new Set(threads.tasks.map(({ kind }) => kind))]).toEqual([
    ...['assign', 'mean', 'residual', 'codebook', 'encode', 'fill'],
  ]);
  for (const { cursor, chunks } of threads.tasks) expect(cursor[CURSOR_DONE]).toBe(chunks);
});

it('a shard may have no vectors at all', async () => {
  const few = { count: 3, dimensions: 2, vectors: Float32Array.of(1, 1, 1, 1, 1, 1) };
  const { shards, rows } = await buildInline(few, { tree: { numLeaves: 3 }, hashing: {}, shards: 3 });
  expect(rows.sizes.toSorted()).toEqual([0, 0, 3]);
  const counts = shards.map((memory) => new Uint32Array(memory.buffer)[(RESERVED_BYTES + SHARD_COUNT) >>> 2]);
  expect(counts).toEqual(rows.sizes);
});

describe('a phase', () => {
  async function tasks(): Promise<BuildTask[]> {
    const threads = new InlineThreads();
    await buildInline(data, { ...CONFIGS['tree and hashing'], shards: 2, metric: 'squared_l2' }, threads);
    return threads.tasks;
  }

  it('takes no chunk once it is aborted', async () => {
    for (const task of await tasks()) {
      const cursor = newCursor(true);
      runPhase({ ...task, cursor } as BuildTask);
      expect(cursor[CURSOR_DONE]).toBe(0);
    }
  });

  it('takes no chunk when others have taken all', async () => {
    for (const task of await tasks()) {
      const before = task.cursor[CURSOR_DONE];
      runPhase(task);
      expect(task.cursor[CURSOR_DONE]).toBe(before);
    }
  });

  it('is what a worker does, which replies with what it found', async () => {
    const encode = (await tasks()).find((task): task is EncodeTask => task.kind === 'encode')!;
    const reply = await run({ ...encode, cursor: newCursor() });
    expect(reply).toEqual({ ok: { biasMinimum: expect.any(Number), biasMaximum: expect.any(Number) } });
    const { ok } = reply as { ok: { biasMinimum: number; biasMaximum: number } };
    expect(ok.biasMaximum).toBeGreaterThan(ok.biasMinimum);
  });

  it('that fails is an error in the reply, since a thread boundary would drop its code', async () => {
    const [assign] = await tasks();
    const reply = await run({ ...assign, cursor: newCursor(), memory: null } as never);
    expect(reply).toEqual({ error: { code: 'SCANNERY_WORKER_FAILED', message: expect.any(String) } });
  });
});
