import type { VectorChunk } from '../coordinator/types.ts';
import { integer, type OptionTable, oneOf, resolveOptions } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { ElementName } from './elements.ts';

/** Which rows of a file are read. */
export interface RowRange {
  /** The first row, an integer from 0 to the number of rows. Default: 0. */
  firstRow?: number | undefined;
  /** At most as many rows, an integer of at least 0. Default: all from the first on. */
  count?: number | undefined;
}

export interface ChunkOptions extends RowRange {
  /** Rows in every chunk but the last, an integer of at least 1. Default: 4,096. */
  rowsPerChunk?: number | undefined;
  /**
   * 'row': chunks name each vector's row in the file. 'none': they name nothing, and an index numbers vectors as they come,
   * which differs when `firstRow` is not 0. Default: 'none'.
   */
  ids?: 'none' | 'row' | undefined;
}

/** Rows of a file, in order. */
export interface FileChunk extends VectorChunk {
  /** f32 [n x dimensions], an array of its own. */
  vectors: Float32Array;
  /** Rows in the file [n]; undefined unless `ids` is 'row'. */
  ids?: number[] | undefined;
}

/** A file of vectors, all of the same length. No handle is held: each pass opens the file anew. */
export interface VectorFile {
  readonly path: string;
  readonly rows: number;
  /** Numbers per vector, at least 1. */
  readonly dimensions: number;
  /** How the file stores numbers. They become f32: the nearest, and Infinity beyond its range. */
  readonly element: ElementName;

  /**
   * The rows in order, as `Index.build` takes them; iterable many times. One chunk is held at a time.
   *
   * Iterating fails with SCANNERY_INVALID_DATA at the first row that is not what the format says, or if a chunk is too large
   * for one array; with SCANNERY_TRUNCATED, SCANNERY_NOT_FOUND or SCANNERY_IO if the file was changed since.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION
   */
  chunks(options?: ChunkOptions): AsyncIterable<FileChunk>;

  /**
   * Rows in one array, f32 [n x dimensions]. Default: all.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_DATA if they are too many for one array, and otherwise as iterating `chunks`;
   * SCANNERY_INVALID_OPTION
   */
  read(options?: RowRange): Promise<Float32Array>;
}

/** Integers of a file, such as the rows of true neighbours. */
export interface IntegerMatrix {
  rows: number;
  dimensions: number;
  /** Row-major i32 [rows x dimensions]. */
  data: Int32Array;
}

/** The rows of a range, `count` exactly. */
export interface ResolvedRange {
  readonly firstRow: number;
  readonly count: number;
}

const rangeTable = (rows: number): OptionTable<RowRange> => ({
  firstRow: { default: 0, check: integer(0, rows) },
  count: { default: rows, check: integer(0) },
});

/** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
export function resolveRange(rows: number, options: unknown): ResolvedRange {
  return clipped(rows, resolveOptions(rangeTable(rows), options));
}

/** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
export function resolveChunks(
  rows: number,
  options: unknown,
): ResolvedRange & { rowsPerChunk: number; ids: 'none' | 'row' } {
  const table: OptionTable<ChunkOptions> = {
    ...rangeTable(rows),
    rowsPerChunk: { default: 4096, check: integer(1) },
    ids: { default: 'none', check: oneOf('none', 'row') },
  };
  const resolved = resolveOptions(table, options);
  return { ...clipped(rows, resolved), rowsPerChunk: resolved.rowsPerChunk!, ids: resolved.ids! };
}

function clipped(rows: number, { firstRow, count }: Readonly<RowRange>): ResolvedRange {
  return { firstRow: firstRow!, count: Math.min(count!, rows - firstRow!) };
}

/** What a function opens, each time it is iterated. */
export function iterable<T>(open: () => AsyncIterator<T>): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: open };
}

/** Fills an array with the rows of the file from `firstRow` on. */
export type Fill = (out: Float32Array, firstRow: number) => void | Promise<void>;

/** Cuts a range into chunks that `fill` fills one after the other. */
export async function* chunked(
  file: Pick<VectorFile, 'path' | 'dimensions'>,
  options: ReturnType<typeof resolveChunks>,
  fill: Fill,
): AsyncGenerator<FileChunk> {
  const { firstRow, count, rowsPerChunk, ids } = options;
  for (let done = 0; done < count; done += rowsPerChunk) {
    const first = firstRow + done;
    const rows = Math.min(rowsPerChunk, count - done);
    const vectors = reserve(file, rows, () => new Float32Array(rows * file.dimensions));
    await fill(vectors, first);
    yield ids === 'row' ? { vectors, ids: Array.from({ length: rows }, (_, i) => first + i) } : { vectors };
  }
}

/**
 * An array for some rows of a file.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_DATA if there is none as long
 */
export function reserve<T>(file: Pick<VectorFile, 'path' | 'dimensions'>, rows: number, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const { path, dimensions } = file;
    const message = `${path}: ${rows} rows of ${dimensions} dimensions are too many for one array; read fewer at a time`;
    throw new ScanneryError('SCANNERY_INVALID_DATA', message, { path, cause: error });
  }
}
