import { afterEach, describe, expect, it, vi } from 'vitest';
import { MAX_THREADS, START_FAILED, STARTED, WORKER_THREADS } from '../../src/protocol/control-layout.ts';
import { decodeError, ScanneryError } from '../../src/protocol/errors.ts';
import { CURSOR_DONE, type FillTask, type StagedSegment } from '../../src/protocol/messages.ts';
import { createMemory } from '../../src/shard/arena.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { Server } from '../../src/shard/serve.ts';
import run from '../../src/shard/worker.ts';
import { InProcessIndex, newCursor } from '../support/in-process.ts';
import { planFor } from '../support/shard-plans.ts';
import { CONFIGS, clustered } from '../support/vectors.ts';

// The main thread has id 0, which stands for "not serving".
vi.mock('node:worker_threads', async (original) => ({ ...(await original<object>()), threadId: 77 }));

afterEach(() => {
  vi.restoreAllMocks();
});

const fillTask = (more: Partial<FillTask> = {}): FillTask => ({
  ...{ kind: 'fill', kernels: loadKernels(), cursor: newCursor(), chunks: 1, segments: [] },
  ...{ plan: planFor([0], 1), shards: [createMemory(4096)], stale: [0], inPlace: false, ...more },
});

describe('the entry of a worker', () => {
  it('replies what a build phase yields', async () => {
    const task = fillTask();
    const yielded = { biasMinimum: Number.POSITIVE_INFINITY, biasMaximum: Number.NEGATIVE_INFINITY };
    expect(await run(task)).toEqual({ ok: yielded });
    expect(task.cursor[CURSOR_DONE]).toBe(1);
  });

  it('replies errors of this package with their code', async () => {
    const failing = {
      get memory(): WebAssembly.Memory {
        throw new ScanneryError('SCANNERY_OUT_OF_MEMORY', 'no room', { row: 3 });
      },
    } as StagedSegment;
    const reply = structuredClone(await run(fillTask({ segments: [failing] })));
    expect(reply).toEqual({ error: { code: 'SCANNERY_OUT_OF_MEMORY', message: 'no room', row: 3 } });
    if (!('error' in reply)) throw new Error('expected an error');
    expect(decodeError(reply.error)).toBeInstanceOf(ScanneryError);
  });

  it('replies any other error as a failure of the worker', async () => {
    const task = fillTask({ shards: [] });
    expect(await run(task)).toMatchObject({ error: { code: 'SCANNERY_WORKER_FAILED' } });
    expect(task.cursor[CURSOR_DONE]).toBe(0);
  });
});

describe('a serve task', () => {
  const data = clustered(60, 4);
  const build = (threads: number): Promise<InProcessIndex> =>
    InProcessIndex.build(data, { ...CONFIGS['tree only'], dimensions: 4, shards: 1 }, { threads });
  const threadsOf = ({ words }: InProcessIndex): number[] => [
    ...words.subarray(WORKER_THREADS, WORKER_THREADS + MAX_THREADS),
  ];
  /** Keeps the endless loop from starting; counts the loops that would have. */
  const watchLoop = () => vi.spyOn(Server.prototype, 'run').mockImplementation((() => {}) as () => never);
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('ends at once when another thread failed to start', async () => {
    const loop = watchLoop();
    const index = await build(2);
    index.words[STARTED] = START_FAILED;
    expect(await run(index.serveTask())).toEqual({ ok: null });
    await turn();
    expect(loop).not.toHaveBeenCalled();
    expect(threadsOf(index)).toEqual(new Array(MAX_THREADS).fill(0));
    expect(index.words[STARTED]).toBeLessThan(0);
  });

  it('ends when another thread fails to start while it waits', async () => {
    const loop = watchLoop();
    const index = await build(2);
    const reply = run(index.serveTask());
    expect(index.words[STARTED]).toBe(1);
    index.words[STARTED] = START_FAILED;
    expect(await reply).toEqual({ ok: null });
    await turn();
    expect(loop).not.toHaveBeenCalled();
    expect(threadsOf(index)).toEqual(new Array(MAX_THREADS).fill(0));
  });

  it('waits until all have started; then it replies, and its thread enters the loop', async () => {
    const loop = watchLoop();
    const index = await build(2);
    let replied = false;
    const first = run(index.serveTask(0)).finally(() => {
      replied = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(replied).toBe(false);
    expect(threadsOf(index)[0]).toBe(0);
    expect(await Promise.all([first, run(index.serveTask(1))])).toEqual([{ ok: null }, { ok: null }]);
    await turn();
    expect(loop).toHaveBeenCalledTimes(2);
    expect(threadsOf(index).slice(0, 3)).toEqual([77, 77, 0]);
  });

  it('replies an error when its memory cannot be served', async () => {
    const loop = watchLoop();
    const index = await build(1);
    expect(await run({ ...index.serveTask(), shards: [] })).toMatchObject({
      error: { code: 'SCANNERY_WORKER_FAILED' },
    });
    expect(index.words[STARTED]).toBe(0);
    expect(loop).not.toHaveBeenCalled();
  });
});
