import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type OptionTable, resolveOptions, text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { ElementName, Numbers } from './elements.ts';
import { type H5Dataset, type H5Group, type Hdf5Library, hdf5Library, isDataset, isGroup } from './h5wasm.ts';
import { eofAddress, SUPERBLOCK_BYTES, signatureAt } from './hdf5-superblock.ts';
import { cut, readAt, reading } from './reading.ts';
import {
  type ChunkOptions,
  chunked,
  type FileChunk,
  type IntegerMatrix,
  iterable,
  type RowRange,
  reserve,
  resolveChunks,
  resolveRange,
  type VectorFile,
} from './vector-file.ts';

/** Read at a time by the library, into memory of its own. */
const PIECE_BYTES = 1 << 22;

export interface Hdf5Options {
  /** Name of the dataset, a path within the file. Default: 'train', or 'neighbors' for `readIntegers`. */
  dataset?: string | undefined;
  /** The module `h5wasm/node`, where importing it by that name would find none or another. Default: imported by name. */
  runtime?: unknown;
}

const OPTIONS: OptionTable<Hdf5Options> = {
  dataset: { default: 'train', check: text },
  runtime: { default: undefined, check: (value) => value },
};

/** A two-dimensional dataset of an HDF5 file. */
export class Hdf5File implements VectorFile {
  readonly path: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly element: ElementName;
  /** Name of the dataset. */
  readonly dataset: string;
  /** The file's attribute `distance`, such as 'angular' or 'euclidean'; undefined without one. */
  readonly distance: string | undefined;
  readonly #library: Hdf5Library;

  /** @internal */
  constructor(path: string, dataset: string, library: Hdf5Library) {
    this.path = path;
    this.dataset = dataset;
    this.#library = library;
    const file = library.use(path, () => library.open(resolve(path)));
    try {
      [this.rows, this.dimensions, this.element, this.distance] = library.use(path, () => {
        const found = this.#find(file);
        const distance = file.attrs.distance?.value;
        return [...this.#shape(found), this.#type(found), typeof distance === 'string' ? distance : undefined] as const;
      });
    } finally {
      file.close();
    }
  }

  chunks(options?: ChunkOptions): AsyncIterable<FileChunk> {
    const resolved = resolveChunks(this.rows, options);
    return iterable(() => this.#chunks(resolved));
  }

  async read(options?: RowRange): Promise<Float32Array> {
    const { firstRow, count } = resolveRange(this.rows, options);
    return this.#all(firstRow, count, (length) => new Float32Array(length));
  }

  /**
   * All numbers as integers.
   *
   * @internal
   * @throws {ScanneryError} SCANNERY_INVALID_DATA if the dataset is one of floats, or a number is beyond 32 bits
   */
  async readIntegers(): Promise<IntegerMatrix> {
    const { rows, dimensions, element } = this;
    if (element.startsWith('float')) throw this.#invalid(`is of type ${element}, and integers are needed`);
    return { rows, dimensions, data: await this.#all(0, rows, (length) => new Int32Array(length)) };
  }

  async *#chunks(options: ReturnType<typeof resolveChunks>): AsyncGenerator<FileChunk> {
    if (options.count === 0) return;
    await readable(this.path);
    const { found, close } = this.#open();
    try {
      yield* chunked(this, options, (out, firstRow) => this.#fill(found, out, firstRow));
    } finally {
      close();
    }
  }

  async #all<T extends Numbers>(firstRow: number, count: number, make: (length: number) => T): Promise<T> {
    await readable(this.path);
    const { found, close } = this.#open();
    try {
      const out = reserve(this, count, () => make(count * this.dimensions));
      this.#fill(found, out, firstRow);
      return out;
    } finally {
      close();
    }
  }

  /** Opens the file anew, and makes sure that it is still the same. */
  #open(): { found: H5Dataset; close: () => void } {
    const file = this.#library.use(this.path, () => this.#library.open(resolve(this.path)));
    try {
      const found = this.#library.use(this.path, () => {
        const again = this.#find(file);
        const same = `${[this.rows, this.dimensions, this.element]}`;
        const now = `${[...this.#shape(again), this.#type(again)]}`;
        if (same !== now) throw this.#invalid(`was changed: rows, dimensions and type were ${same} and are ${now}`);
        return again;
      });
      return { found, close: () => void file.close() };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #fill(found: H5Dataset, out: Numbers, firstRow: number): void {
    const { rows, dimensions } = { rows: out.length / this.dimensions, dimensions: this.dimensions };
    const perPiece = Math.max(1, Math.floor(PIECE_BYTES / (dimensions * found.metadata.size)));
    for (let done = 0; done < rows; done += perPiece) {
      const [start, end] = [firstRow + done, firstRow + Math.min(done + perPiece, rows)];
      const piece = this.#library.use(this.path, () => found.slice([[start, end], []]));
      const expected = (end - start) * dimensions;
      if (!isNumbers(piece) || piece.length !== expected) {
        throw this.#invalid(`gives no ${expected} numbers from row ${start} on`);
      }
      this.#convert(piece, out, done * dimensions, start);
    }
  }

  #convert(piece: ArrayLike<number | bigint>, out: Numbers, at: number, firstRow: number): void {
    const whole = out instanceof Int32Array;
    for (let i = 0; i < piece.length; i++) {
      const value = Number(piece[i]);
      out[at + i] = value;
      if (!whole || out[at + i] === value) continue;
      const row = firstRow + Math.floor(i / this.dimensions);
      throw this.#invalid(`has ${piece[i]} in row ${row}, which is no integer of 32 bits`, row);
    }
  }

  #find(file: ReturnType<Hdf5Library['open']>): H5Dataset {
    const found = objectAt(file, this.dataset);
    if (isDataset(found)) return found;
    const top = file.keys().join(', ') || 'none';
    const message = `${this.path} has no dataset ${this.dataset}; at its top are ${top}`;
    const details = { option: 'dataset', value: this.dataset, path: this.path };
    throw new ScanneryError('SCANNERY_INVALID_OPTION', message, details);
  }

  #shape({ metadata: { shape } }: H5Dataset): [rows: number, dimensions: number] {
    const [rows, dimensions, ...more] = shape ?? [];
    if (rows !== undefined && dimensions !== undefined && more.length === 0 && dimensions > 0)
      return [rows, dimensions];
    throw this.#invalid(`has the shape (${shape?.join(', ') ?? ''}) where (rows, dimensions) is needed`);
  }

  #type({ metadata: { type, size, signed } }: H5Dataset): ElementName {
    const bits = 8 * size;
    if (type === 1 && (bits === 32 || bits === 64)) return `float${bits}`;
    if (type === 0 && (bits === 8 || bits === 16 || bits === 32 || bits === 64))
      return `${signed ? '' : 'u'}int${bits}`;
    const known = 'floats of 32 and 64 bits and integers of 8 to 64';
    throw this.#invalid(`has elements of type ${type} (of HDF5) and ${bits} bits, and known are ${known}`);
  }

  #invalid(problem: string, row?: number): ScanneryError {
    const details = { path: this.path, ...(row === undefined ? {} : { row }) };
    return new ScanneryError('SCANNERY_INVALID_DATA', `${this.path}: the dataset ${this.dataset} ${problem}`, details);
  }
}

/**
 * Opens a dataset of an HDF5 file, as of ann-benchmarks: `train`, `test`, `neighbors` or `distances`, or any other with two
 * dimensions. It is read by the optional package h5wasm (`npm install h5wasm`), on the caller's thread, in pieces.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND; SCANNERY_BAD_MAGIC for a file of another kind; SCANNERY_TRUNCATED for one that is
 * shorter than it says; SCANNERY_INVALID_DATA for a damaged one, or a dataset that is no matrix of numbers, or without columns;
 * SCANNERY_INVALID_OPTION, with option 'dataset' if there is none of that name; SCANNERY_MISSING_PACKAGE; SCANNERY_IO
 *
 * Format: https://github.com/erikbern/ann-benchmarks#data-sets
 */
export async function openHdf5(path: string, options?: Hdf5Options): Promise<Hdf5File> {
  text(path, 'path');
  const { dataset, runtime } = resolveOptions(OPTIONS, options);
  await readable(path);
  return new Hdf5File(path, dataset!, await hdf5Library(runtime));
}

/** Makes sure that there is an HDF5 file, and not cut, before the library is asked, which tells little of what is wrong. */
async function readable(path: string): Promise<void> {
  await reading(path, async () => {
    const handle = await open(path, 'r');
    try {
      await checkSuperblock(handle, path);
    } finally {
      await handle.close();
    }
  });
}

async function checkSuperblock(handle: FileHandle, path: string): Promise<void> {
  const { size } = await handle.stat();
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  // The signature is at the start of the file, or behind a block of the user's whose size is a power of two from 512 on.
  for (let at = 0; at === 0 || at < size; at = at === 0 ? 512 : 2 * at) {
    const got = await readAt(handle, bytes, at);
    if (!signatureAt(bytes.subarray(0, got))) continue;
    const end = eofAddress(bytes.subarray(0, got));
    if (end === undefined) throw cut(path, at + SUPERBLOCK_BYTES, size, 'its superblock');
    if (at + end > size) throw cut(path, at + end, size, 'what its superblock tells of');
    return;
  }
  throw new ScanneryError('SCANNERY_BAD_MAGIC', `${path} is no HDF5 file: no signature is at byte 0, 512, 1024, …`, {
    path,
  });
}

/** What a path leads to, from group to group; asking for what is not there is an error of the library's. */
function objectAt(file: H5Group, path: string): unknown {
  let found: unknown = file;
  for (const name of path.split('/').filter((part) => part !== '')) {
    if (!isGroup(found) || !found.keys().includes(name)) return undefined;
    found = found.get(name);
  }
  return found;
}

function isNumbers(value: unknown): value is ArrayLike<number | bigint> {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}
