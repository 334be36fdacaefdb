import { type FileHandle, open } from 'node:fs/promises';
import { integer, text } from '../../protocol/check.ts';
import { reading } from './data-files.ts';
import { Dataset } from './dataset.ts';
import { cut, headerExtent, invalidAt, MOST_PREAMBLE_BYTES, type NpyHeader, parseHeader } from './npy-format.ts';

const batchRows = integer(1);
/** Read at a time, and then converted. */
const PIECE_BYTES = 1 << 20;

/** A two-dimensional array in a `.npy` file. No handle is held; each pass opens the file anew. */
export class NpyFile {
  readonly path: string;
  /** Rows and dimensions. */
  readonly shape: readonly [rows: number, dimensions: number];
  readonly rows: number;
  readonly dimensions: number;
  readonly #header: NpyHeader;

  /** For `openNpy`, which has compared the header with the size of the file. */
  constructor(path: string, header: NpyHeader) {
    this.path = path;
    this.#header = header;
    [this.rows, this.dimensions] = header.shape as [number, number];
    this.shape = Object.freeze([this.rows, this.dimensions] as const);
  }

  /**
   * The rows in order, as f32 [rows x dimensions] with `size` rows a batch, an integer of at least 1, and maybe fewer in the
   * last. Default: 4,096. Every batch is an array of its own.
   *
   * Iterating fails with SCANNERY_TRUNCATED, SCANNERY_NOT_FOUND or SCANNERY_IO if the file was changed since.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION
   */
  batches(size = 4096): Dataset<Float32Array> {
    batchRows(size, 'size');
    return Dataset.from(() => this.#read(size));
  }

  /**
   * All rows, f32 [rows x dimensions].
   *
   * @throws {ScanneryError} SCANNERY_INVALID_DATA if they are too many for one array; SCANNERY_TRUNCATED, SCANNERY_NOT_FOUND or
   * SCANNERY_IO if the file was changed since
   */
  async read(): Promise<Float32Array> {
    const [all] = await this.batches(Math.max(1, this.rows)).toArray();
    return all ?? new Float32Array(0);
  }

  async *#read(size: number): AsyncGenerator<Float32Array> {
    const handle = await reading(this.path, () => open(this.path, 'r'));
    try {
      for (let row = 0; row < this.rows; row += size) {
        const batch = this.#allocate(Math.min(size, this.rows - row));
        await this.#fill(handle, batch, row * this.dimensions);
        yield batch;
      }
    } finally {
      await handle.close();
    }
  }

  #allocate(rows: number): Float32Array {
    try {
      return new Float32Array(rows * this.dimensions);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const problem = `${rows} rows of ${this.dimensions} dimensions are too many for one array; take smaller batches`;
      throw invalidAt(this.path, this.#header.dataOffset, problem);
    }
  }

  /** Fills a batch with the numbers of the array from number `first` on. */
  async #fill(handle: FileHandle, batch: Float32Array, first: number): Promise<void> {
    const { element, dataOffset } = this.#header;
    const perPiece = PIECE_BYTES / element.bytes;
    const piece = Buffer.allocUnsafe(Math.min(batch.length, perPiece) * element.bytes);
    const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    for (let done = 0; done < batch.length; done += perPiece) {
      const count = Math.min(perPiece, batch.length - done);
      const start = dataOffset + (first + done) * element.bytes;
      const length = count * element.bytes;
      const got = await reading(this.path, () => readAt(handle, piece.subarray(0, length), start));
      if (got < length)
        throw cut(this.path, dataOffset + this.rows * this.dimensions * element.bytes, start + got, 'its array');
      element.decode(view, 0, batch.subarray(done, done + count), count);
    }
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
  text(path, 'path');
  return reading(path, async () => {
    const handle = await open(path, 'r');
    try {
      return new NpyFile(path, await readHeader(handle, path));
    } finally {
      await handle.close();
    }
  });
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

/** Reads until the buffer is full or the file ends; returns the bytes read. */
async function readAt(handle: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
