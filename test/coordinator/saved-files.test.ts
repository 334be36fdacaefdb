import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import { Index, savedFiles } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { clustered } from '../support/vectors.ts';

async function saved(): Promise<string> {
  const directory = join(temporaryDirectory(), 'index');
  await using index = await Index.build(clustered(300, 8, 3), { dimensions: 8, threads: 1, shards: 1 });
  await index.save(directory);
  return directory;
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

const names = (files: readonly { path: string }[]): string[] => files.map(({ path }) => basename(path));

it('lists the files that count, with their bytes', async () => {
  const directory = await saved();
  const { generation, files, logBytes } = await savedFiles(directory);
  expect({ generation, logBytes }).toEqual({ generation: 1, logBytes: 0 });
  expect(names(files)).toEqual(['index.scannery', 'shard-0000.scannery']);
  for (const { path, bytes, damage } of files) {
    expect({ bytes, damage }).toEqual({ bytes: readFileSync(path).length, damage: undefined });
  }
});

it('counts what was written into the log', async () => {
  const directory = await saved();
  const index = await Index.open(directory, { durability: 'none', threads: 1 });
  await index.delete([1, 2]);
  const { bytes } = index.stats().log!;
  await index.close();
  const { files, logBytes } = await savedFiles(directory, { verify: true });
  expect(names(files.filter(({ isLog }) => isLog))).toEqual(['log.scannery']);
  expect(logBytes).toBe(bytes);
  expect(files.every(({ damage }) => damage === undefined)).toBe(true);
});

it('finds every damaged file, and where', async () => {
  const directory = await saved();
  const index = await Index.open(directory, { durability: 'none', threads: 1 });
  await index.delete([1]);
  await index.delete([2]);
  await index.delete([3]);
  await index.close();
  const [indexFile, log, shard] = (await savedFiles(directory)).files.map(({ path }) => path) as [
    string,
    string,
    string,
  ];
  truncateSync(indexFile, 100);
  flip(log, 4096 + 40);
  flip(shard, 5000);
  const { files } = await savedFiles(directory, { verify: true });
  expect(files.map(({ damage }) => damage?.code)).toEqual([
    'SCANNERY_TRUNCATED',
    'SCANNERY_CHECKSUM',
    'SCANNERY_CHECKSUM',
  ]);
  expect(files.map(({ damage }) => damage?.path)).toEqual([indexFile, log, shard]);
  expect(files[2]!.damage!.message).toMatch(/section \d+, bytes \d+ to \d+/);
  expect(files[1]!.damage!.message).toContain('from byte 4096 on');
  expect((await savedFiles(directory)).files.every(({ damage }) => damage === undefined)).toBe(true);
});

it('refuses directories without an index, wrong options, and what was aborted', async () => {
  const directory = await saved();
  expect((await failureOf(savedFiles('nowhere'))).code).toBe('SCANNERY_NOT_FOUND');
  expect((await failureOf(savedFiles(directory, { verify: 1 as never }))).option).toBe('verify');
  const aborted = await failureOf(savedFiles(directory, { verify: true, signal: AbortSignal.abort() }));
  expect(aborted.code).toBe('SCANNERY_ABORTED');
  rmSync(join(directory, 'generation-000001'), { recursive: true });
  expect(existsSync(directory)).toBe(true);
  expect((await failureOf(savedFiles(directory))).code).toBe('SCANNERY_TRUNCATED');
  writeFileSync(join(directory, 'CURRENT'), 'something else\n');
  expect((await failureOf(savedFiles(directory))).code).toBe('SCANNERY_BAD_MAGIC');
});
