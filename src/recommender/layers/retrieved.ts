import type { Id, QueryBatch } from '../../coordinator/types.ts';
import { invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';

/** Per query, best first: the scores, and the identifiers of the candidates. */
export type TopKResult = [scores: Float32Array[], identifiers: Id[][]];

/** What a layer found, by row. */
export interface Retrieved {
  readonly scores: Float32Array[];
  readonly rows: number[][];
  /** The identifier of one of a query's rows. */
  identifierOf(row: number, query: number): Id;
}

/** Embeddings of queries, and how many there must be if they come from a query model. */
export interface Embedded {
  readonly embeddings: QueryBatch;
  readonly examples: number | undefined;
}

/** Embeddings as a caller gave them, who may have given anything. */
export function embedded(embeddings: unknown): Embedded {
  if (embeddings instanceof Float32Array || embeddings instanceof Float64Array || Array.isArray(embeddings)) {
    return { embeddings, examples: undefined };
  }
  throw invalid('queries', embeddings, 'a Float32Array, a Float64Array or an array of arrays');
}

/**
 * The number of queries, if that can be told.
 *
 * @param dimensions 0 while they are not known
 * @throws {ScanneryError} SCANNERY_INVALID_VECTOR when a query model gave other than one embedding per example
 */
export function countQueries({ embeddings, examples }: Embedded, dimensions: number): number | undefined {
  if (examples !== undefined) {
    const { length } = embeddings;
    if (dimensions === 0 ? length % Math.max(1, examples) === 0 : length === examples * dimensions) return examples;
    throw new ScanneryError(
      'SCANNERY_INVALID_VECTOR',
      `queryModel gave ${length} numbers for ${examples} examples, which is not ${examples} x ${dimensions || 'dimensions'}`,
      { option: 'queryModel', value: length },
    );
  }
  if (Array.isArray(embeddings)) return embeddings.length;
  if (embeddings.length === 0) return 0;
  const count = embeddings.length / dimensions;
  return Number.isInteger(count) ? count : undefined;
}

/**
 * What a layer without any candidate answers; queries are counted, and not looked at.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION when they are a flat array and their dimensions are not known
 */
export function nothingFound(queries: Embedded, dimensions: number): Retrieved {
  const count = countQueries(queries, dimensions);
  if (count === undefined) {
    throw new ScanneryError(
      'SCANNERY_INVALID_OPTION',
      'dimensions must be given when there are no candidates to show them',
      { option: 'dimensions', value: undefined },
    );
  }
  return {
    scores: Array.from({ length: count }, () => new Float32Array(0)),
    rows: Array.from({ length: count }, () => []),
    identifierOf: (row) => row,
  };
}
