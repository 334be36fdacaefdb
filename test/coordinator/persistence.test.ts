import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { filesIn, fingerprint, temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { bits, CONFIG_NAMES, CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const data = clustered(400, 8);
const others = clustered(300, 8, 99);
const ids = Array.from({ length: 400 }, (_, i) => `id ${i}`);
const base = temporaryDirectory();
const options = { dimensions: 8, ...CONFIGS['tree and hashing'], shards: 2, threads: 1 };
const queries = Array.from({ length: 10 }, (_, i) => rowAt(data, 7 * i));
const fresh = (): string => mkdtempSync(join(base, 'index-'));

async function answers(index: Index): Promise<unknown[]> {
  return (await index.searchBatch(queries, { k: 15, numLeavesToSearch: 6 })).map(bits);
}

async function answersOf(directory: string): Promise<unknown[]> {
  await using index = await Index.open(directory, { threads: 1 });
  return answers(index);
}

let index: Index;
let other: Index;
let right: unknown[];
let otherRight: unknown[];
beforeAll(async () => {
  index = await Index.build({ ...data, ids }, options);
  other = await Index.build(others, { ...options, metric: 'squared_l2', shards: 3 });
  right = await answers(index);
  otherRight = await answers(other);
});
afterAll(() => Promise.all([index.close(), other.close()]));

describe('a saved index', () => {
  it.each([
    ...CONFIG_NAMES.flatMap((name) => (['float32', 'bfloat16', 'int8'] as const).map((vectors) => ({ name, vectors }))),
    ...(['hashing only', 'tree and hashing'] as const).map((name) => ({ name, vectors: false as const })),
  ])('comes back as it was: $name, vectors as $vectors', async ({ name, vectors }) => {
    const directory = fresh();
    const reordering = vectors === false ? false : { vectors };
    await using built = await Index.build(
      { ...data, ids },
      { ...options, ...CONFIGS[name], metric: 'squared_l2', reordering, defaults: { k: 3 } },
    );
    await built.save(directory);
    await using opened = await Index.open(directory, { threads: 1 });
    expect(await answers(opened)).toEqual(await answers(built));
    expect((await opened.search(queries[0]!)).ids).toHaveLength(3);
    const { queries: _, bytes: __, shards: ___, ...described } = built.stats();
    expect(opened.stats()).toMatchObject(described);
    await opened.save(`${directory}/again`);
    expect(fingerprint(`${directory}/again`)).toEqual(
      Object.fromEntries(Object.entries(fingerprint(directory)).filter(([file]) => !file.startsWith('again'))),
    );
  });

  it('may be moved', async () => {
    const directory = fresh();
    await index.save(directory);
    renameSync(directory, `${directory}-moved`);
    expect(await answersOf(`${directory}-moved`)).toEqual(right);
  });

  it('needs no checksums compared', async () => {
    const directory = fresh();
    await index.save(directory);
    await using opened = await Index.open(directory, { verifyChecksums: false, threads: 1 });
    expect(await answers(opened)).toEqual(right);
  });

  it('may have no vectors', async () => {
    const directory = fresh();
    await using empty = await Index.build([], { ...options, metric: 'cosine' });
    await empty.save(directory);
    await using opened = await Index.open(directory, { threads: 1 });
    expect([opened.size, opened.dimensions, opened.metric]).toEqual([0, 8, 'cosine']);
    expect((await opened.search(queries[0]!)).ids).toEqual([]);
  });

  it('lies in directories that are made when they are missing', async () => {
    const directory = join(fresh(), 'a', 'b');
    await index.save(directory);
    expect(await answersOf(directory)).toEqual(right);
  });
});

describe('saving again', () => {
  it('replaces what was saved, and leaves one generation', async () => {
    const directory = fresh();
    await index.save(directory);
    await other.save(directory);
    expect(await answersOf(directory)).toEqual(otherRight);
    await index.save(directory);
    expect(await answersOf(directory)).toEqual(right);
    expect(readdirSync(directory).sort()).toEqual(['CURRENT', 'generation-000003']);
  });

  it('leaves an index that was opened before as it is', async () => {
    const directory = fresh();
    await index.save(directory);
    await using opened = await Index.open(directory, { threads: 1 });
    await other.save(directory);
    expect(await answers(opened)).toEqual(right);
    await opened.save(directory);
    expect(await answersOf(directory)).toEqual(right);
  });

  it('goes well while others do the same', async () => {
    const directory = fresh();
    await Promise.all([index.save(directory), other.save(directory), index.save(directory), other.save(directory)]);
    expect([right, otherRight]).toContainEqual(await answersOf(directory));
    expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('does not disturb those who open at that time', async () => {
    const directory = fresh();
    await index.save(directory);
    let saving = true;
    const writer = (async () => {
      for (let i = 0; i < 8; i++) await (i % 2 ? index : other).save(directory);
      saving = false;
    })();
    let opens = 0;
    do {
      expect([right, otherRight]).toContainEqual(await answersOf(directory));
      opens++;
    } while (saving);
    await writer;
    expect(opens).toBeGreaterThan(0);
  });

  it('removes what a process that died has left, and nothing of one that lives', async () => {
    const directory = fresh();
    await index.save(directory);
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    for (const pid of [dead, process.pid]) {
      mkdirSync(join(directory, `.scannery-${pid}-abc123.tmp`));
      writeFileSync(join(directory, `.scannery-${pid}-abc123.tmp`, 'index.scannery'), 'half');
    }
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await index.save(directory);
    expect(readdirSync(directory).sort()).toEqual(
      [`.scannery-${process.pid}-abc123.tmp`, 'CURRENT', 'generation-000002', 'notes.txt'].sort(),
    );
    expect(await answersOf(directory)).toEqual(right);
  });

  it('goes on from a CURRENT that is damaged', async () => {
    const directory = fresh();
    await index.save(directory);
    writeFileSync(join(directory, 'CURRENT'), 'scannery 1 generation-00');
    await other.save(directory);
    expect(await answersOf(directory)).toEqual(otherRight);
  });
});

describe('a save that fails', () => {
  it('because there is a file in its place, changes nothing', async () => {
    const file = join(fresh(), 'file');
    writeFileSync(file, 'mine');
    for (const path of [file, join(file, 'below')]) {
      const error = await failureOf(index.save(path));
      expect(error).toMatchObject({ code: 'SCANNERY_IO', path });
      expect(['EEXIST', 'ENOTDIR']).toContain((error.cause as NodeJS.ErrnoException).code);
    }
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect(await answers(index)).toEqual(right);
  });

  it('because CURRENT cannot be replaced, leaves nothing behind', async () => {
    const directory = fresh();
    mkdirSync(join(directory, 'CURRENT', 'in the way'), { recursive: true });
    expect((await failureOf(index.save(directory))).code).toBe('SCANNERY_IO');
    expect(readdirSync(directory)).toEqual(['CURRENT']);
    expect(existsSync(join(directory, 'CURRENT', 'in the way'))).toBe(true);
    rmSync(join(directory, 'CURRENT'), { recursive: true });
    await index.save(directory);
    expect(await answersOf(directory)).toEqual(right);
  });

  it('does not keep the next one from working', async () => {
    const file = join(fresh(), 'file');
    const directory = fresh();
    writeFileSync(file, '');
    const [failed, worked] = await Promise.allSettled([index.save(file), index.save(directory)]);
    expect([failed.status, worked.status]).toEqual(['rejected', 'fulfilled']);
    expect(await answersOf(directory)).toEqual(right);
  });
});

describe('what is no saved index', () => {
  it.each([
    ['an empty directory', () => fresh()],
    ['a missing directory', () => join(base, 'missing')],
    ['a file', () => fileIn(fresh())],
  ])('is not found: %s', async (_, make) => {
    const path = make();
    expect(await failureOf(Index.open(path))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path });
  });

  function fileIn(directory: string): string {
    writeFileSync(join(directory, 'file'), 'x');
    return join(directory, 'file');
  }

  it('is an input-output error where CURRENT cannot be read', async () => {
    const directory = fresh();
    mkdirSync(join(directory, 'CURRENT'));
    const error = await failureOf(Index.open(directory));
    expect(error).toMatchObject({ code: 'SCANNERY_IO', path: join(directory, 'CURRENT') });
  });
});

it('each file is missed, and named, when it is gone', async () => {
  const directory = fresh();
  await index.save(directory);
  const files = filesIn(directory).filter((name) => name !== 'CURRENT');
  expect(files).toHaveLength(2);
  for (const name of files) {
    const copy = fresh();
    cpSync(directory, copy, { recursive: true });
    expect(statSync(join(copy, name)).size).toBeGreaterThan(4096);
    rmSync(join(copy, name));
    expect(await failureOf(Index.open(copy))).toMatchObject({ code: 'SCANNERY_TRUNCATED', path: join(copy, name) });
  }
});
