import { ScanneryError, show } from '../protocol/errors.ts';
import { MAX_MAGNITUDE } from '../protocol/metrics.ts';
import type { Request } from './slots.ts';
import { aborted } from './threads.ts';
import type { SearchResult } from './types.ts';

/** Queries as the caller gave them: row-major numbers, or one array per row. */
export interface QuerySource {
  readonly count: number;
  row(i: number): ArrayLike<number>;
}

/**
 * One call of the public API, in flight: its queries go into slots one by one, and its promise settles when the last is
 * answered, or at the first failure.
 */
export class Call {
  readonly source: QuerySource;
  readonly request: Request;
  readonly results: SearchResult[];
  readonly promise: Promise<SearchResult[]>;
  /** Queries given to a slot so far. */
  next = 0;
  settled = false;
  readonly #signal: AbortSignal | undefined;
  #answered = 0;
  #resolve!: (results: SearchResult[]) => void;
  #reject!: (error: unknown) => void;
  #onAbort: (() => void) | undefined;

  constructor(source: QuerySource, request: Request, signal: AbortSignal | undefined, onAbort: (call: Call) => void) {
    this.source = source;
    this.request = request;
    this.results = new Array(source.count);
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal = signal;
    if (signal !== undefined) {
      this.#onAbort = () => {
        this.fail(aborted(signal));
        onAbort(this);
      };
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  get exhausted(): boolean {
    return this.settled || this.next === this.source.count;
  }

  answer(query: number, result: SearchResult): void {
    if (this.settled) return;
    this.results[query] = result;
    if (++this.#answered < this.source.count) return;
    this.#settle();
    this.#resolve(this.results);
  }

  fail(error: unknown): void {
    if (this.settled) return;
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.settled = true;
    if (this.#onAbort !== undefined) this.#signal!.removeEventListener('abort', this.#onAbort);
  }
}

/**
 * Checks a query and writes it, padded with zeros to `stride`, normalised under cosine. `single` leaves the row out of the
 * message when there is only one.
 */
export function writeQuery(
  query: ArrayLike<number>,
  row: number | undefined,
  { dimensions, stride, normalise }: { dimensions: number; stride: number; normalise: boolean },
  out: Float32Array,
  at: number,
): void {
  const name = row === undefined ? 'the query' : `query ${row}`;
  const details = row === undefined ? {} : { row };
  if (query.length !== dimensions) {
    throw new ScanneryError(
      'SCANNERY_INVALID_VECTOR',
      `${name} has ${query.length} numbers, the index has ${dimensions} dimensions`,
      {
        ...details,
        value: query.length,
      },
    );
  }
  let norm = 0;
  for (let j = 0; j < dimensions; j++) {
    const value = query[j]!;
    if (!(typeof value === 'number' && Math.abs(value) <= MAX_MAGNITUDE)) {
      throw new ScanneryError(
        'SCANNERY_INVALID_VECTOR',
        `${name} has ${show(value)} at position ${j}; numbers must be finite and of magnitude at most ${MAX_MAGNITUDE}`,
        { ...details, value },
      );
    }
    norm += value * value;
    out[at + j] = value;
  }
  out.fill(0, at + dimensions, at + stride);
  if (!normalise) return;
  if (norm === 0) {
    throw new ScanneryError('SCANNERY_INVALID_VECTOR', `${name} is zero, which has no direction under cosine`, details);
  }
  const by = 1 / Math.sqrt(norm);
  for (let j = 0; j < dimensions; j++) out[at + j] = query[j]! * by;
}
