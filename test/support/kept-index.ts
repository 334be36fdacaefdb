import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect } from 'vitest';
import { contentOf, difference, type Rows } from '../../scripts/crash-test/content.ts';
import { generationPath, readCurrent } from '../../src/coordinator/generations.ts';
import { LOG_FILE, LOG_START } from '../../src/coordinator/log-reader.ts';
import { type BuildOptions, type Id, Index, type OpenOptions, type UpsertResult } from '../../src/index.ts';
import { decodeFrameHeader, FRAME_HEADER_BYTES } from '../../src/protocol/log-format.ts';
import { copyUnlocked, temporaryDirectory } from './directories.ts';
import { CONFIGS, clustered } from './vectors.ts';

export const DIMENSIONS = 6;
export const SIZE = 120;
const data = clustered(SIZE, DIMENSIONS, 17);

/** Saves an index of SIZE vectors, with ids 'id 0', 'id 1', ... */
export async function saveSmallIndex(directory: string, options: BuildOptions = {}): Promise<string> {
  const ids = Array.from({ length: SIZE }, (_, i) => `id ${i}`);
  const build = { ...CONFIGS['tree and hashing'], metric: 'squared_l2', dimensions: DIMENSIONS, threads: 1, shards: 2 };
  await using index = await Index.build({ ...data, ids }, { ...(build as BuildOptions), ...options });
  await index.save(directory);
  return directory;
}

/** Copies of one saved index, made before the tests of a file: each call gives the directory of another. */
export function savedCopies(): () => string {
  const base = temporaryDirectory();
  const saved = join(base, 'saved');
  beforeAll(() => saveSmallIndex(saved));
  return () => copyUnlocked(saved, mkdtempSync(join(base, 'kept-')));
}

/** A vector that tells which it is. */
export const vectorOf = (n: number): Float32Array => Float32Array.from({ length: DIMENSIONS }, (_, j) => n + j / 8);

/** Where the log of a directory is. */
export async function logPath(directory: string): Promise<string> {
  return join(generationPath(directory, (await readCurrent(directory))!), LOG_FILE);
}

/** Where each frame of a log begins, and where the last one ends. */
export async function framesOf(directory: string): Promise<number[]> {
  const bytes = readFileSync(await logPath(directory));
  const offsets = [LOG_START];
  for (let at = LOG_START; ; ) {
    const header = decodeFrameHeader(bytes, at);
    if (header === null) return offsets;
    at += FRAME_HEADER_BYTES + header.length;
    offsets.push(at);
  }
}

export function openKept(directory: string, options: OpenOptions = {}): Promise<Index> {
  return Index.open(directory, { threads: 1, durability: 'always', ...options });
}

export function upsert(index: Index, id: Id, n: number): Promise<UpsertResult> {
  return index.upsert({ ids: [id], vectors: vectorOf(n) });
}

/** What a directory holds for those who open it now. */
export async function storedIn(directory: string): Promise<Rows> {
  await using index = await Index.open(directory, { threads: 1 });
  return await contentOf(index);
}

/** Closes an index, and looks whether its directory holds what it held. */
export async function expectKept(index: Index, directory: string): Promise<void> {
  const rows = await contentOf(index);
  await index.close();
  expect(difference(await storedIn(directory), rows)).toBeUndefined();
}
