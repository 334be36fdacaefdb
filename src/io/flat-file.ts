import { type FileHandle, open } from 'node:fs/promises';
import type { Element, ElementName, Numbers } from './elements.ts';
import { cut, invalidAt, readAt, reading } from './reading.ts';
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

/** Read at a time, and then converted. */
const PIECE_BYTES = 1 << 20;

/** Where vectors lie in a file: one behind the other from `offset` on. */
export interface Layout {
  readonly rows: number;
  readonly dimensions: number;
  readonly element: Element;
  /** Bytes before the first vector. */
  readonly offset: number;
  /** Each vector follows its own dimension, an i32; otherwise numbers follow numbers. */
  readonly prefixed: boolean;
}

/** Bytes that a prefix takes. */
export const PREFIX_BYTES = 4;

/** Vectors one behind the other, in a file whose size has been compared with its layout. */
export class FlatFile implements VectorFile {
  readonly path: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly element: ElementName;
  readonly #layout: Layout;

  /** @internal */
  constructor(path: string, layout: Layout) {
    this.path = path;
    this.rows = layout.rows;
    this.dimensions = layout.dimensions;
    this.element = layout.element.name;
    this.#layout = layout;
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
   * All numbers as integers. For files whose `element` is 'int32'.
   *
   * @internal
   */
  async readIntegers(): Promise<IntegerMatrix> {
    const { rows, dimensions } = this;
    return { rows, dimensions, data: await this.#all(0, rows, (length) => new Int32Array(length)) };
  }

  async *#chunks(options: ReturnType<typeof resolveChunks>): AsyncGenerator<FileChunk> {
    if (options.count === 0) return;
    const handle = await reading(this.path, () => open(this.path, 'r'));
    try {
      yield* chunked(this, options, (out, firstRow) => this.#fill(handle, out, firstRow));
    } finally {
      await handle.close();
    }
  }

  async #all<T extends Numbers>(firstRow: number, count: number, make: (length: number) => T): Promise<T> {
    if (count === 0) return make(0);
    const handle = await reading(this.path, () => open(this.path, 'r'));
    try {
      const out = reserve(this, count, () => make(count * this.dimensions));
      await this.#fill(handle, out, firstRow);
      return out;
    } finally {
      await handle.close();
    }
  }

  /** Fills an array with the file's rows from one on. Where nothing stands between vectors, a piece may end within one. */
  async #fill(handle: FileHandle, out: Numbers, firstRow: number): Promise<void> {
    const { element, dimensions, offset, prefixed, rows } = this.#layout;
    const prefix = prefixed ? PREFIX_BYTES : 0;
    const rowBytes = prefix + dimensions * element.bytes;
    const numbers = prefixed ? dimensions : 1; // of a unit, which is read whole
    const unitBytes = prefixed ? rowBytes : element.bytes;
    const units = out.length / numbers;
    const perPiece = Math.max(1, Math.floor(PIECE_BYTES / unitBytes));
    const piece = reserve(this, 1, () => Buffer.allocUnsafe(Math.min(units, perPiece) * unitBytes));
    const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    for (let done = 0; done < units; done += perPiece) {
      const count = Math.min(perPiece, units - done);
      const start = offset + firstRow * rowBytes + done * unitBytes;
      const bytes = piece.subarray(0, count * unitBytes);
      const got = await reading(this.path, () => readAt(handle, bytes, start));
      if (got < bytes.length) {
        const { size } = await reading(this.path, () => handle.stat());
        throw cut(this.path, offset + rows * rowBytes, size, 'its array');
      }
      if (!prefixed) element.decode(view, 0, out.subarray(done, done + count), count);
      for (let i = 0; prefixed && i < count; i++) {
        const at = i * rowBytes;
        this.#checkPrefix(view.getInt32(at, true), start + at, firstRow + done + i);
        const first = (done + i) * dimensions;
        element.decode(view, at + prefix, out.subarray(first, first + dimensions), dimensions);
      }
    }
  }

  #checkPrefix(found: number, offset: number, row: number): void {
    if (found === this.dimensions) return;
    const problem = `vector ${row} has the dimension ${found} where that of the first is ${this.dimensions}`;
    throw invalidAt(this.path, offset, problem, row);
  }
}
