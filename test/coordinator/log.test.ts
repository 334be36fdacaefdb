import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { contentOf } from '../../scripts/crash-test/content.ts';
import { LOG_START } from '../../src/coordinator/log-reader.ts';
import { Index } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import {
  expectKept,
  framesOf,
  logPath,
  openKept,
  SIZE,
  savedCopies,
  storedIn,
  upsert,
  vectorOf,
} from '../support/kept-index.ts';

const base = temporaryDirectory();
const fresh = savedCopies();
afterEach(() => vi.restoreAllMocks());

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
    expect((await storedIn(directory)).has('a')).toBe(true);
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
      expect([...(await storedIn(directory)).keys()].slice(SIZE)).toEqual(['a']);
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
