import type { FileHandle } from 'node:fs/promises';
import { type ElementName, element } from './elements.ts';
import { FlatFile, type Layout, PREFIX_BYTES } from './flat-file.ts';
import { cut, invalidAt, readAt, withFile } from './reading.ts';
import type { VectorFile } from './vector-file.ts';

/**
 * Opens a file of TEXMEX: for each vector its dimension, a little-endian i32, and then its f32. Opening reads the first
 * dimension and compares it with the size of the file; whether all vectors have it is seen as they are read.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND; SCANNERY_TRUNCATED for a file that is empty or ends within a vector;
 * SCANNERY_INVALID_DATA if the first dimension is below 1, or if the size is that of no number of vectors; SCANNERY_IO;
 * SCANNERY_INVALID_OPTION
 *
 * Format: http://corpus-texmex.irisa.fr/
 */
export function openFvecs(path: string): Promise<VectorFile> {
  return openVecs(path, 'float32');
}

/** As `openFvecs`, for bytes: u8 numbers. */
export function openBvecs(path: string): Promise<VectorFile> {
  return openVecs(path, 'uint8');
}

/** As `openFvecs`, for i32 numbers; `readIntegers` keeps them integers. */
export function openIvecs(path: string): Promise<VectorFile> {
  return openVecs(path, 'int32');
}

/** For the functions above, and `readIntegers`. */
export function openVecs(path: string, name: ElementName): Promise<FlatFile> {
  return withFile(path, async (handle) => new FlatFile(path, await layoutOf(handle, path, name)));
}

async function layoutOf(handle: FileHandle, path: string, name: ElementName): Promise<Layout> {
  const { size } = await handle.stat();
  const prefix = Buffer.alloc(PREFIX_BYTES);
  const got = await readAt(handle, prefix, 0);
  if (got < PREFIX_BYTES) throw cut(path, PREFIX_BYTES, got, 'the dimension of its first vector');
  const dimensions = prefix.readInt32LE(0);
  if (dimensions < 1) throw invalidAt(path, 0, `the dimension is ${dimensions}, and at least 1 is needed`, 0);
  const type = element(name);
  const record = PREFIX_BYTES + dimensions * type.bytes;
  if (record > size) throw cut(path, record, size, `its first vector of ${dimensions} dimensions`);
  const rows = Math.floor(size / record);
  const end = rows * record;
  if (end < size) {
    // What is left begins with a dimension too if the file is cut, and with anything if vectors differ in length.
    const last = await readAt(handle, prefix, end);
    if (last < PREFIX_BYTES || prefix.readInt32LE(0) === dimensions) {
      throw cut(path, end + record, size, `its vector ${rows}`);
    }
    const counted = `${rows} vectors of ${dimensions} dimensions`;
    throw invalidAt(path, end, `${size - end} bytes are left behind ${counted}, and are no vector of the same`, rows);
  }
  return { rows, dimensions, element: type, offset: 0, prefixed: true };
}
