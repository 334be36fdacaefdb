import { appendFileSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { contentOf, difference } from '../../scripts/crash-test/content.ts';
import { type FileOperation, intercept } from '../../scripts/crash-test/faults.ts';
import { Contents } from '../../src/coordinator/contents.ts';
import { LOG_START } from '../../src/coordinator/log-reader.ts';
import { openIndexWith, saveIndexWith } from '../../src/coordinator/vector-index.ts';
import { type Id, Index, type OpenOptions, ScanneryError } from '../../src/index.ts';
import { copyUnlocked, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { DIMENSIONS, framesOf, logPath, SIZE, saveSmallIndex, vectorOf } from '../support/kept-index.ts';
import { Random } from '../support/random.ts';

const base = temporaryDirectory();
const saved = join(base, 'saved');
beforeAll(() => saveSmallIndex(saved));
afterEach(() => vi.restoreAllMocks());
const fresh = (): string => copyUnlocked(saved, mkdtempSync(join(base, 'kept-')));
const openKept = (directory: string, options: OpenOptions = {}): Promise<Index> =>
  Index.open(directory, { threads: 1, durability: 'always', ...options });
const upsert = (index: Index, id: Id, n: number) => index.upsert({ ids: [id], vectors: vectorOf(n) });

/** What a directory holds for those who open it now. */
async function stored(directory: string) {
  await using index = await Index.open(directory, { threads: 1 });
  return await contentOf(index);
}

/** Closes an index, and looks whether its directory holds what it held. */
async function expectKept(index: Index, directory: string): Promise<void> {
  const rows = await contentOf(index);
  await index.close();
  expect(difference(await stored(directory), rows)).toBeUndefined();
}

/** The kinds of file operations below a directory, from the opening of an index on. */
class Watch implements Disposable {
  #kinds: FileOperation['kind'][] = [];
  #restore = (): void => {};

  static async on(directory: string): Promise<Watch> {
    const watch = new Watch();
    watch.#restore = await intercept(directory, ({ kind }) => {
      watch.#kinds.push(kind);
      return undefined;
    });
    return watch;
  }

  /** Those that come during some work. */
  async during(work: () => Promise<unknown>): Promise<FileOperation['kind'][]> {
    this.#kinds = [];
    await work();
    return this.#kinds;
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}

describe('writes', () => {
  it('that come together wait for the disk once', async () => {
    const directory = fresh();
    using watch = await Watch.on(directory);
    await using index = await openKept(directory);
    const kinds = await watch.during(() =>
      Promise.all(Array.from({ length: 200 }, (_, i) => upsert(index, `new ${i}`, i))),
    );
    expect(kinds).toEqual(['write', 'datasync']);
    expect(await framesOf(directory)).toHaveLength(201);
    await expectKept(index, directory);
  });

  it.each([
    ['interval', 1],
    ['none', 0],
  ] as const)('under %s wait for no disk, which has them a second later, %i times', async (durability, times) => {
    const directory = fresh();
    using watch = await Watch.on(directory);
    await using index = await openKept(directory, { durability });
    expect(await watch.during(() => upsert(index, 'new', 1))).toEqual(['write']);
    expect(await watch.during(() => delay(1500))).toEqual(Array(times).fill('datasync'));
    expect(await watch.during(() => delay(1100))).toEqual([]);
    await upsert(index, 'new', 2);
    const closing = await watch.during(() => index.close());
    expect(closing.filter((kind) => kind === 'datasync')).toHaveLength(times);
    expect((await stored(directory)).get('new')).toEqual(vectorOf(2));
  });

  it('that come while another is under way need no further call to be done', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    for (let turns = 0; turns < 12; turns++) {
      const first = upsert(index, 'first', turns);
      for (let i = 0; i < turns; i++) await nextTurn();
      await Promise.all([first, upsert(index, 'second', turns)]);
    }
    await expectKept(index, directory);
  });

  it('of the same ids are done in the order of the calls', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    const results = await Promise.all([
      upsert(index, 'a', 1),
      index.delete(['a', 'id 0']),
      upsert(index, 'a', 2),
      upsert(index, 'id 0', 3),
      upsert(index, 'a', 4),
      index.delete(['id 0']),
    ]);
    expect(results).toEqual([
      { inserted: 1, updated: 0 },
      { deleted: 2, unknown: 0 },
      { inserted: 1, updated: 0 },
      { inserted: 1, updated: 0 },
      { inserted: 0, updated: 1 },
      { deleted: 1, unknown: 0 },
    ]);
    expect((await index.get('a'))!.vector).toEqual(vectorOf(4));
    expect(await index.has('id 0')).toBe(false);
    await expectKept(index, directory);
  });

  it('are kept over several frames when they are large', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    const ids = Array.from({ length: 20_000 }, (_, i) => `one of many ${i}`);
    await index.upsert({ ids, vectors: new Random(1).normals(ids.length, DIMENSIONS) });
    const upserted = (await framesOf(directory)).length - 1;
    expect(upserted).toBeGreaterThan(3);
    await index.delete(ids.slice(5));
    expect((await framesOf(directory)).length - 1).toBeGreaterThan(upserted + 1);
    expect(index.size).toBe(SIZE + 5);
    await expectKept(index, directory);
  });

  it('keep ids of every kind as they were given', async () => {
    const directory = fresh();
    const ids = ['text', '', 'ü 𝄞', 0, -7, 2 ** 40, Number.MAX_SAFE_INTEGER, 7n, 2n ** 63n - 1n, -(2n ** 63n), -1n];
    await using index = await openKept(directory);
    await index.upsert({ ids, vectors: ids.map((_, i) => vectorOf(i)) });
    await index.close();
    await using again = await openKept(directory);
    for (const [i, id] of ids.entries()) {
      expect(await again.get(id)).toEqual({ id, vector: vectorOf(i) });
    }
    const listed: Id[] = [];
    for await (const id of again.ids()) listed.push(id);
    expect(listed.slice(SIZE)).toEqual(ids);
    await again.delete(ids);
    await expectKept(again, directory);
  });

  it('include what tune chose', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    const before = index.stats().config.defaults;
    const { k, numLeavesToSearch, numReorderingCandidates } = await index.tune({ k: 3, targetRecall: 0.5 });
    expect(index.stats().config.defaults).not.toEqual(before);
    await index.close();
    await using again = await Index.open(directory, { threads: 1 });
    expect(again.stats().config.defaults).toEqual({ k, numLeavesToSearch, numReorderingCandidates });
  });

  it('under way when the index is closed are done before', async () => {
    const directory = fresh();
    const index = await openKept(directory);
    const writing = [upsert(index, 'a', 1), index.delete(['id 1'])];
    await index.close();
    expect(await Promise.all(writing)).toHaveLength(2);
    const rows = await stored(directory);
    expect([rows.has('a'), rows.has('id 1')]).toEqual([true, false]);
    expect((await failureOf(upsert(index, 'b', 1))).code).toBe('SCANNERY_CLOSED');
    expect((await failureOf(index.save())).code).toBe('SCANNERY_CLOSED');
    expect((await failureOf(index.refresh())).code).toBe('SCANNERY_CLOSED');
  });

  it('whose signal is aborted before their turn leave no trace', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    const controller = new AbortController();
    const saving = index.save();
    const { signal } = controller;
    const writing = [
      index.upsert({ ids: ['a'], vectors: vectorOf(1) }, { signal }),
      index.delete(['id 1'], { signal }),
    ];
    const settled = Promise.allSettled(writing);
    const beside = upsert(index, 'b', 2);
    controller.abort();
    for (const result of await settled) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'SCANNERY_ABORTED' } });
    }
    await Promise.all([saving, beside]);
    expect(await framesOf(directory)).toHaveLength(2);
    expect(index.size).toBe(SIZE + 1);
    await expectKept(index, directory);
  });

  it('that are wrong fail alone, among others that come with them', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    const [good, bad, other] = await Promise.allSettled([
      upsert(index, 'a', 1),
      index.upsert({ ids: ['b'], vectors: [[Number.NaN, 0, 0, 0, 0, 0]] }),
      upsert(index, 'c', 2),
    ]);
    expect(bad).toMatchObject({ reason: { code: 'SCANNERY_INVALID_VECTOR' } });
    expect([good!.status, other!.status, index.size]).toEqual(['fulfilled', 'fulfilled', SIZE + 2]);
    await expectKept(index, directory);
  });
});

it('a write that was logged and could not be made is taken back', async () => {
  const directory = fresh();
  await using index = await openKept(directory);
  const noRoom = new ScanneryError('SCANNERY_OUT_OF_MEMORY', 'no room');
  vi.spyOn(Contents.prototype, 'upsert').mockRejectedValueOnce(noRoom);
  const results = await Promise.allSettled([upsert(index, 'a', 1), upsert(index, 'b', 2), index.delete(['id 0'])]);
  expect(results).toMatchObject([{ reason: noRoom }, { status: 'fulfilled' }, { status: 'fulfilled' }]);
  expect([await index.has('a'), await index.has('b'), index.size]).toEqual([false, true, SIZE]);
  expect(await framesOf(directory)).toHaveLength(5);
  await expectKept(index, directory);
});

describe('the end of a log', () => {
  it('that was never finished is cut off, with a warning that says how much', async () => {
    const directory = fresh();
    const index = await openKept(directory);
    await upsert(index, 'a', 1);
    await index.close();
    const path = await logPath(directory);
    const { size } = statSync(path);
    appendFileSync(path, readFileSync(path).subarray(LOG_START, LOG_START + 50));
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    expect((await stored(directory)).has('a')).toBe(true);
    expect(warnings).not.toHaveBeenCalled();
    expect(statSync(path).size).toBe(size + 50);
    await using again = await openKept(directory);
    expect(warnings).toHaveBeenCalledOnce();
    expect(warnings).toHaveBeenCalledWith(expect.stringContaining(`${path}: 50 bytes `), {
      type: 'ScanneryWarning',
      code: 'SCANNERY_LOG_CUT',
    });
    expect(statSync(path).size).toBe(size);
    await upsert(again, 'b', 2);
    await expectKept(again, directory);
  });

  it('is before the first piece of a write whose others are missing', async () => {
    const directory = fresh();
    const index = await openKept(directory);
    await upsert(index, 'a', 1);
    const [, end] = await framesOf(directory);
    await index.upsert({
      ids: Array.from({ length: 3 }, (_, i) => `${i}${'x'.repeat(99_999)}`),
      vectors: [1, 2, 3].map(vectorOf),
    });
    await index.close();
    const path = await logPath(directory);
    const frames = await framesOf(directory);
    expect(frames).toHaveLength(5);
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const cut of [frames[4]! - 1, frames[3]!, frames[2]!]) {
      writeFileSync(path, readFileSync(path).subarray(0, cut));
      expect([...(await stored(directory)).keys()].slice(SIZE)).toEqual(['a']);
    }
    await using again = await openKept(directory);
    expect(statSync(path).size).toBe(end);
    await expectKept(again, directory);
  });
});

describe('damage in a log', () => {
  it('is refused with its place, and repair keeps all before it', async () => {
    const directory = fresh();
    const index = await openKept(directory);
    for (let n = 0; n < 6; n++) await upsert(index, `new ${n}`, n);
    await index.close();
    const path = await logPath(directory);
    const frames = await framesOf(directory);
    const bytes = readFileSync(path);
    for (const at of [frames[3]! + 5, frames[3]! + 17, frames[3]! + 40, frames[4]! - 1]) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 4;
      writeFileSync(path, damaged);
      for (const options of [{}, { durability: 'always' }, { readOnly: true }] as const) {
        const error = await failureOf(Index.open(directory, { threads: 1, ...options }));
        expect(error).toMatchObject({ code: 'SCANNERY_CHECKSUM', value: frames[3], path });
      }
    }
    const droppedBytes = bytes.length - frames[3]!;
    expect(await Index.repair(directory)).toEqual({ keptBytes: frames[3]! - LOG_START, droppedBytes });
    expect(await Index.repair(directory)).toEqual({ keptBytes: frames[3]! - LOG_START, droppedBytes: 0 });
    await using again = await openKept(directory);
    expect([...(await contentOf(again)).keys()].slice(SIZE)).toEqual(['new 0', 'new 1', 'new 2']);
    await upsert(again, 'later', 9);
    await expectKept(again, directory);
  });

  it('is not there to repair where there is no log', async () => {
    expect(await Index.repair(fresh())).toEqual({ keptBytes: 0, droppedBytes: 0 });
    expect((await failureOf(Index.repair(mkdtempSync(join(base, 'empty-'))))).code).toBe('SCANNERY_NOT_FOUND');
    expect((await failureOf(Index.repair(3 as unknown as string))).code).toBe('SCANNERY_INVALID_OPTION');
  });

  it('is seen in the log of an index of other dimensions', async () => {
    const directory = fresh();
    const wide = join(base, 'wide');
    await using built = await Index.build({ vectors: new Float32Array(80).fill(1) }, { dimensions: 8, threads: 1 });
    await built.save(wide);
    await (await openKept(wide)).close();
    copyFileSync(await logPath(wide), await logPath(directory));
    const error = await failureOf(Index.open(directory, { threads: 1 }));
    expect(error).toMatchObject({ code: 'SCANNERY_CHECKSUM', path: await logPath(directory) });
  });
});

describe('a checkpoint', () => {
  /** One generation, and a log without writes. */
  async function expectEmptyLog(directory: string, generation: string): Promise<void> {
    expect(
      readdirSync(directory)
        .filter((name) => !name.startsWith('LOCK-'))
        .sort(),
    ).toEqual(['CURRENT', generation]);
    expect(statSync(await logPath(directory)).size).toBe(LOG_START);
  }

  it('is made by itself when the log is long', async () => {
    const directory = fresh();
    await using index = await openKept(directory, { checkpointBytes: 1000 });
    await upsert(index, 'small', 1);
    expect(index.stats().log).toEqual({ durability: 'always', bytes: expect.any(Number), checkpoints: 0 });
    const ids = Array.from({ length: 60 }, (_, i) => i);
    await index.upsert({ ids, vectors: ids.map(vectorOf) });
    await expect
      .poll(() => index.stats().log, { timeout: 20_000 })
      .toEqual({ durability: 'always', bytes: 0, checkpoints: 1 });
    await expectEmptyLog(directory, 'generation-000002');
    await upsert(index, 'after', 2);
    expect(index.stats().log!.bytes).toBeGreaterThan(0);
    await expectKept(index, directory);
  });

  it('is made by save, by whatever name the directory goes', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    for (const [i, name] of [undefined, directory, `${directory}/.`, relative(process.cwd(), directory)].entries()) {
      await upsert(index, 'a', i);
      await index.save(name);
      await expectEmptyLog(directory, `generation-00000${i + 2}`);
    }
    await upsert(index, 'b', 1);
    const { bytes } = index.stats().log!;
    const elsewhere = join(mkdtempSync(join(base, 'else-')), 'where');
    await index.save(elsewhere);
    expect(index.stats().log).toEqual({ durability: 'always', bytes, checkpoints: 4 });
    expect(difference(await stored(elsewhere), await contentOf(index))).toBeUndefined();
    await expectKept(index, directory);
  });

  it('comes with rebalance', async () => {
    const directory = fresh();
    await using index = await openKept(directory);
    await index.delete(['id 1', 'id 2']);
    await index.rebalance();
    expect(index.stats()).toMatchObject({ deleted: 0, log: { bytes: 0, checkpoints: 1 } });
    await expectEmptyLog(directory, 'generation-000002');
    await upsert(index, 'id 1', 5);
    await expectKept(index, directory);
  });

  it('keeps what lies beside the index', async () => {
    const directory = mkdtempSync(join(base, 'beside-'));
    const companion = {
      name: 'recommender.scannery',
      kind: 'recommender',
      meta: { n: 5 },
      parts: [Uint8Array.of(1, 2)],
    };
    await using built = await Index.open(saved, { threads: 1 });
    await saveIndexWith(built, directory, companion);
    await using index = await openKept(directory);
    await upsert(index, 'a', 1);
    await index.save();
    await upsert(index, 'b', 2);
    await index.close();
    const opened = await openIndexWith(directory, { threads: 1 }, companion.name, companion.kind);
    await using beside = opened.index;
    expect([opened.meta, opened.parts.map((part) => [...part])]).toEqual([companion.meta, [[1, 2]]]);
    expect([await beside.has('a'), await beside.has('b')]).toEqual([true, true]);
  });

  it('needs a directory to be made in', async () => {
    await using index = await Index.open(saved, { threads: 1 });
    expect(await failureOf(index.save())).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'directory' });
    expect(index.stats()).not.toHaveProperty('log');
  });
});

it('an index is opened to be read only or to keep writes, not both', async () => {
  const error = await failureOf(Index.open(saved, { durability: 'none', readOnly: true }));
  expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'durability', value: 'none' });
  const unknown = { durability: 'sometimes' as 'always' };
  expect(await failureOf(Index.open(saved, unknown))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION' });
});
