import type { Attributes, ErrorCode, Id } from '../../index.ts';

/** Some rows of a file, in order. */
export interface RowChunk {
  /** Row-major f32, or an array per row. */
  readonly vectors: Float32Array | number[][];
  readonly ids?: readonly Id[] | undefined;
  readonly attributes?: readonly (Attributes | null | undefined)[] | undefined;
}

/** A file of vectors, with their ids and attributes if it has any. */
export interface RowsFile {
  readonly path: string;
  /** Undefined where only reading all of it tells. */
  readonly rows: number | undefined;
  readonly dimensions: number | undefined;
  /** The rows from the first on; can be read again. */
  chunks(): AsyncIterable<RowChunk>;
  /** Where a row that was read came from, for an error of this code. */
  place(row: number, code: ErrorCode): string;
}

/** The number of rows in a chunk. */
export const countOf = ({ vectors }: RowChunk, dimensions: number): number =>
  vectors instanceof Float32Array ? vectors.length / dimensions : vectors.length;

/** The rows of a chunk, an array each. */
export function vectorsOf({ vectors }: RowChunk, dimensions: number): ArrayLike<number>[] {
  if (!(vectors instanceof Float32Array)) return vectors;
  return Array.from({ length: vectors.length / dimensions }, (_, i) =>
    vectors.subarray(i * dimensions, (i + 1) * dimensions),
  );
}

/** The lines on which rows begin, kept where rows and lines do not go in step. */
export class LineNumbers {
  readonly #rows: number[] = [];
  readonly #lines: number[] = [];

  /** Tells the line of the next row. */
  add(row: number, line: number): void {
    const last = this.#rows.length - 1;
    if (last >= 0 && line - row === this.#lines[last]! - this.#rows[last]!) return;
    this.#rows.push(row);
    this.#lines.push(line);
  }

  lineOf(row: number): number {
    let at = this.#rows.length - 1;
    while (at > 0 && this.#rows[at]! > row) at--;
    return (this.#lines[at] ?? 1) + row - (this.#rows[at] ?? 0);
  }
}
