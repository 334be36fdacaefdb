import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { contentOf, difference } from '../../scripts/crash-test/content.ts';
import { Contents } from '../../src/coordinator/contents.ts';
import { type Id, Index, ScanneryError } from '../../src/index.ts';
import { copyUnlocked, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { framesOf, logPath, SIZE, saveSmallIndex, vectorOf } from '../support/kept-index.ts';

const base = temporaryDirectory();
const saved = join(base, 'saved');
beforeAll(() => saveSmallIndex(saved));

let directory: string;
let writer: Index;
let reader: Index;
beforeEach(async () => {
  directory = copyUnlocked(saved, mkdtempSync(join(base, 'followed-')));
  writer = await openWriter();
  reader = await Index.open(directory, { threads: 1, readOnly: true });
});
afterEach(async () => {
  await Promise.all([reader.close(), writer.close()]);
  vi.restoreAllMocks();
});
const openWriter = (): Promise<Index> => Index.open(directory, { threads: 1, durability: 'none' });
const upsert = (id: Id, n: number) => writer.upsert({ ids: [id], vectors: vectorOf(n) });

async function expectSame(): Promise<void> {
  expect(difference(await contentOf(reader), await contentOf(writer))).toBeUndefined();
  expect((await reader.search(vectorOf(3), { exact: true })).ids).toEqual(
    (await writer.search(vectorOf(3), { exact: true })).ids,
  );
}

describe('a reader', () => {
  it('writes nothing', async () => {
    for (const write of [
      () => reader.upsert({ ids: ['a'], vectors: vectorOf(1) }),
      () => reader.delete(['id 0']),
      () => reader.rebalance(),
    ]) {
      expect((await failureOf(write)).code).toBe('SCANNERY_READ_ONLY');
    }
    expect((await failureOf(reader.save(directory))).code).toBe('SCANNERY_LOCKED');
    expect((await failureOf(reader.save())).code).toBe('SCANNERY_INVALID_OPTION');
    expect([reader.size, await reader.has('id 0')]).toEqual([SIZE, true]);
  });

  it('takes in what is appended, when it is asked to', async () => {
    expect(await reader.refresh()).toEqual({ changes: 0, reopened: false });
    await upsert('a', 1);
    await writer.delete(['id 0', 'id 1']);
    expect([reader.size, await reader.has('a'), await reader.has('id 0')]).toEqual([SIZE, false, true]);
    // Those that come together are taken together.
    expect((await Promise.all([reader.refresh(), reader.refresh()])).map(({ changes }) => changes)).toEqual([2, 0]);
    await expectSame();
    await Promise.all([upsert('a', 2), upsert('b', 3), upsert('a', 4), writer.delete(['b'])]);
    await writer.tune({ k: 2, targetRecall: 0.5 });
    expect(await reader.refresh()).toEqual({ changes: 5, reopened: false });
    expect(reader.stats().config.defaults).toEqual(writer.stats().config.defaults);
    await expectSame();
    await upsert('c', 5);
    await writer.close();
    expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
    expect(await reader.has('c')).toBe(true);
  });

  it('goes over to a checkpoint', async () => {
    await upsert('a', 1);
    await writer.save();
    await upsert('b', 2);
    expect(await reader.refresh()).toEqual({ changes: 0, reopened: true });
    await expectSame();
    await writer.save();
    await writer.save();
    expect(await reader.refresh()).toEqual({ changes: 0, reopened: true });
    await upsert('c', 3);
    expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
    await expectSame();
  });

  it('goes over to what was rebalanced, while it is searched', async () => {
    await writer.delete(['id 3', 'id 4']);
    await writer.rebalance();
    await upsert('id 3', 8);
    const searches = Array.from({ length: 50 }, (_, i) => reader.search(vectorOf(i)));
    expect(await reader.refresh()).toEqual({ changes: 0, reopened: true });
    for (const { ids } of await Promise.all(searches)) expect(ids).toHaveLength(10);
    expect(reader.stats().deleted).toBe(0);
    await expectSame();
  });

  it('gives up a write that was taken back after it had been read', async () => {
    const noRoom = new ScanneryError('SCANNERY_OUT_OF_MEMORY', 'no room');
    vi.spyOn(Contents.prototype, 'upsert').mockImplementationOnce(async () => {
      expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
      throw noRoom;
    });
    await expect(upsert('a', 1)).rejects.toBe(noRoom);
    expect(await reader.has('a')).toBe(true);
    expect((await reader.refresh()).reopened).toBe(true);
    expect(await reader.has('a')).toBe(false);
    await expectSame();
  });

  it('is searched on as it was after a refresh that fails, and follows once it can', async () => {
    await upsert('a', 1);
    await writer.close();
    const current = join(directory, 'CURRENT');
    const text = readFileSync(current);
    writeFileSync(current, 'scannery 1 generation-00');
    expect((await failureOf(reader.refresh())).code).toBe('SCANNERY_TRUNCATED');
    expect((await reader.search(vectorOf(1))).ids).toHaveLength(10);
    writeFileSync(current, text);
    expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
    expect(await reader.has('a')).toBe(true);
  });
});

describe('a log that a reader has read', () => {
  /** Writes, and what the log is after each. */
  async function logAfter(...writes: (() => Promise<unknown>)[]): Promise<Buffer[]> {
    const logs: Buffer[] = [];
    for (const write of writes) {
      await write();
      logs.push(readFileSync(await logPath(directory)));
    }
    return logs;
  }

  it('may end in a frame of which only a part is there yet', async () => {
    const [first, second] = await logAfter(
      () => upsert('a', 1),
      () => upsert('b', 2),
    );
    await writer.close();
    const path = await logPath(directory);
    writeFileSync(path, first!);
    expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
    for (const part of [1, 31, 32, 40, second!.length - first!.length - 1]) {
      writeFileSync(path, second!.subarray(0, first!.length + part));
      expect(await reader.refresh()).toEqual({ changes: 0, reopened: false });
    }
    expect([await reader.has('a'), await reader.has('b')]).toEqual([true, false]);
    writeFileSync(path, second!);
    expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
    expect(await reader.has('b')).toBe(true);
  });

  it.each([
    ['shorter', 1],
    ['as long', 2],
    ['longer', 4],
  ])('may be cut after a crash and written anew: %s', async (_, writes) => {
    const [first] = await logAfter(
      () => upsert('a', 1),
      () => upsert('b', 2),
      () => upsert('c', 3),
    );
    expect(await reader.refresh()).toEqual({ changes: 3, reopened: false });
    await writer.close();
    writeFileSync(await logPath(directory), first!);
    writer = await openWriter();
    for (let i = 0; i < writes; i++) await upsert(`${'xyzw'[i]}`, 10 + i);
    expect(await framesOf(directory)).toHaveLength(2 + writes);
    expect((await reader.refresh()).reopened).toBe(true);
    expect([await reader.has('b'), await reader.has('x')]).toEqual([false, true]);
    await expectSame();
    await upsert('later', 4);
    expect(await reader.refresh()).toEqual({ changes: 1, reopened: false });
    await expectSame();
  });

  it('may be cut and not written to', async () => {
    const [first] = await logAfter(
      () => upsert('a', 1),
      () => upsert('b', 2),
    );
    await reader.refresh();
    await writer.close();
    writeFileSync(await logPath(directory), first!);
    expect((await reader.refresh()).reopened).toBe(true);
    expect([await reader.has('a'), await reader.has('b')]).toEqual([true, false]);
  });
});

it('only a reader follows', async () => {
  await using plain = await Index.open(saved, { threads: 1 });
  for (const index of [plain, writer]) {
    expect((await failureOf(index.refresh())).code).toBe('SCANNERY_NOT_SUPPORTED');
  }
  await reader.close();
  expect((await failureOf(reader.refresh())).code).toBe('SCANNERY_CLOSED');
});
