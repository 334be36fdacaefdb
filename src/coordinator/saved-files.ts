import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { abortSignal, boolean, type OptionTable, resolveOptions, text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { SavedFile, wrap } from './files.ts';
import { generationPath, readCurrent } from './generations.ts';
import { damagedLog, LOG_FILE, LOG_START, LogReader } from './log-reader.ts';

export interface SavedFilesOptions {
  /** Read all of them, and compare them with their checksums. Default false. */
  verify?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** A file of a saved index. */
export interface SavedFileInfo {
  readonly path: string;
  readonly bytes: number;
  /** Whether it is the log of what was written since the save, which `Index.repair` can mend. */
  readonly isLog: boolean;
  /** What is wrong with it, with the place; undefined if nothing was found, or was not looked for. */
  readonly damage: ScanneryError | undefined;
}

/** The files of a saved index that count. */
export interface SavedFiles {
  /** Counts the saves into the directory. */
  readonly generation: number;
  /** By name. */
  readonly files: readonly SavedFileInfo[];
  /** Bytes of writes in the log, which is one of the files; 0 if there is none. */
  readonly logBytes: number;
}

const OPTIONS: OptionTable<SavedFilesOptions> = {
  verify: { default: false, check: boolean },
  signal: { default: undefined, check: abortSignal },
};

/**
 * The files of an index that was saved in a directory, maybe compared with their checksums: each by itself, and however many are
 * damaged. Whether they belong together is seen by `Index.open`.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND; SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED and SCANNERY_CHECKSUM
 *   where the file that names the others is damaged; SCANNERY_IO, SCANNERY_INVALID_OPTION, SCANNERY_ABORTED
 */
export async function savedFiles(directory: string, options?: SavedFilesOptions): Promise<SavedFiles> {
  const { verify, signal } = resolveOptions(OPTIONS, options);
  for (;;) {
    const generation = await readCurrent(text(directory, 'directory'));
    if (generation === null) {
      throw new ScanneryError('SCANNERY_NOT_FOUND', `${directory} holds no saved index`, { path: directory });
    }
    const folder = generationPath(directory, generation);
    try {
      const files: SavedFileInfo[] = [];
      const names = await wrap(folder, () => readdir(folder));
      for (const name of names.sort()) {
        const path = join(folder, name);
        const { size: bytes } = await wrap(path, () => stat(path));
        const isLog = name === LOG_FILE;
        files.push({ path, bytes, isLog, damage: verify ? await damageOf(path, isLog, signal) : undefined });
      }
      const log = files.find(({ isLog }) => isLog);
      return { generation, files, logBytes: Math.max(0, (log?.bytes ?? 0) - LOG_START) };
    } catch (error) {
      // A save may have replaced the generation meanwhile.
      if (!isMissing(error)) throw error;
      if ((await readCurrent(directory)) !== generation) continue;
      throw new ScanneryError('SCANNERY_TRUNCATED', `${error.path} is missing`, { path: error.path!, cause: error });
    }
  }
}

function isMissing(error: unknown): error is ScanneryError {
  return error instanceof ScanneryError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}

const DAMAGE = new Set(['SCANNERY_BAD_MAGIC', 'SCANNERY_NEWER_VERSION', 'SCANNERY_TRUNCATED', 'SCANNERY_CHECKSUM']);

async function damageOf(
  path: string,
  isLog: boolean,
  signal: AbortSignal | undefined,
): Promise<ScanneryError | undefined> {
  try {
    if (isLog) await verifyLog(path);
    else await verifyFile(path, signal);
    return undefined;
  } catch (error) {
    if (error instanceof ScanneryError && DAMAGE.has(error.code)) return error;
    throw error;
  }
}

async function verifyFile(path: string, signal: AbortSignal | undefined): Promise<void> {
  const file = await SavedFile.open(path);
  try {
    await file.verify(signal);
  } finally {
    await file.close();
  }
}

async function verifyLog(path: string): Promise<void> {
  const log = await LogReader.open(path);
  if (log === null) return;
  try {
    const scan = await log.scan();
    if (scan.isDamaged) throw damagedLog(path, scan);
  } finally {
    await log.close();
  }
}
