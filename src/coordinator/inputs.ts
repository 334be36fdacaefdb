import { invalid } from '../protocol/check.ts';
import { ScanneryError, show } from '../protocol/errors.ts';
import { MAX_MAGNITUDE } from '../protocol/metrics.ts';
import type { QuerySource } from './call.ts';
import type { Query } from './types.ts';

export function isVector(value: unknown): value is Query {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** The rows of a batch; `name` is what messages call it. A row is looked at when it is asked for. */
export function rowSource(batch: unknown, dimensions: number, name: 'queries' | 'vectors'): QuerySource {
  if (batch instanceof Float32Array || batch instanceof Float64Array) {
    const count = batch.length / dimensions;
    if (!Number.isInteger(count)) {
      const message = `${name} have ${batch.length} numbers, which is no multiple of ${dimensions} dimensions`;
      throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { row: Math.floor(count), value: batch.length });
    }
    return { count, row: (i) => batch.subarray(i * dimensions, (i + 1) * dimensions) };
  }
  if (!Array.isArray(batch)) throw invalid(name, batch, 'a Float32Array, a Float64Array or an array of arrays');
  const rows: readonly unknown[] = batch;
  return {
    count: rows.length,
    row: (i) => {
      const row = rows[i];
      if (isVector(row)) return row;
      throw invalid(`${name}[${i}]`, row, 'an array or typed array of numbers');
    },
  };
}

export interface Chunks {
  readonly iterable: AsyncIterable<unknown> | Iterable<unknown>;
  /** Vectors that will come, when that is known beforehand. */
  readonly expected?: (dimensions: number | undefined) => number | undefined;
}

/** The chunks of what `Index.build` was given. */
export function chunksOf(input: unknown): Chunks {
  if (typeof input === 'object' && input !== null) {
    if (Symbol.asyncIterator in input) return { iterable: input as AsyncIterable<unknown> };
    if (Symbol.iterator in input) return { iterable: input as Iterable<unknown> };
    if ('vectors' in input) {
      const { vectors } = input as { vectors: { length?: number } };
      const flat = ArrayBuffer.isView(vectors);
      return {
        iterable: [input],
        expected: (dimensions) =>
          flat ? (dimensions === undefined ? undefined : Math.ceil(vectors.length! / dimensions)) : vectors?.length,
      };
    }
  }
  throw invalid('input', input, 'an object with vectors, or an iterable of such objects');
}

/** The error for a row with what is no number, or not finite, or too large. */
export function badNumber(row: ArrayLike<unknown>, number: number): ScanneryError {
  let j = 0;
  while (typeof row[j] === 'number' && Math.abs(row[j] as number) <= MAX_MAGNITUDE) j++;
  const message = `row ${number} has ${show(row[j])} at position ${j}; numbers must be finite and of magnitude at most ${MAX_MAGNITUDE}`;
  return new ScanneryError('SCANNERY_INVALID_VECTOR', message, { row: number, value: row[j] });
}
