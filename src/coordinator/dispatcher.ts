import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { DONE_SEQUENCE, FAULT_OUT_OF_MEMORY, SLOT_CODES, SLOT_ERROR, SLOT_MICROS } from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { Call, type Work } from './call.ts';
import { Fifo } from './fifo.ts';
import type { Slots } from './slots.ts';
import type { QueryCounters } from './types.ts';

/** Queries of one waiting call that are submitted before the next call gets its turn. */
const TURN = 64;

/** How long the caller's thread polls for an answer before it sleeps; most approximate searches end within it. */
const POLL_MILLISECONDS = 1;

/** With this many queries in flight per thread, workers have enough to do for this thread to look for answers now and then. */
const BUSY_PER_THREAD = 32;
/** It then looks about as often as this while they work off what is in flight, and at least every so many milliseconds. */
const BUSY_LOOKS = 8;
const MOST_BUSY_MILLISECONDS = 5;
/** Weight of the latest query in the mean time of a query. */
const LATEST = 1 / 32;

export interface DispatcherOptions {
  readonly threads: number;
  /** Whether the workers leave a core to this thread, which may then poll for a moment rather than sleep. */
  readonly spareCore: boolean;
}

/** A piece of a call's work in a slot. */
interface Flight {
  readonly call: Call;
  readonly piece: number;
  attempts: number;
}

/** Moves work from calls into slots and answers from slots to calls. Costs the same however large the index is. */
export class Dispatcher {
  readonly counters: QueryCounters = { completed: 0, kernelMicroseconds: 0, codesScanned: 0, retried: 0 };
  readonly #slots: Slots;
  readonly #options: DispatcherOptions;
  readonly #flights: (Flight | undefined)[];
  readonly #waiting = new Fifo<Call>();
  // A pending call must keep the process alive; a wait on shared memory does not.
  readonly #keepAlive = setInterval(() => {}, 2 ** 31 - 1).unref();
  #inFlight = 0;
  /** Time of a query in kernels, in microseconds, a mean of the latest. */
  #microseconds = 0;
  #paused = false;
  #watching = false;
  #idle: (() => void)[] = [];

  constructor(slots: Slots, options: DispatcherOptions) {
    this.#slots = slots;
    this.#options = options;
    this.#flights = new Array(slots.layout.numSlots);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  run<T>(work: Work<T>, signal: AbortSignal | undefined): Promise<T[]> {
    const call = new Call(work, signal, (aborted) => this.#cancel(aborted));
    if (this.#inFlight === 0) this.#keepAlive.ref();
    this.#waiting.push(call);
    this.#submit();
    return call.promise as Promise<T[]>;
  }

  /** Resolves when nothing is in flight or waiting. */
  async idle(): Promise<void> {
    if (this.#inFlight === 0 && this.#waiting.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
    });
  }

  /** Fails everything that waits or is in flight. No worker may be running. */
  failAll(error: unknown): void {
    for (const call of this.#waiting.takeAll()) call.fail(error);
    for (let slot = 0; slot < this.#flights.length; slot++) {
      const flight = this.#flights[slot];
      if (flight === undefined) continue;
      flight.call.fail(error);
      this.#release(slot);
    }
    this.#settleIdle();
  }

  /** Counts in what another has counted. */
  add(counters: QueryCounters): void {
    for (const [name, count] of Object.entries(counters)) this.counters[name as keyof QueryCounters] += count;
  }

  dispose(): void {
    clearInterval(this.#keepAlive);
  }

  /** Submits nothing more until `restart`. */
  pause(): void {
    this.#paused = true;
  }

  /** Answers what the workers finished before they stopped. */
  collect(): void {
    this.#drain();
  }

  /**
   * Starts every unfinished query afresh, after all workers have stopped and before they serve again. `blamed` are the slots
   * that dead workers were at; a query that is blamed twice fails, so that it cannot kill one worker after another.
   */
  restart(blamed: ReadonlySet<number>): void {
    for (let slot = 0; slot < this.#flights.length; slot++) {
      const flight = this.#flights[slot];
      if (flight === undefined) continue;
      if (flight.call.settled) {
        this.#release(slot);
        continue;
      }
      if (blamed.has(slot) && ++flight.attempts > 1) {
        flight.call.fail(
          new ScanneryError('SCANNERY_WORKER_FAILED', 'the worker thread that held the query died, twice', {
            row: flight.piece,
          }),
        );
        this.#release(slot);
        continue;
      }
      this.counters.retried++;
      this.#slots.reset(slot, true);
      this.#slots.enqueue(slot);
    }
    // The workers may be asleep already, and there may be nothing more to submit.
    this.#slots.wake();
    this.#paused = false;
    this.#submit();
  }

  #submit(): void {
    if (this.#paused) return;
    const slots = this.#slots;
    let submitted = false;
    while (slots.anyFree) {
      const call = this.#waiting.shift();
      if (call === undefined) break;
      try {
        for (let turn = 0; turn < TURN && slots.anyFree && !call.exhausted; turn++) {
          this.#place(call);
          submitted = true;
        }
      } catch (error) {
        call.fail(error);
        this.#cancel(call);
      }
      // The workers begin while more is submitted.
      slots.wake();
      if (!call.exhausted) this.#waiting.push(call);
    }
    if (submitted) {
      void this.#watch();
    } else if (this.#inFlight === 0) this.#settleIdle();
  }

  #place(call: Call): void {
    const slot = call.work.place(this.#slots, call.next);
    this.#flights[slot] = { call, piece: call.next++, attempts: 0 };
    this.#inFlight++;
    this.#slots.enqueue(slot);
  }

  #cancel(call: Call): void {
    for (let slot = 0; slot < this.#flights.length; slot++) {
      if (this.#flights[slot]?.call === call) this.#slots.cancel(slot);
    }
  }

  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    // Nothing is answered within the call that submits: an abort right behind it must find the call unsettled.
    await undefined;
    while (this.#inFlight > 0) {
      const { words } = this.#slots;
      const seen = Atomics.load(words, DONE_SEQUENCE);
      if (this.#drain() > 0) {
        this.#submit();
        if (this.#inFlight === 0) break;
      }
      if (this.#inFlight >= BUSY_PER_THREAD * this.#options.threads) {
        // Each look costs as much as several answers, of time that the workers need.
        const left = (this.#inFlight * this.#microseconds) / this.#options.threads / 1000;
        await sleep(Math.min(MOST_BUSY_MILLISECONDS, Math.max(1, left / BUSY_LOOKS)));
        continue;
      }
      if (this.#options.spareCore && (await this.#poll(words, seen))) continue;
      const wait = Atomics.waitAsync(words, DONE_SEQUENCE, seen);
      // More is ready already: give the event loop its turn first.
      if (wait.async) await wait.value;
      else await nextTurn();
    }
    this.#watching = false;
  }

  /** Looks for an answer once per turn of the event loop, for a moment; returns whether one came. */
  async #poll(words: Int32Array, seen: number): Promise<boolean> {
    const end = performance.now() + POLL_MILLISECONDS;
    do {
      await nextTurn();
      if (Atomics.load(words, DONE_SEQUENCE) !== seen) return true;
    } while (performance.now() < end);
    return false;
  }

  /** Answers every query that is ready; returns how many. */
  #drain(): number {
    const { words, layout } = this.#slots;
    const done = layout.done >>> 2;
    const groups = Math.ceil(layout.numSlots / 32);
    let count = 0;
    for (let group = 0; group < groups; group++) {
      if (words[done + group] === 0) continue;
      let bits = Atomics.exchange(words, done + group, 0);
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits);
        bits &= ~(1 << bit);
        this.#finish(group * 32 + bit);
        count++;
      }
    }
    return count;
  }

  #finish(slot: number): void {
    const flight = this.#flights[slot];
    if (flight === undefined) return;
    const { words } = this.#slots;
    const h = this.#slots.header(slot);
    const microseconds = words[h + SLOT_MICROS]! / 10;
    this.#microseconds += (microseconds - this.#microseconds) * LATEST;
    const { call, piece } = flight;
    const { isSearch } = call.work;
    if (isSearch) {
      this.counters.kernelMicroseconds += microseconds;
      this.counters.codesScanned += words[h + SLOT_CODES]!;
    }
    if (!call.settled) {
      const fault = words[h + SLOT_ERROR]!;
      if (fault !== 0) call.fail(faultError(fault, piece, isSearch));
      else {
        if (isSearch) this.counters.completed++;
        call.answer(piece, call.work.read(this.#slots, slot, piece));
      }
    }
    this.#release(slot);
  }

  #release(slot: number): void {
    this.#flights[slot] = undefined;
    this.#slots.free(slot);
    this.#inFlight--;
  }

  #settleIdle(): void {
    this.#keepAlive.unref();
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}

function faultError(fault: number, piece: number, isSearch: boolean): ScanneryError {
  const details = isSearch ? { row: piece } : {};
  if (fault === FAULT_OUT_OF_MEMORY) {
    const message = 'a shard has no room for so many candidates; ask for fewer';
    return new ScanneryError('SCANNERY_OUT_OF_MEMORY', message, details);
  }
  const what = isSearch ? 'the query' : 'vectors that were to be added';
  return new ScanneryError('SCANNERY_WORKER_FAILED', `a worker failed on ${what}`, details);
}
