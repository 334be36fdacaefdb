import type { FileHandle } from 'node:fs/promises';
import { type ElementName, element } from './elements.ts';
import { FlatFile, type Layout } from './flat-file.ts';
import { cut, invalidAt, readAt, withFile } from './reading.ts';
import type { VectorFile } from './vector-file.ts';

/** Rows and dimensions, a u32 each. */
const HEADER_BYTES = 8;

/**
 * Opens a file of the big-ann benchmarks: the number of vectors and their dimension, two little-endian u32, and then f32
 * numbers, row after row. The size of the file must be what these say.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND; SCANNERY_TRUNCATED for a file that is shorter than its header says;
 * SCANNERY_INVALID_DATA for a longer one, or a dimension of 0; SCANNERY_IO; SCANNERY_INVALID_OPTION
 *
 * Format: https://big-ann-benchmarks.com/neurips21.html#bench-datasets
 */
export function openFbin(path: string): Promise<VectorFile> {
  return openBin(path, 'float32');
}

/** As `openFbin`, for bytes: u8 numbers. */
export function openU8bin(path: string): Promise<VectorFile> {
  return openBin(path, 'uint8');
}

/** As `openFbin`, for signed bytes: i8 numbers. */
export function openI8bin(path: string): Promise<VectorFile> {
  return openBin(path, 'int8');
}

/** As `openFbin`, for i32 numbers; `readIntegers` keeps them integers. */
export function openIbin(path: string): Promise<VectorFile> {
  return openBin(path, 'int32');
}

/** For the functions above, and `readIntegers`. */
export function openBin(path: string, name: ElementName): Promise<FlatFile> {
  return withFile(path, async (handle) => new FlatFile(path, await layoutOf(handle, path, name)));
}

async function layoutOf(handle: FileHandle, path: string, name: ElementName): Promise<Layout> {
  const { size } = await handle.stat();
  const header = Buffer.alloc(HEADER_BYTES);
  const got = await readAt(handle, header, 0);
  if (got < HEADER_BYTES) throw cut(path, HEADER_BYTES, got, 'its header');
  const [rows, dimensions] = [header.readUInt32LE(0), header.readUInt32LE(4)];
  if (dimensions === 0) throw invalidAt(path, 4, 'the dimension is 0, and at least 1 is needed');
  const type = element(name);
  const end = HEADER_BYTES + rows * dimensions * type.bytes;
  const what = `its array of ${rows} rows and ${dimensions} dimensions`;
  if (end > size) throw cut(path, end, size, what);
  if (end < size) throw invalidAt(path, end, `${what} ends here, and the file has ${size - end} bytes more`);
  return { rows, dimensions, element: type, offset: HEADER_BYTES, prefixed: false };
}
