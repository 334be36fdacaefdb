import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type FileOperation, intercept } from '../../scripts/crash-test/faults.ts';
import { Contents } from '../../src/coordinator/contents.ts';
import { type Id, Index, ScanneryError } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';
import {
  DIMENSIONS,
  expectKept,
  framesOf,
  openKept,
  SIZE,
  savedCopies,
  storedIn,
  upsert,
  vectorOf,
} from '../support/kept-index.ts';
import { Random } from '../support/random.ts';

const fresh = savedCopies();
afterEach(() => vi.restoreAllMocks());

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
    expect((await storedIn(directory)).get('new')).toEqual(vectorOf(2));
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
    const rows = await storedIn(directory);
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

it('an index is opened to be read only or to keep writes, not both', async () => {
  const error = await failureOf(Index.open(fresh(), { durability: 'none', readOnly: true }));
  expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'durability', value: 'none' });
  const unknown = { durability: 'sometimes' as 'always' };
  expect(await failureOf(Index.open(fresh(), unknown))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION' });
});
