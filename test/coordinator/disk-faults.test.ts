import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it, type MockInstance, vi } from 'vitest';
import { applyTo, contentOf, difference, perform, type Rows, wrongSearch } from '../../scripts/crash-test/content.ts';
import { type FileOperation, hasHalf, intercept, systemError } from '../../scripts/crash-test/faults.ts';
import {
  groupsOf,
  openForWorkload,
  prepare,
  runWorkload,
  STARTS,
  type Start,
} from '../../scripts/crash-test/workload.ts';
import { Index, ScanneryError } from '../../src/index.ts';
import { copyUnlocked, temporaryDirectory } from '../support/directories.ts';

// A disk that refuses one operation of a short run of a writer, or from one on all until the writer was told.

/** `SCANNERY_DISK_FAULTS=all npx vitest run disk-faults` refuses every operation in both ways; otherwise every fourth, in turns. */
const STEP = process.env.SCANNERY_DISK_FAULTS === 'all' ? 1 : 4;
const WAYS = ['once', 'until the writer is told'] as const;

const base = temporaryDirectory();
const prepared = (start: Start): string => join(base, start);
const before = new Map<Start, Rows>();
let warnings: MockInstance<typeof process.emitWarning>;
beforeAll(async () => {
  for (const start of STARTS) before.set(start, await prepare(prepared(start), start));
});
beforeEach(() => {
  warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => vi.restoreAllMocks());

function errorFor(operation: FileOperation, number: number): Error {
  const { kind } = operation;
  if (hasHalf(operation)) return systemError('ENOSPC', operation);
  if (['sync', 'datasync', 'truncate'].includes(kind)) return systemError('EIO', operation);
  return systemError(number % 2 === 0 ? 'EROFS' : 'EACCES', operation);
}

/** A directory of which operation `at` is refused. */
class BadDisk implements Disposable {
  /** Operations so far; those that a check asks for are not counted. */
  count = 0;
  struck: FileOperation | undefined;
  isWell = false;
  #restore = (): void => {};

  static async make(directory: string, at: number, way: (typeof WAYS)[number]): Promise<BadDisk> {
    const disk = new BadDisk();
    disk.#restore = await intercept(directory, (operation) => {
      if (disk.isWell) return undefined;
      const strikes = disk.count++ === at || (way !== 'once' && disk.struck !== undefined);
      if (!strikes) return undefined;
      disk.struck ??= operation;
      return { half: hasHalf(operation), strike: () => errorFor(operation, at) };
    });
    return disk;
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}

async function expectContent(index: Index, rows: Rows, seed: number): Promise<void> {
  expect(difference(await contentOf(index), rows)).toBeUndefined();
  expect(await wrongSearch(index, rows, { metric: index.metric, seed, count: 1 })).toBeUndefined();
}

function expectIoError(error: unknown): void {
  expect(error).toBeInstanceOf(ScanneryError);
  expect(error).toMatchObject({ code: 'SCANNERY_IO', path: expect.stringContaining(base) });
}

/** What the fault came to: the call that it failed, or 'warned'. */
async function live(start: Start, at: number, way: (typeof WAYS)[number]): Promise<string> {
  const directory = copyUnlocked(prepared(start), mkdtempSync(join(base, 'run-')));
  const rows = new Map(before.get(start)!);
  using disk = await BadDisk.make(directory, at, way);
  let noticed = '';
  const told = (by: string): void => {
    expect(noticed).toBe('');
    noticed = by;
    disk.isWell = true;
  };
  const openNow = async (): Promise<Index> => {
    try {
      return await openForWorkload(directory);
    } catch (error) {
      expectIoError(error);
      told('open');
      return openForWorkload(directory);
    }
  };
  const index = await openNow();
  for (const group of groupsOf(start)) {
    const results = await Promise.allSettled(group.map((operation) => perform(index, operation)));
    const failed = group.filter((_, i) => results[i]!.status === 'rejected');
    for (const [i, operation] of group.entries()) if (!failed.includes(group[i]!)) applyTo(rows, operation);
    if (failed.length === 0) continue;
    for (const result of results) if (result.status === 'rejected') expectIoError(result.reason);
    told(failed[0]!.kind);
    await expectContent(index, rows, at);
    // What was refused is not found by whoever opens it next, either; unless the disk had some of it and refused to cut that off,
    // too. The next write, or closing, sees to that.
    await using copy = await Index.open(copyUnlocked(directory, `${directory}-copy`), { threads: 1 });
    const found = await contentOf(copy);
    const allowed = new Map(rows);
    const rest = way === 'once' ? [] : [...failed];
    while (difference(found, allowed) !== undefined && rest.length > 0) applyTo(allowed, rest.shift()!);
    expect(difference(found, allowed)).toBeUndefined();
    for (const operation of failed) {
      await perform(index, operation);
      applyTo(rows, operation);
    }
  }
  await expectContent(index, rows, at);
  try {
    await index.close();
  } catch (error) {
    expectIoError(error);
    told('close');
  }
  if (noticed === '' && warnings.mock.calls.some(([message]) => String(message).includes('no checkpoint')))
    told('warned');
  disk.isWell = true;
  await using again = await Index.open(directory, { threads: 1 });
  expect(difference(await contentOf(again), rows)).toBeUndefined();
  return noticed;
}

it.each(STARTS)(
  'whatever the disk refuses, a writer is told and can go on: %s',
  async (start) => {
    const directory = copyUnlocked(prepared(start), mkdtempSync(join(base, 'count-')));
    const listener = { submitted: () => {}, acknowledged: () => {} };
    let count: number;
    {
      using disk = await BadDisk.make(directory, -1, 'once');
      await runWorkload(directory, start, listener);
      count = disk.count;
    }
    const noticed: Record<string, number> = {};
    for (let at = 0; at < count; at += STEP) {
      for (const way of STEP === 1 ? WAYS : [WAYS[(at / STEP) % 2]!]) {
        warnings.mockClear();
        try {
          const by = await live(start, at, way);
          noticed[by] = (noticed[by] ?? 0) + 1;
        } catch (cause) {
          throw new Error(`operation ${at} of ${count}, refused ${way}`, { cause });
        }
      }
    }
    const wanted = start === 'saved' ? ['open', 'upsert'] : ['open', 'save', 'upsert', 'warned'];
    expect(Object.keys(noticed)).toEqual(expect.arrayContaining(wanted));
    expect(Object.keys(noticed)).not.toContain('');
  },
  600_000,
);
