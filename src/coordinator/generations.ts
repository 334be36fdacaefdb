import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ScanneryError } from '../protocol/errors.ts';
import { damaged, FORMAT_VERSION, truncated } from '../protocol/file-format.ts';
import { xxh32 } from '../protocol/xxh32.ts';
import { wrap } from './files.ts';
import { DirectoryLock } from './lock.ts';
import { isLeftOver, temporaryPath } from './temporary-names.ts';

// A directory holds generations, each a folder of files that never change, and CURRENT, which names the one that counts.
// Renaming CURRENT is what makes a save happen; all before it is invisible, all after it only tidies up.

const CURRENT = 'CURRENT';
const GENERATION = /^generation-(\d{6,})$/;

const nameOf = (generation: number): string => `generation-${String(generation).padStart(6, '0')}`;

function currentText(generation: number): string {
  const text = `scannery ${FORMAT_VERSION} ${nameOf(generation)}`;
  return `${text} ${xxh32(Buffer.from(text)).toString(16).padStart(8, '0')}\n`;
}

/** The generation that CURRENT names, or null if there is none. */
export async function readCurrent(directory: string): Promise<number | null> {
  const path = join(directory, CURRENT);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    return wrap(path, () => Promise.reject(error));
  }
  const [magic, version, name, checksum] = text.split(/[ \n]/);
  if (text.length === 0) throw truncated(path, 1, 0);
  if (magic !== 'scannery') throw new ScanneryError('SCANNERY_BAD_MAGIC', `${path} is not a scannery file`, { path });
  if (Number(version) > FORMAT_VERSION) {
    const message = `${path} has format version ${version}; this scannery reads up to version ${FORMAT_VERSION}`;
    throw new ScanneryError('SCANNERY_NEWER_VERSION', message, { path, value: Number(version) });
  }
  const generation = Number(GENERATION.exec(name ?? '')?.[1] ?? Number.NaN);
  if (checksum === undefined || !text.endsWith('\n')) throw truncated(path, currentText(1).length, text.length);
  if (Number.isNaN(generation) || text !== currentText(generation)) throw damaged(path, 'its line');
  return generation;
}

export function generationPath(directory: string, generation: number): string {
  return join(directory, nameOf(generation));
}

/**
 * Makes a new generation of what `write` puts into the folder it is given, and makes it the current one. Until then nothing
 * of it is visible; if anything fails, nothing changes. The old ones are removed once the new one is on the disk.
 *
 * @param lock of the writer that has the directory; without, it is taken for the while
 * @returns the number of the generation
 * @throws {ScanneryError} SCANNERY_IO, SCANNERY_LOCKED
 */
export async function replaceCurrent(
  directory: string,
  write: (folder: string) => Promise<void>,
  lock?: DirectoryLock,
): Promise<number> {
  return wrap(directory, async () => {
    await mkdir(directory, { recursive: true });
    const held = lock ?? (await DirectoryLock.take(directory, 'save'));
    try {
      return await replace(directory, write, held);
    } finally {
      if (lock === undefined) await held.release();
    }
  });
}

async function replace(
  directory: string,
  write: (folder: string) => Promise<void>,
  lock: DirectoryLock,
): Promise<number> {
  const generation = (await highestGeneration(directory)) + 1;
  const temporary = temporaryPath(directory);
  const pointer = temporaryPath(directory);
  const folder = generationPath(directory, generation);
  await mkdir(temporary);
  try {
    await write(temporary);
    await syncDirectory(temporary);
    lock.check();
    await rename(temporary, folder);
    await writeText(pointer, currentText(generation));
    // A directory that names the new generation must not forget it.
    await syncDirectory(directory);
    await rename(pointer, join(directory, CURRENT));
  } catch (error) {
    for (const path of [temporary, pointer, folder]) await rm(path, { recursive: true, force: true });
    throw error;
  }
  await syncDirectory(directory);
  await removeOld(directory, generation);
  return generation;
}

// A damaged CURRENT may be replaced: the new generation gets a number above all that are there.
async function highestGeneration(directory: string): Promise<number> {
  const names = await readdir(directory);
  return Math.max(0, ...names.map((name) => Number(GENERATION.exec(name)?.[1] ?? 0)));
}

async function removeOld(directory: string, generation: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const number = GENERATION.exec(name)?.[1];
    const old = number !== undefined && Number(number) < generation;
    if (old || isLeftOver(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function writeText(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Puts on the disk which names a directory has. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return; // directories cannot be synced there
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
