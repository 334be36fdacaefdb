import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import type { DataFiles } from './types.ts';

/** Most that is read or written by one call, which could not be 2 GiB. */
const CALL_BYTES = 32 << 20;
/** Small beside any index, large enough that reading costs nothing. */
const CHUNK_BYTES = 4 << 20;

const bytesOf = (numbers: Float32Array): Uint8Array =>
  new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

export function writeNumbers(file: number, numbers: Float32Array): void {
  const bytes = bytesOf(numbers);
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, Math.min(CALL_BYTES, bytes.length - done));
}

function readNumbers(file: number, target: Float32Array, position: number): void {
  const bytes = bytesOf(target);
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(file, bytes, done, Math.min(CALL_BYTES, bytes.length - done), position + done);
    if (count === 0) throw new Error('A file of vectors is cut short; remove .cache/bench and run again.');
    done += count;
  }
}

export interface Chunk {
  readonly first: number;
  readonly count: number;
  /** f32 [count x dimensions], good until the next chunk. */
  readonly vectors: Float32Array;
}

/**
 * The vectors piece by piece, so that no process need hold them all. The pieces share one array, which is overwritten when the
 * next is asked for: arrays of their own would stay until garbage is collected, and count towards an engine's peak memory.
 *
 * @param bytes size of a piece
 */
export function* chunks({ vectorsFile, rows, dimensions }: DataFiles, bytes = CHUNK_BYTES): Generator<Chunk> {
  const perChunk = Math.min(rows, Math.max(1, Math.floor(bytes / (dimensions * 4))));
  const buffer = new Float32Array(perChunk * dimensions);
  const file = openSync(vectorsFile, 'r');
  try {
    for (let first = 0; first < rows; first += perChunk) {
      const count = Math.min(perChunk, rows - first);
      const vectors = buffer.subarray(0, count * dimensions);
      readNumbers(file, vectors, first * dimensions * 4);
      yield { first, count, vectors };
    }
  } finally {
    closeSync(file);
  }
}

/** f32 [queries x dimensions] */
export function readQueries({ queriesFile, queries, dimensions }: DataFiles): Float32Array {
  const bytes = readFileSync(queriesFile);
  if (bytes.length < queries * dimensions * 4) throw new Error('The file of queries is cut short.');
  return new Float32Array(new Uint8Array(bytes).buffer, 0, queries * dimensions);
}

/** Reads single rows of the vectors, which stay on disk. */
export class RowReader {
  readonly #file: number;
  readonly #row: Float32Array;

  constructor({ vectorsFile, dimensions }: DataFiles) {
    this.#file = openSync(vectorsFile, 'r');
    this.#row = new Float32Array(dimensions);
  }

  /** f32 [dimensions], good until the next call. */
  row(index: number): Float32Array {
    readNumbers(this.#file, this.#row, index * this.#row.length * 4);
    return this.#row;
  }

  close(): void {
    closeSync(this.#file);
  }
}
