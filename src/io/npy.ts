import type { FileHandle } from 'node:fs/promises';
import { integer } from '../protocol/check.ts';
import { FlatFile } from './flat-file.ts';
import { headerExtent, MOST_PREAMBLE_BYTES, type NpyHeader, parseHeader } from './npy-format.ts';
import { cut, invalidAt, readAt, withFile } from './reading.ts';
import { iterable } from './vector-file.ts';

const batchRows = integer(1);

/** A two-dimensional array in a `.npy` file. No handle is held; each pass opens the file anew. */
export class NpyFile extends FlatFile {
  /** Rows and dimensions. */
  readonly shape: readonly [rows: number, dimensions: number];

  /**
   * For `openNpy`, which has compared the header with the size of the file.
   *
   * @internal
   */
  constructor(path: string, header: NpyHeader) {
    const [rows, dimensions] = header.shape as [number, number];
    super(path, { rows, dimensions, element: header.element, offset: header.dataOffset, prefixed: false });
    this.shape = Object.freeze([rows, dimensions] as const);
  }

  /**
   * The rows in order, as f32 [rows x dimensions] with `size` rows a batch, an integer of at least 1, and maybe fewer in the
   * last. Default: 4,096. Every batch is an array of its own. Iterable many times.
   *
   * Iterating fails with SCANNERY_INVALID_DATA if a batch is too large for one array, and with SCANNERY_TRUNCATED,
   * SCANNERY_NOT_FOUND or SCANNERY_IO if the file was changed since.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION
   */
  batches(size = 4096): AsyncIterable<Float32Array> {
    const chunks = this.chunks({ rowsPerChunk: batchRows(size, 'size') });
    return iterable(async function* () {
      for await (const { vectors } of chunks) yield vectors;
    });
  }
}

/**
 * Opens a two-dimensional array of numbers that NumPy saved (`np.save`), versions 1.0 to 3.0 of the format. Floats of 2, 4 and
 * 8 bytes and integers of 1 to 8, of either byte order, become f32: the nearest, and Infinity beyond its range. Bytes after the
 * array are left alone, as NumPy does.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND; SCANNERY_BAD_MAGIC for a file of another kind; SCANNERY_TRUNCATED for one that is
 * shorter than its header says; SCANNERY_INVALID_DATA for Fortran order, another type of numbers, another number of dimensions
 * than two or a header that is not understood; SCANNERY_IO; SCANNERY_INVALID_OPTION
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export async function openNpy(path: string): Promise<NpyFile> {
  return withFile(path, async (handle) => new NpyFile(path, await readHeader(handle, path)));
}

async function readHeader(handle: FileHandle, path: string): Promise<NpyHeader> {
  const { size } = await handle.stat();
  const start = Buffer.alloc(MOST_PREAMBLE_BYTES);
  const { offset, length, version } = headerExtent(start.subarray(0, await readAt(handle, start, 0)), path);
  // Sizes of the header are believed, and memory reserved, only once the file is known to be as long.
  if (offset + length > size) throw cut(path, offset + length, size, 'its header');
  const bytes = Buffer.alloc(length);
  const got = await readAt(handle, bytes, offset);
  if (got < length) throw cut(path, offset + length, offset + got, 'its header');
  const header = parseHeader(bytes, offset, version, path);
  const [rows, dimensions, ...more] = header.shape;
  if (rows === undefined || dimensions === undefined || more.length > 0 || dimensions === 0) {
    const shape = `(${header.shape.join(', ')}${header.shape.length === 1 ? ',' : ''})`;
    throw invalidAt(path, offset, `the array has the shape ${shape} where (rows, dimensions) is needed`);
  }
  const end = header.dataOffset + rows * dimensions * header.element.bytes;
  if (end > size) throw cut(path, end, size, 'its array');
  return header;
}
