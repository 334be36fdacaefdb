import { HttpError } from './errors.ts';

/** Milliseconds over which the rate of work done is taken. */
const WINDOW = 250;
const MAX_RETRY_AFTER = 60;

/** Lets so much work in at once and turns the rest away, so that what is in flight is answered in time and memory is bounded. */
export class Admission {
  readonly limit: number;
  /** Pieces of work that were turned away. */
  rejected = 0;
  readonly #noun: string;
  #inFlight = 0;
  #done = 0;
  #since = performance.now();
  /** Pieces per millisecond. */
  #rate = 0;

  constructor(limit: number, noun: string) {
    this.limit = limit;
    this.#noun = noun;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether not even one piece more would be let in. */
  get full(): boolean {
    return this.#inFlight >= this.limit;
  }

  /** Turns a request away before its body is read, if not even one piece would be let in. */
  check(): void {
    if (this.full) throw this.overloaded(1);
  }

  enter(count: number): void {
    if (this.#inFlight + count > this.limit) throw this.overloaded(count);
    this.#inFlight += count;
  }

  leave(count: number): void {
    this.#inFlight -= count;
    this.#done += count;
    const now = performance.now();
    const passed = now - this.#since;
    if (passed < WINDOW) return;
    this.#rate = this.#rate === 0 ? this.#done / passed : (this.#rate + this.#done / passed) / 2;
    this.#done = 0;
    this.#since = now;
  }

  /** Whole seconds in which what is in flight will be done, as far as can be told, 1 to 60. */
  retryAfter(): number {
    const seconds = this.#rate === 0 ? 1 : Math.ceil(this.#inFlight / this.#rate / 1000);
    return Math.min(MAX_RETRY_AFTER, Math.max(1, seconds));
  }

  /** Counts pieces of work as turned away; returns the error that says so. */
  overloaded(count: number): HttpError {
    this.rejected += count;
    const message = `${this.#inFlight} ${this.#noun} are in flight, of at most ${this.limit}`;
    return new HttpError(503, 'OVERLOADED', message, { headers: { 'retry-after': String(this.retryAfter()) } });
  }
}
