import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildOptions, Index, type VectorChunk } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { LiveIndex } from '../support/live-index.ts';
import { bits, CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const data = clustered(3000, 16);
const options: BuildOptions = { dimensions: 16, ...CONFIGS['tree and hashing'], shards: 2, threads: 2 };
const directory = temporaryDirectory();
const saved = join(directory, 'saved');
const query = rowAt(data, 5);
const queries = Array.from({ length: 2000 }, (_, i) => rowAt(data, i));
const reason = new Error('enough');

/** Counts the threads that start, and that have ended, while `work` runs. */
async function threadsDuring(work: () => Promise<unknown>): Promise<{ started: number; ended: number }> {
  const count = { started: 0, ended: 0 };
  const watch = (worker: Worker): void => {
    count.started++;
    worker.once('exit', () => count.ended++);
  };
  process.on('worker', watch);
  try {
    await work();
  } finally {
    process.off('worker', watch);
  }
  return count;
}

describe('an AbortSignal', () => {
  let index: Index;
  beforeAll(async () => {
    index = await Index.build(data, options);
    await index.save(saved);
  });
  afterAll(() => index.close());

  const aborted = { code: 'SCANNERY_ABORTED', cause: reason };
  const CALLS: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    build: (signal) => Index.build(data, { ...options, signal }),
    open: (signal) => Index.open(saved, { signal }),
    search: (signal) => index.search(query, { signal }),
    searchBatch: (signal) => index.searchBatch(queries, { signal }),
    'exact searchBatch': (signal) => index.searchBatch(queries, { signal, exact: true }),
  };

  it.each(Object.keys(CALLS))('aborted before, fails %s', async (name) => {
    expect(await failureOf(CALLS[name]!(AbortSignal.abort(reason)))).toMatchObject(aborted);
  });

  it.each(Object.keys(CALLS))('aborted during, fails %s', async (name) => {
    const controller = new AbortController();
    const failure = failureOf(CALLS[name]!(controller.signal));
    controller.abort(reason);
    expect(await failure).toMatchObject(aborted);
  });

  it('that aborts a batch leaves the others alone', async () => {
    const right = (await index.searchBatch(queries)).map(bits);
    const controller = new AbortController();
    const failure = failureOf(index.searchBatch(queries, { signal: controller.signal, exact: true }));
    const other = index.searchBatch(queries);
    const alone = index.search(queries[9]!);
    controller.abort(reason);
    expect(await failure).toMatchObject(aborted);
    expect((await other).map(bits)).toEqual(right);
    expect(bits(await alone)).toEqual(right[9]);
    expect((await index.searchBatch(queries)).map(bits)).toEqual(right);
    await expect.poll(() => index.stats().queries).toMatchObject({ inFlight: 0, waitingCalls: 0 });
  });

  it('aborted after the call was answered, changes nothing', async () => {
    const controller = new AbortController();
    const result = await index.search(query, { signal: controller.signal });
    controller.abort(reason);
    expect(result.ids).toHaveLength(10);
    expect(await index.search(query)).toEqual(result);
  });

  it.each(['ingest', 'train tree', 'train codebooks', 'encode'])('stops a build in the phase "%s"', async (phase) => {
    const controller = new AbortController();
    const threads = await threadsDuring(async () => {
      const building = Index.build([data, data, data].values(), {
        ...{ ...options, dimensions: 16, signal: controller.signal },
        onProgress: (progress) => {
          if (progress.phase === phase) controller.abort(reason);
        },
      });
      expect(await failureOf(building)).toMatchObject(aborted);
    });
    expect(threads).toEqual(phase === 'ingest' ? { started: 0, ended: 0 } : { started: 2, ended: 2 });
  });
});

describe('an error of the caller', () => {
  const own = new TypeError('mine');

  it.each(['ingest', 'train tree', 'train codebooks', 'encode', 'fill shards'])(
    'that onProgress throws in the phase "%s" fails the build, which leaves no thread behind',
    async (phase) => {
      const threads = await threadsDuring(async () => {
        const building = Index.build(data, {
          ...options,
          onProgress: (progress) => {
            if (progress.phase === phase) throw own;
          },
        });
        await expect(building).rejects.toBe(own);
      });
      expect(threads).toEqual(phase === 'ingest' ? { started: 0, ended: 0 } : { started: 2, ended: 2 });
    },
  );

  it('that an iterable throws fails the build', async () => {
    async function* broken(): AsyncGenerator<VectorChunk> {
      yield data;
      throw own;
    }
    await expect(Index.build(broken(), options)).rejects.toBe(own);
  });

  it('in a chunk ends the iterable', async () => {
    let ended = false;
    async function* chunks(): AsyncGenerator<VectorChunk> {
      try {
        for (;;) yield { vectors: [[Number.NaN]] };
      } finally {
        ended = true;
      }
    }
    expect((await failureOf(Index.build(chunks(), { dimensions: 1 }))).code).toBe('SCANNERY_INVALID_VECTOR');
    expect(ended).toBe(true);
  });

  it('in the row of a batch fails the batch, and nothing else', async () => {
    await using index = await Index.build(data, options);
    const throwing = Object.defineProperty([...query], 3, {
      get() {
        throw own;
      },
    });
    await expect(index.searchBatch([query, throwing])).rejects.toBe(own);
    expect((await index.search(query)).ids).toHaveLength(10);
  });
});

it('a failed open leaves no thread behind', async () => {
  const threads = await threadsDuring(async () => {
    expect((await failureOf(Index.open(join(directory, 'nowhere'), { threads: 2 }))).code).toBe('SCANNERY_NOT_FOUND');
  });
  expect(threads).toEqual({ started: 2, ended: 2 });
  expect(existsSync(join(directory, 'nowhere'))).toBe(false);
});

describe('an index of codes only', () => {
  it('cannot search exactly, and says so', async () => {
    await using index = await Index.build(data, { ...options, reordering: false });
    for (const call of [index.search(query, { exact: true }), index.searchBatch([query], { exact: true })]) {
      expect(await failureOf(call)).toMatchObject({ code: 'SCANNERY_NOT_SUPPORTED', option: 'exact', value: true });
    }
    expect((await index.search(query, { exact: false })).ids).toHaveLength(10);
  });
});

describe('a request that does not fit the memory', () => {
  it('fails alone, and the index goes on', async () => {
    await using index = await LiveIndex.build(data, options);
    const right = bits(await index.search(query));
    const huge = { ...index.request(10), numLeavesToSearch: 2 ** 30 };
    expect((await failureOf(index.search(query, huge))).code).toBe('SCANNERY_OUT_OF_MEMORY');
    expect(bits(await index.search(query))).toEqual(right);
    await expect.poll(() => index.stats().queries.inFlight).toBe(0);
  });
});
