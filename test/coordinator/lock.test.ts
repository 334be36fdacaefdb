import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DirectoryLock } from '../../src/coordinator/lock.ts';
import { Index } from '../../src/index.ts';
import { copyUnlocked, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { saveSmallIndex, vectorOf } from '../support/kept-index.ts';

const base = temporaryDirectory();
const saved = join(base, 'saved');
beforeAll(() => saveSmallIndex(saved));
const fresh = (): string => mkdtempSync(join(base, 'locked-'));
const freshIndex = (): string => copyUnlocked(saved, fresh());
const locksIn = (directory: string): string[] => readdirSync(directory).filter((name) => name.startsWith('LOCK-'));
const options = { threads: 1, durability: 'none' } as const;

const holders: ChildProcess[] = [];
afterAll(() => {
  for (const holder of holders) holder.kill('SIGKILL');
});

/** Another process that has a directory. */
async function holderOf(directory: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('../support/lock-holder.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  holders.push(child);
  await once(child.stdout!, 'data');
  return child;
}

describe('an index that keeps its writes', () => {
  it('has its directory alone, in this process', async () => {
    const directory = freshIndex();
    await using index = await Index.open(directory, options);
    for (const second of [() => Index.open(directory, options), () => Index.repair(directory)]) {
      const error = await failureOf(second);
      expect(error).toMatchObject({ code: 'SCANNERY_LOCKED', value: process.pid });
      expect(error.path).toBe(join(directory, locksIn(directory)[0]!));
    }
    await using reader = await Index.open(directory, { threads: 1 });
    expect((await failureOf(reader.save(directory))).code).toBe('SCANNERY_LOCKED');
    await reader.save(`${directory}-elsewhere`);
    await index.upsert({ ids: ['id 0'], vectors: vectorOf(1) });
    await index.close();
    expect(locksIn(directory)).toEqual([]);
    await reader.save(directory);
    await using again = await Index.open(directory, options);
    expect((await again.get('id 0'))!.vector).not.toEqual(vectorOf(1));
  });

  it('has it against other processes, as long as they live', async () => {
    const directory = freshIndex();
    const holder = await holderOf(directory);
    expect(await failureOf(Index.open(directory, options))).toMatchObject({
      code: 'SCANNERY_LOCKED',
      value: holder.pid,
    });
    await using reader = await Index.open(directory, { threads: 1, readOnly: true });
    expect(reader.size).toBe(120);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(locksIn(directory)).toHaveLength(1);
    await using index = await Index.open(directory, options);
    await index.delete(['id 0']);
    expect(locksIn(directory)).toEqual([expect.stringContaining(`-${process.pid}-`)]);
  });

  it('gives it up when it cannot be opened', async () => {
    const directory = freshIndex();
    writeFileSync(join(directory, 'generation-000001', 'index.scannery'), 'not this');
    expect((await failureOf(Index.open(directory, options))).code).toBe('SCANNERY_BAD_MAGIC');
    expect(locksIn(directory)).toEqual([]);
    expect((await failureOf(Index.open(fresh(), options))).code).toBe('SCANNERY_NOT_FOUND');
  });

  it('lets one of two open that come at the same time', async () => {
    const directory = freshIndex();
    const both = await Promise.allSettled([Index.open(directory, options), Index.open(directory, options)]);
    for (const one of both) if (one.status === 'fulfilled') await one.value.close();
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

describe('a lock', () => {
  /** What a writer of this process puts into its lock. */
  async function owner(): Promise<Record<string, unknown>> {
    const directory = fresh();
    const lock = await DirectoryLock.take(directory, 'writer');
    const text = readFileSync(join(directory, locksIn(directory)[0]!), 'utf8');
    await lock.release();
    return JSON.parse(text);
  }
  function leave(directory: string, text: string): string {
    const path = join(directory, `LOCK-writer-${process.pid}-123abc`);
    writeFileSync(path, text);
    return path;
  }

  it.skipIf(process.platform !== 'linux')(
    'counts for nothing when its process id is that of another by now',
    async () => {
      const directory = fresh();
      const own = await owner();
      leave(directory, JSON.stringify(own));
      expect((await failureOf(DirectoryLock.take(directory, 'writer'))).code).toBe('SCANNERY_LOCKED');
      leave(directory, JSON.stringify({ ...own, started: `${own.started}0` }));
      const lock = await DirectoryLock.take(directory, 'writer');
      expect(locksIn(directory)).toHaveLength(1);
      await lock.release();
    },
  );

  it('of another machine counts while it is seen to move', async () => {
    const directory = fresh();
    const path = leave(directory, JSON.stringify({ ...(await owner()), place: 'elsewhere' }));
    let seconds = 1;
    const beat = setInterval(() => utimesSync(path, seconds, ++seconds), 50);
    const error = await failureOf(DirectoryLock.take(directory, 'writer', 60_000));
    clearInterval(beat);
    expect(error).toMatchObject({ code: 'SCANNERY_LOCKED', path });
    const begun = performance.now();
    const lock = await DirectoryLock.take(directory, 'writer', 500);
    expect(performance.now() - begun).toBeGreaterThan(450);
    expect(locksIn(directory)).toHaveLength(1);
    await lock.release();
  });

  it.each(['', 'null', '{"pid":'])('that the loss of power left as "%s" counts for nothing', async (text) => {
    const directory = fresh();
    leave(directory, text);
    const lock = await DirectoryLock.take(directory, 'writer', 100);
    expect(locksIn(directory)).toHaveLength(1);
    await lock.release();
  });

  it('shows that it lives, and tells its holder when it is gone', async () => {
    const directory = fresh();
    const lock = await DirectoryLock.take(directory, 'writer');
    const path = join(directory, locksIn(directory)[0]!);
    utimesSync(path, 1, 1);
    await expect.poll(() => statSync(path).mtimeMs, { timeout: 5000 }).toBeGreaterThan(1000);
    lock.check();
    rmSync(path);
    await expect
      .poll(() => failureOf(() => lock.check()).catch(() => null), { timeout: 5000 })
      .toMatchObject({
        code: 'SCANNERY_LOCKED',
      });
    await lock.release();
  });
});

describe('saves', () => {
  it('wait for each other, but not for a writer', async () => {
    const directory = fresh();
    const first = await DirectoryLock.take(directory, 'save');
    let isTaken = false;
    const second = DirectoryLock.take(directory, 'save').then((lock) => {
      isTaken = true;
      return lock;
    });
    // Longer than all the tries that one makes against a writer.
    await delay(400);
    expect(isTaken).toBe(false);
    await first.release();
    await (await second).release();
    const writer = await DirectoryLock.take(directory, 'writer');
    expect((await failureOf(DirectoryLock.take(directory, 'save'))).code).toBe('SCANNERY_LOCKED');
    await writer.release();
  });

  it('of two indexes at the same time are both done', async () => {
    const directory = freshIndex();
    await using one = await Index.open(directory, { threads: 1 });
    await using other = await Index.open(directory, { threads: 1 });
    await other.delete(['id 3']);
    await Promise.all([one.save(directory), other.save(directory)]);
    expect(readdirSync(directory).sort()).toEqual(['CURRENT', 'generation-000003']);
    await using opened = await Index.open(directory, { threads: 1 });
    expect([119, 120]).toContain(opened.size);
  });
});

it('of two writers that come at the same time, exactly one gets the directory', async () => {
  const directory = fresh();
  for (let round = 0; round < 16; round++) {
    const both = await Promise.allSettled([
      DirectoryLock.take(directory, 'writer'),
      delay(round % 4).then(() => DirectoryLock.take(directory, 'writer')),
    ]);
    const taken = both.filter((one) => one.status === 'fulfilled');
    expect(taken, `round ${round}`).toHaveLength(1);
    const [refused] = both.filter((one) => one.status === 'rejected');
    expect(refused!.reason).toMatchObject({ code: 'SCANNERY_LOCKED', value: process.pid });
    await taken[0]!.value.release();
    expect(readdirSync(directory)).toEqual([]);
  }
});
