import { ScanneryError, show } from '../protocol/errors.ts';
import { MAX_MAGNITUDE, type Metric } from '../protocol/metrics.ts';
import type { Slots } from './slots.ts';
import { aborted } from './threads.ts';

/** Queries as the caller gave them: row-major numbers, or one array per row. */
export interface QuerySource {
  readonly count: number;
  row(i: number): ArrayLike<number>;
}

/** What a call does: pieces of work, each of which goes into a slot, and what comes out of it. */
export interface Work<T> {
  /** Pieces. */
  readonly count: number;
  /** Whether pieces are queries, which are counted. */
  readonly isSearch: boolean;
  /** Takes a slot and puts a piece into it; returns the slot. If it throws, nothing is taken. */
  place(slots: Slots, piece: number): number;
  read(slots: Slots, slot: number, piece: number): T;
}

/**
 * One call, in flight: its pieces go into slots one by one, and its promise settles when the last is answered, or at the first
 * failure.
 */
export class Call {
  readonly work: Work<unknown>;
  readonly results: unknown[];
  readonly promise: Promise<unknown[]>;
  /** Pieces given to a slot so far. */
  next = 0;
  settled = false;
  readonly #signal: AbortSignal | undefined;
  #answered = 0;
  #resolve!: (results: unknown[]) => void;
  #reject!: (error: unknown) => void;
  #onAbort: (() => void) | undefined;

  constructor(work: Work<unknown>, signal: AbortSignal | undefined, onAbort: (call: Call) => void) {
    this.work = work;
    this.results = new Array(work.count);
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
    return this.settled || this.next === this.work.count;
  }

  answer(piece: number, result: unknown): void {
    if (this.settled) return;
    this.results[piece] = result;
    if (++this.#answered < this.work.count) return;
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

/** How vectors lie in memory. */
export interface VectorShape {
  readonly dimensions: number;
  readonly stride: number;
  readonly normalise: boolean;
}

/** How the vectors of an index lie in memory. */
export function vectorShape(index: {
  readonly dimensions: number;
  readonly stride: number;
  readonly metric: Metric;
}): VectorShape {
  return { dimensions: index.dimensions, stride: index.stride, normalise: index.metric === 'cosine' };
}

/**
 * Checks a vector and writes it, padded with zeros to `stride`, normalised under cosine. `name` is what messages call it; `row`
 * is its number among several.
 */
export function writeVector(
  vector: ArrayLike<number>,
  name: string,
  row: number | undefined,
  { dimensions, stride, normalise }: VectorShape,
  out: Float32Array,
  at: number,
): void {
  const details = row === undefined ? {} : { row };
  if (vector.length !== dimensions) {
    throw new ScanneryError(
      'SCANNERY_INVALID_VECTOR',
      `${name} has ${vector.length} numbers, the index has ${dimensions} dimensions`,
      {
        ...details,
        value: vector.length,
      },
    );
  }
  let norm = 0;
  for (let j = 0; j < dimensions; j++) {
    const value = vector[j]!;
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
  for (let j = 0; j < dimensions; j++) out[at + j] = vector[j]! * by;
}

/** Checks a query and writes it, as `writeVector` does; `row` is its number among several. */
export function writeQuery(
  query: ArrayLike<number>,
  row: number | undefined,
  shape: VectorShape,
  out: Float32Array,
  at: number,
): void {
  writeVector(query, row === undefined ? 'the query' : `query ${row}`, row, shape, out, at);
}
