import { type FileHandle, open } from 'node:fs/promises';
import { text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';

/** Read by one call of the operating system at most; it refuses 2 GiB. */
const MOST_BYTES_AT_ONCE = 1 << 30;

/** Turns an error of the operating system or of zlib into one of ours. */
export async function reading<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ScanneryError) throw error;
    const { code = '', errno, message } = error as NodeJS.ErrnoException;
    const details = { path, cause: error };
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new ScanneryError('SCANNERY_NOT_FOUND', `${path} does not exist`, details);
    }
    if (code === 'Z_BUF_ERROR') {
      throw new ScanneryError('SCANNERY_TRUNCATED', `${path} is cut: its gzip stream does not end`, details);
    }
    if (code.startsWith('Z_')) {
      throw new ScanneryError('SCANNERY_INVALID_DATA', `${path} is no gzip file, or is damaged: ${message}`, details);
    }
    if (errno === undefined && !code.startsWith('ERR_FS_')) throw error;
    throw new ScanneryError('SCANNERY_IO', `${path}: ${message}`, details);
  }
}

/** Opens a file for as long as `read` takes. The path is checked first. */
export async function withFile<T>(path: string, read: (handle: FileHandle) => Promise<T>): Promise<T> {
  text(path, 'path');
  return reading(path, async () => {
    const handle = await open(path, 'r');
    try {
      return await read(handle);
    } finally {
      await handle.close();
    }
  });
}

/** Reads until the buffer is full or the file ends; returns the bytes read. */
export async function readAt(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const length = Math.min(buffer.length - done, MOST_BYTES_AT_ONCE);
    const { bytesRead } = await handle.read(buffer, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** A file of `size` bytes, where a part of it would end at byte `needed`. */
export function cut(path: string, needed: number, size: number, what: string): ScanneryError {
  const message = `${path} is cut: ${what} would end at byte ${needed}, and the file at byte ${size}`;
  return new ScanneryError('SCANNERY_TRUNCATED', message, { path, value: size });
}

/** What is wrong at a byte of a file, counted from 0; `row` is the vector at fault, from 0. */
export function invalidAt(path: string, offset: number, problem: string, row?: number): ScanneryError {
  const details = row === undefined ? { path } : { path, row };
  return new ScanneryError('SCANNERY_INVALID_DATA', `${path}, byte ${offset}: ${problem}`, details);
}
