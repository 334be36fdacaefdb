import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Companion } from '../../src/coordinator/companion.ts';
import { SavedFile } from '../../src/coordinator/files.ts';
import { openIndexWith, saveIndexWith } from '../../src/coordinator/vector-index.ts';
import * as publicNames from '../../src/index.ts';
import { Index } from '../../src/index.ts';
import { filesIn, fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { bits, clustered, rowAt } from '../support/vectors.ts';

const NAME = 'recommender.scannery';
const KIND = 'recommender';
const FILE = `generation-000001/${NAME}`;
const base = temporaryDirectory();
const fresh = (): string => mkdtempSync(join(base, 'index-'));

/** Bytes that tell where they are, in more than one piece, and an empty part at the end. */
const parts = [
  Uint8Array.from({ length: 3 }, (_, i) => i + 1),
  Uint8Array.from({ length: (1 << 20) + 17 }, (_, i) => i * 31 + (i >> 8)),
  new Uint8Array(0),
];
const companion: Companion = { name: NAME, kind: KIND, meta: { towers: ['user', 'item'], epochs: 3 }, parts };
const otherCompanion: Companion = { ...companion, meta: { towers: [], epochs: 9 }, parts: [Uint8Array.of(9)] };

const data = clustered(200, 8);
const query = rowAt(data, 5);
let index: Index;
let other: Index;
beforeAll(async () => {
  index = await Index.build(data, { dimensions: 8, shards: 2, threads: 1 });
  other = await Index.build(clustered(100, 8, 7), { dimensions: 8, shards: 3, threads: 1 });
});
afterAll(() => Promise.all([index.close(), other.close()]));
afterEach(() => {
  vi.restoreAllMocks();
});

/** Each part's length and hash; a runner takes its time over comparing a million bytes. */
const digests = (all: readonly Uint8Array[]): string[] =>
  all.map((part) => `${part.length} ${createHash('sha256').update(part).digest('hex')}`);

/** What a directory holds: the size of the index, and what its companion says. */
async function contents(directory: string): Promise<{ size: number; epochs: unknown; parts: string[] }> {
  const opened = await openIndexWith(directory, { threads: 1 }, NAME, KIND);
  await using found = opened.index;
  return { size: found.size, epochs: opened.meta.epochs, parts: digests(opened.parts) };
}

const whole = { size: 200, epochs: 3, parts: digests(parts) };
const otherWhole = { size: 100, epochs: 9, parts: digests(otherCompanion.parts) };

describe('an index saved with a companion', () => {
  it('comes back with it', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    expect(filesIn(directory)).toEqual([
      'CURRENT',
      ...['index', 'recommender', 'shard-0000', 'shard-0001'].map((name) => `generation-000001/${name}.scannery`),
    ]);
    const opened = await openIndexWith(directory, { threads: 1 }, NAME, KIND);
    await using found = opened.index;
    expect(opened.meta).toEqual(companion.meta);
    expect(digests(opened.parts)).toEqual(digests(parts));
    expect(opened.parts.map((part) => part.buffer.constructor.name)).toEqual(Array(3).fill('SharedArrayBuffer'));
    expect(opened.parts.map((part) => [part.byteOffset, part.buffer.byteLength])).toEqual(
      parts.map((part) => [0, part.length]),
    );
    expect(bits(await found.search(query))).toEqual(bits(await index.search(query)));
    const again = fresh();
    await saveIndexWith(found, again, { name: NAME, kind: KIND, meta: opened.meta, parts: opened.parts });
    expect(fingerprint(again)).toEqual(fingerprint(directory));
  });

  it('opens alone too', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    await using found = await Index.open(directory, { threads: 1 });
    expect(bits(await found.search(query))).toEqual(bits(await index.search(query)));
  });

  it('has the files that it would have alone, and equal content gives equal files', async () => {
    const [alone, first, second] = [fresh(), fresh(), fresh()];
    await index.save(alone);
    await saveIndexWith(index, first, companion);
    await saveIndexWith(index, second, { ...companion, parts: parts.map((part) => part.slice()) });
    expect(fingerprint(second)).toEqual(fingerprint(first));
    const { [FILE]: _, ...rest } = fingerprint(first);
    expect(rest).toEqual(fingerprint(alone));
  });

  it('may have a companion without parts', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, { ...companion, parts: [] });
    expect((await contents(directory)).parts).toEqual([]);
  });
});

describe('a directory without the companion', () => {
  it('is told apart from one without an index', async () => {
    const directory = fresh();
    const open = () => openIndexWith(directory, { threads: 1 }, NAME, KIND);
    const nothing = await failureOf(open);
    expect(nothing).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: directory });
    expect(nothing.message).toBe(`${directory} holds no saved recommender`);
    await index.save(directory);
    const alone = await failureOf(open);
    expect(alone).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: directory });
    expect(alone.message).toBe(`${directory} holds an index but not a saved recommender`);
  });

  it('is told apart from one whose index is damaged', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    const shard = join(directory, 'generation-000001/shard-0001.scannery');
    rmSync(shard);
    expect(await failureOf(contents(directory))).toMatchObject({ code: 'SCANNERY_TRUNCATED', path: shard });
    rmSync(join(directory, 'generation-000001/index.scannery'));
    expect((await failureOf(contents(directory))).code).toBe('SCANNERY_TRUNCATED');
  });
});

describe('a damaged companion', () => {
  let directory: string;
  let path: string;
  let bytes: Buffer;
  beforeAll(async () => {
    directory = fresh();
    await saveIndexWith(index, directory, companion);
    path = join(directory, FILE);
    bytes = readFileSync(path);
  });
  afterEach(() => writeFileSync(path, bytes));

  const headerEnd = (): number => 24 + bytes.readUInt32LE(12);
  const failure = async (damaged: Uint8Array) => {
    writeFileSync(path, damaged);
    return failureOf(contents(directory));
  };
  const flipped = (at: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at]! ^= 1;
    return copy;
  };

  it('is refused when it is cut', async () => {
    for (const length of [1, 8, 23, 24, headerEnd() - 1, headerEnd(), 4096, 4100, 8192, bytes.length - 1]) {
      const error = await failure(bytes.subarray(0, length));
      expect(error, `at ${length}`).toMatchObject({ code: 'SCANNERY_TRUNCATED', path });
    }
    expect(await failure(Buffer.alloc(0))).toMatchObject({ code: 'SCANNERY_BAD_MAGIC', path });
  });

  it('is refused with a byte changed', async () => {
    expect(await failure(flipped(0))).toMatchObject({ code: 'SCANNERY_BAD_MAGIC', path });
    for (const at of [16, 24, headerEnd() - 1, 4096, 8192, bytes.length - 1]) {
      expect(await failure(flipped(at)), `at ${at}`).toMatchObject({ code: 'SCANNERY_CHECKSUM', path });
    }
    const newer = Buffer.from(bytes);
    newer.writeUInt32LE(2, 8);
    expect(await failure(newer)).toMatchObject({ code: 'SCANNERY_NEWER_VERSION', path });
  });

  it('is read all the same when checksums are not to be verified', async () => {
    writeFileSync(path, flipped(4096));
    const opened = await openIndexWith(directory, { threads: 1, verifyChecksums: false }, NAME, KIND);
    await opened.index.close();
    expect([...opened.parts[0]!]).toEqual([0, 2, 3]);
  });

  it('is refused when it is of another kind', async () => {
    const shard = readFileSync(join(directory, 'generation-000001/shard-0000.scannery'));
    expect(await failure(shard)).toMatchObject({ code: 'SCANNERY_CHECKSUM', path });
    writeFileSync(path, bytes);
    const error = await failureOf(openIndexWith(directory, { threads: 1 }, NAME, 'tower'));
    expect(error).toMatchObject({ code: 'SCANNERY_CHECKSUM', path });
  });

  it('is not missed by Index.open', async () => {
    writeFileSync(path, flipped(0));
    await (await Index.open(directory, { threads: 1 })).close();
    rmSync(path);
    await (await Index.open(directory, { threads: 1 })).close();
    expect((await failureOf(contents(directory))).code).toBe('SCANNERY_NOT_FOUND');
  });
});

describe('saves and readers at once', () => {
  /** Runs some work once, just before or after the companion is opened. */
  function meddle(when: 'before' | 'after', work: () => Promise<void>): void {
    const open = SavedFile.open.bind(SavedFile);
    let pending = true;
    vi.spyOn(SavedFile, 'open').mockImplementation(async (path, kind) => {
      const now = pending && kind === KIND;
      if (now) pending = false;
      if (now && when === 'before') await work();
      const file = await open(path, kind);
      if (now && when === 'after') await work();
      return file;
    });
  }

  it.runIf(process.platform !== 'win32')('a generation replaced after it was opened is read to its end', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    meddle('after', () => saveIndexWith(other, directory, otherCompanion));
    expect(await contents(directory)).toEqual(whole);
    expect(await contents(directory)).toEqual(otherWhole);
  });

  it.runIf(process.platform !== 'win32')('one replaced while it is being opened is left for the next', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    meddle('before', () => saveIndexWith(other, directory, otherCompanion));
    expect(await contents(directory)).toEqual(otherWhole);
  });

  it.runIf(process.platform !== 'win32')('one replaced by an index alone has no companion', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    meddle('before', () => other.save(directory));
    expect((await failureOf(contents(directory))).code).toBe('SCANNERY_NOT_FOUND');
  });

  it.runIf(process.platform !== 'win32')('whatever the moment, both are of one generation', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    let saving = true;
    const saves = (async () => {
      for (let i = 0; saving; i++) {
        await (i % 2 === 0
          ? saveIndexWith(other, directory, otherCompanion)
          : saveIndexWith(index, directory, companion));
      }
    })();
    const sizes = new Set<number>();
    try {
      for (let i = 0; i < 100 && (i < 10 || sizes.size < 2); i++) {
        const found = await contents(directory);
        expect(found).toEqual(found.size === 200 ? whole : otherWhole);
        sizes.add(found.size);
      }
    } finally {
      saving = false;
      await saves;
    }
    expect(sizes.size).toBe(2);
  });

  it('saves of one index happen in the order of the calls', async () => {
    const directory = fresh();
    await Promise.all([
      index.save(directory),
      saveIndexWith(index, directory, otherCompanion),
      saveIndexWith(index, directory, companion),
    ]);
    expect(await contents(directory)).toEqual(whole);
    await Promise.all([saveIndexWith(index, directory, companion), index.save(directory)]);
    expect((await failureOf(contents(directory))).code).toBe('SCANNERY_NOT_FOUND');
    expect(filesIn(directory).filter((name) => name.endsWith('index.scannery'))).toHaveLength(1);
  });

  it('a save that fails leaves what was there', async () => {
    const directory = fresh();
    await saveIndexWith(index, directory, companion);
    const before = fingerprint(directory);
    const clash = saveIndexWith(other, directory, { ...companion, name: 'index.scannery' });
    expect((await failureOf(clash)).code).toBe('SCANNERY_IO');
    expect(fingerprint(directory)).toEqual(before);
  });
});

it('a closed index is not saved', async () => {
  const directory = fresh();
  const closing = await Index.build(data, { dimensions: 8, threads: 1 });
  const save = saveIndexWith(closing, directory, companion);
  await closing.close();
  await save;
  expect(await contents(directory)).toEqual(whole);
  expect((await failureOf(saveIndexWith(closing, directory, companion))).code).toBe('SCANNERY_CLOSED');
});

it('bad arguments are refused as by Index.open', async () => {
  expect(await failureOf(openIndexWith('', {}, NAME, KIND))).toMatchObject({ option: 'directory' });
  const options = { signal: AbortSignal.abort() };
  expect((await failureOf(openIndexWith(fresh(), options, NAME, KIND))).code).toBe('SCANNERY_ABORTED');
});

it('none of this is public', () => {
  expect(Object.keys(publicNames)).toContain('Index');
  expect(Object.keys(publicNames).filter((name) => name.endsWith('With'))).toEqual([]);
});
