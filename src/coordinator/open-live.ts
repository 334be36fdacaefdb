import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid, text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { type OpenOptions, resolveOpenOptions } from '../protocol/live-options.ts';
import { wrap } from './files.ts';
import { Follower } from './follower.ts';
import { generationPath, readCurrent } from './generations.ts';
import { Live } from './live.ts';
import { DirectoryLock } from './lock.ts';
import { LOG_FILE, LOG_START, LogReader } from './log-reader.ts';
import { openIndex } from './open.ts';
import { type OpenedParts, openParts } from './parts.ts';
import { Store } from './store.ts';
import type { RepairResult } from './types.ts';

/** Opens a directory with options as `Index.open` was given them. */
export async function openLive(given: unknown, options: unknown): Promise<Live> {
  const resolved = resolveOpenOptions(options);
  const directory = text(given, 'directory');
  const { durability, readOnly, checkpointBytes, rebalanceAt } = resolved;
  if (readOnly && durability !== undefined) throw invalid('durability', durability, 'left out with readOnly');
  const read = (openOptions: OpenOptions): Promise<OpenedParts> =>
    openParts(openOptions, (kernels) => openIndex(directory, kernels, openOptions));
  if (durability === undefined) {
    const { parts, state } = await read(resolved);
    if (!readOnly) return new Live(parts, { rebalanceAt });
    // The signal was for opening.
    return new Live(parts, {
      follower: new Follower(directory, state, () => read({ ...resolved, signal: undefined })),
    });
  }
  const lock = await takeExisting(directory);
  try {
    const { parts, state } = await read(resolved);
    try {
      const store = await Store.open(directory, lock, state, parts.data, { durability, checkpointBytes });
      return new Live(parts, { store, rebalanceAt });
    } catch (error) {
      await parts.serving.stop();
      throw error;
    }
  } catch (error) {
    await lock.release().catch(() => {});
    throw error;
  }
}

/** Cuts off what follows damage in the log of a directory. */
export async function repairLog(given: unknown): Promise<RepairResult> {
  const directory = text(given, 'directory');
  const lock = await takeExisting(directory);
  try {
    const path = join(generationPath(directory, (await readCurrent(directory))!), LOG_FILE);
    const reader = await LogReader.open(path);
    if (reader === null) return { keptBytes: 0, droppedBytes: 0 };
    const { end, rest } = await reader.scan().finally(() => reader.close());
    if (rest > 0) {
      await wrap(path, async () => {
        const handle = await open(path, 'r+');
        try {
          await handle.truncate(end.offset);
          await handle.sync();
        } finally {
          await handle.close();
        }
      });
    }
    return { keptBytes: end.offset - LOG_START, droppedBytes: rest };
  } finally {
    await lock.release();
  }
}

async function takeExisting(directory: string): Promise<DirectoryLock> {
  if ((await readCurrent(directory)) !== null) return DirectoryLock.take(directory, 'writer');
  throw new ScanneryError('SCANNERY_NOT_FOUND', `${directory} holds no saved index`, { path: directory });
}
