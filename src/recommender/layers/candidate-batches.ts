import { badNumber } from '../../coordinator/inputs.ts';
import type { Id, VectorsInput } from '../../coordinator/types.ts';
import { invalid } from '../../protocol/check.ts';
import { ScanneryError, show } from '../../protocol/errors.ts';
import { MAX_DIMENSIONS } from '../../protocol/metrics.ts';
import { type IdentifiersInput, isIdentifierList } from './identifiers.ts';

/**
 * A batch of candidates: embeddings [n x dimensions], alone or after n identifiers. In a pair, identifiers are an array or a
 * typed array of integers; two float arrays, or two arrays of numbers, are two rows.
 */
export type CandidateBatch =
  | VectorsInput
  | readonly [identifiers: readonly Id[] | IdentifiersInput, embeddings: VectorsInput];

/** Batches of candidates, all with identifiers or all without. */
export type CandidateDataset = AsyncIterable<CandidateBatch> | Iterable<CandidateBatch>;

/** A batch whose shape has been checked, though not its numbers. */
export interface CheckedBatch {
  readonly vectors: VectorsInput;
  readonly identifiers: IdentifiersInput | undefined;
  /** Candidates, at least 1. */
  readonly count: number;
  /** Row of the first of them, over all batches. */
  readonly firstRow: number;
  readonly dimensions: number;
}

/** Checks batches one after the other: that they agree on dimensions, and on having identifiers. */
export class BatchReader {
  /** Undefined until it is known. */
  dimensions: number | undefined;
  /** Candidates so far. */
  rows = 0;
  #identified: boolean | undefined;

  constructor(dimensions: number | undefined) {
    this.dimensions = dimensions;
  }

  /**
   * Batches of a dataset; empty ones are left out.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION, SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID, naming the batch
   */
  async *readAll(dataset: AsyncIterable<unknown> | Iterable<unknown>): AsyncGenerator<CheckedBatch> {
    let number = 0;
    for await (const batch of dataset) {
      const [identifiers, vectors] = isPair(batch) ? batch : [undefined, batch];
      const checked = this.read(vectors, identifiers, number++);
      if (checked !== undefined) yield checked;
    }
  }

  /** Checks one batch; undefined if it is empty. Without a number it is all there is, and errors need not name it. */
  read(vectors: unknown, identifiers: unknown, number?: number): CheckedBatch | undefined {
    const name = number === undefined ? 'candidates' : `dataset[${number}]`;
    if (!(vectors instanceof Float32Array || vectors instanceof Float64Array || Array.isArray(vectors))) {
      const allowed = 'a Float32Array, a Float64Array or an array of arrays';
      throw invalid(name, vectors, number === undefined ? allowed : `${allowed}, or identifiers and one of these`);
    }
    if (identifiers !== undefined && !isIdentifierList(identifiers)) {
      throw invalid(number === undefined ? 'identifiers' : `${name}[0]`, identifiers, 'an array');
    }
    const firstRow = this.rows;
    if (vectors.length === 0 && !identifiers?.length) return undefined;
    this.#checkIdentified(identifiers !== undefined, number ?? 0);
    const count = Array.isArray(vectors)
      ? this.#countRows(vectors as readonly unknown[])
      : this.#countFlat(vectors as Float32Array | Float64Array, identifiers, name);
    if (identifiers !== undefined && identifiers.length !== count) {
      throw new ScanneryError(
        'SCANNERY_INVALID_ID',
        `${name}: there are ${identifiers.length} identifiers for ${count} candidates; there must be one for each`,
        { row: firstRow + Math.min(identifiers.length, count), value: identifiers.length },
      );
    }
    this.rows += count;
    return { vectors: vectors as VectorsInput, identifiers, count, firstRow, dimensions: this.dimensions! };
  }

  #checkIdentified(identified: boolean, number: number): void {
    this.#identified ??= identified;
    if (this.#identified === identified) return;
    const [this_, others] = identified ? ['identifiers', 'none'] : ['no identifiers', 'some'];
    throw new ScanneryError(
      'SCANNERY_INVALID_ID',
      `batch ${number} has ${this_} and the batches before it have ${others}; all must have them, or none`,
      { row: this.rows, option: `dataset[${number}]` },
    );
  }

  #countRows(rows: readonly unknown[]): number {
    if (rows.length === 0 || this.dimensions !== undefined) return rows.length;
    const length = (rows[0] as ArrayLike<number> | undefined | null)?.length;
    if (!(typeof rows[0] === 'object' && isDimensions(length))) {
      throw new ScanneryError(
        'SCANNERY_INVALID_VECTOR',
        `row ${this.rows} is ${show(rows[0])}, not an array of 1 to ${MAX_DIMENSIONS} numbers`,
        { row: this.rows, value: rows[0] },
      );
    }
    this.dimensions = length;
    return rows.length;
  }

  #countFlat(flat: Float32Array | Float64Array, identifiers: IdentifiersInput | undefined, name: string): number {
    if (this.dimensions === undefined) {
      if (identifiers === undefined) {
        throw new ScanneryError(
          'SCANNERY_INVALID_OPTION',
          'dimensions must be given when candidates are a flat array without identifiers',
          { option: 'dimensions', value: undefined },
        );
      }
      const dimensions = flat.length / identifiers.length;
      if (!isDimensions(dimensions)) {
        throw new ScanneryError(
          'SCANNERY_INVALID_ID',
          `${name}: ${identifiers.length} identifiers for ${flat.length} numbers leave each candidate ` +
            `${dimensions} dimensions; 1 to ${MAX_DIMENSIONS} whole ones are possible`,
          { row: this.rows, value: identifiers.length },
        );
      }
      this.dimensions = dimensions;
    }
    const count = flat.length / this.dimensions;
    if (Number.isInteger(count)) return count;
    throw new ScanneryError(
      'SCANNERY_INVALID_VECTOR',
      `${name} has ${flat.length} numbers, which is no multiple of ${this.dimensions} dimensions`,
      { row: this.rows + Math.floor(count), value: flat.length },
    );
  }
}

const isDimensions = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_DIMENSIONS;

const isFloats = (value: unknown): boolean => value instanceof Float32Array || value instanceof Float64Array;

/** Whether a batch is identifiers and embeddings, rather than two rows. */
function isPair(batch: unknown): batch is readonly [unknown, unknown] {
  if (!Array.isArray(batch) || batch.length !== 2) return false;
  const [first, second] = batch as [unknown, unknown];
  if (!isIdentifierList(first) || isFloats(first)) return false;
  // Integers and text are no embeddings, whatever comes behind them.
  if (!Array.isArray(first) || (first.length > 0 && typeof first[0] !== 'number')) return !Array.isArray(first?.[0]);
  return isFloats(second) || (Array.isArray(second) && (second.length === 0 || typeof second[0] === 'object'));
}

/**
 * Copies candidates [first, first + count) of a batch to f32 [count x stride] from `at`, padded with zeros.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_VECTOR with the row, for rows of a wrong length or with what is no number; whether
 *   numbers are finite is not looked at
 */
export function copyCandidates(
  { vectors, firstRow, dimensions }: CheckedBatch,
  first: number,
  count: number,
  out: Float32Array,
  at: number,
  stride: number,
): void {
  for (let i = first; i < first + count; i++, at += stride) {
    if (Array.isArray(vectors)) copyRow(vectors[i], firstRow + i, dimensions, out, at);
    else {
      const flat = vectors as Float32Array | Float64Array;
      out.set(flat.subarray(i * dimensions, (i + 1) * dimensions), at);
    }
    out.fill(0, at + dimensions, at + stride);
  }
}

function copyRow(source: unknown, row: number, dimensions: number, out: Float32Array, at: number): void {
  const numbers = source as ArrayLike<unknown> | null | undefined;
  if (typeof numbers !== 'object' || numbers?.length !== dimensions) {
    const message = `row ${row} has ${numbers?.length} numbers instead of ${dimensions}`;
    throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { row, value: numbers?.length });
  }
  for (let j = 0; j < dimensions; j++) {
    const value = numbers[j];
    if (typeof value !== 'number') throw badNumber(numbers, row);
    out[at + j] = value;
  }
}

/** One candidate of a batch as it was given. */
export function candidateAt({ vectors, dimensions }: CheckedBatch, i: number): ArrayLike<number> {
  if (Array.isArray(vectors)) return vectors[i]!;
  return (vectors as Float32Array).subarray(i * dimensions, (i + 1) * dimensions);
}
