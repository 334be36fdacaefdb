import { mkdtempSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentOf, difference } from '../../scripts/crash-test/content.ts';
import { LOG_START } from '../../src/coordinator/log-reader.ts';
import { openIndexWith, saveIndexWith } from '../../src/coordinator/vector-index.ts';
import { Index } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { expectKept, logPath, openKept, savedCopies, storedIn, upsert, vectorOf } from '../support/kept-index.ts';

const base = temporaryDirectory();
const fresh = savedCopies();

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
    expect(difference(await storedIn(elsewhere), await contentOf(index))).toBeUndefined();
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
    await using built = await Index.open(fresh(), { threads: 1 });
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
    await using index = await Index.open(fresh(), { threads: 1 });
    expect(await failureOf(index.save())).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'directory' });
    expect(index.stats()).not.toHaveProperty('log');
  });
});
