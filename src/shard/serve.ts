import { setTimeout as delay } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import {
  type ControlLayout,
  DONE_SEQUENCE,
  QUEUE_HEAD,
  QUEUE_TAIL,
  SLEEPERS,
  SLOT_CODES,
  SLOT_DONE,
  SLOT_PREPARED,
  SLOT_PREPARING,
  SLOT_QUEUED,
  SLOT_REMAINING,
  SLOT_STATE,
  SLOT_WORDS,
  STARTED,
  WORKER_SLOTS,
  WORKER_THREADS,
} from '../protocol/control-layout.ts';
import type { ServeTask } from '../protocol/messages.ts';
import { QueryEngine } from './query.ts';

/** How long a worker with a core of its own looks for work before it sleeps: a few times what waking a thread costs. */
const SPIN_MILLISECONDS = 0.2;

/** Units that a worker takes at once at the most: enough to make the queue's cost vanish, few enough to share the rest. */
const MAX_UNITS = 32;
/**
 * Queries that a worker takes at once with all their shards, when there is enough to do for the others. They are scanned leaf
 * by leaf: the more there are, the more of them share a leaf's codes while these are in the cache.
 */
const MAX_QUERIES = 256;

/**
 * Enters the serving loop, once all workers are here: the task returns, and the thread then belongs to the loop until it is
 * ended. So piscina sees an idle thread, which does not keep the process alive.
 */
export async function serve(task: ServeTask): Promise<void> {
  const server = new Server(task);
  const words = new Int32Array(task.control.buffer, 0, 256);
  if (Atomics.add(words, STARTED, 1) < 0) return;
  // A thread must not take two of these tasks, so none of them ends before all have begun.
  for (;;) {
    const started = Atomics.load(words, STARTED);
    if (started < 0) return;
    if (started >= task.threads) break;
    await delay(1);
  }
  Atomics.store(words, WORKER_THREADS + task.worker, threadId);
  setImmediate(() => server.run());
}

/** Takes units from the queue and works on them. */
export class Server {
  readonly #engine: QueryEngine;
  readonly #words: Int32Array;
  readonly #layout: ControlLayout;
  readonly #worker: number;
  readonly #threads: number;
  readonly #maySpin: boolean;
  readonly #numShards: number;
  readonly #units: Int32Array;

  constructor(task: ServeTask) {
    this.#engine = new QueryEngine(task);
    // The words, the queue and the slots lie in what was there when serving began, so this view never goes stale.
    this.#words = new Int32Array(task.control.buffer);
    this.#layout = task.layout;
    this.#worker = task.worker;
    this.#threads = task.threads;
    this.#maySpin = task.spareCore;
    this.#numShards = task.plan.units.length;
    this.#units = new Int32Array(Math.max(MAX_UNITS, MAX_QUERIES * this.#numShards));
  }

  /** Serves until the thread is ended. */
  run(): never {
    for (;;) {
      const tail = Atomics.load(this.#words, QUEUE_TAIL);
      const taken = this.#take(tail);
      if (taken > 0) this.#work(taken);
      else if (taken === 0 && !this.#spin(tail)) this.#sleep(tail);
    }
  }

  /** Works off what is queued now and returns; for callers that own the thread. */
  drain(): void {
    for (;;) {
      const taken = this.#take(Atomics.load(this.#words, QUEUE_TAIL));
      if (taken === 0) return;
      if (taken > 0) this.#work(taken);
    }
  }

  /** Takes a share of the waiting units: 0 if there are none, -1 if another thread was quicker. */
  #take(tail: number): number {
    const words = this.#words;
    const head = Atomics.load(words, QUEUE_HEAD);
    const waiting = (tail - head) | 0;
    if (waiting <= 0) return 0;
    // A share of half an even split: long runs while there is much to do, single units towards the end.
    const share = Math.min(this.#units.length, Math.max(1, Math.ceil(waiting / (2 * this.#threads))));
    const queue = this.#layout.queue >>> 2;
    const mask = this.#layout.queueCapacity - 1;
    // A query that one worker takes whole costs less than its parts, so a share that holds whole ones does not end within one.
    const end = (words[queue + (head & mask)]! + share) % this.#numShards;
    const count = share >= 2 * this.#numShards ? share - end : share;
    // Read before the exchange: after it the producer may write over these places.
    for (let i = 0; i < count; i++) this.#units[i] = words[queue + ((head + i) & mask)]!;
    return Atomics.compareExchange(words, QUEUE_HEAD, head, (head + count) | 0) === head ? count : -1;
  }

  /** Whether work came within a moment; a caller that waits for each answer sends the next query soon after it. */
  #spin(tail: number): boolean {
    if (!this.#maySpin) return false;
    const end = performance.now() + SPIN_MILLISECONDS;
    do {
      for (let i = 0; i < 100; i++) if (Atomics.load(this.#words, QUEUE_TAIL) !== tail) return true;
    } while (performance.now() < end);
    return false;
  }

  #sleep(tail: number): void {
    const words = this.#words;
    Atomics.add(words, SLEEPERS, 1);
    Atomics.wait(words, QUEUE_TAIL, tail);
    Atomics.sub(words, SLEEPERS, 1);
  }

  #work(count: number): void {
    const shards = this.#numShards;
    for (let i = 0; i < count; ) {
      const unit = this.#units[i]!;
      const number = Math.floor(unit / shards);
      const first = this.#slot(number);
      const whole = this.#engine.mayBeWhole(first);
      if (unit % shards !== 0 || i + shards > count || (shards > 1 && !whole)) {
        this.#workOnPart(number, unit % shards);
        i++;
        continue;
      }
      const numbers = [number];
      for (i += shards; whole && i + shards <= count; i += shards) {
        const next = this.#units[i]! / shards;
        if (!this.#engine.mayJoin(first, numbers.length, this.#slot(next))) break;
        numbers.push(next);
      }
      this.#workOnGroup(numbers);
    }
    Atomics.store(this.#words, WORKER_SLOTS + this.#worker, 0);
  }

  /** The first word of a slot's header. */
  #slot(number: number): number {
    return (this.#layout.slots >>> 2) + number * SLOT_WORDS;
  }

  /** Scans one shard for a query that other workers may be at, too. */
  #workOnPart(number: number, unit: number): void {
    const words = this.#words;
    const slot = this.#slot(number);
    Atomics.store(words, WORKER_SLOTS + this.#worker, number + 1);
    this.#prepare(slot);
    while (Atomics.load(words, slot + SLOT_STATE) === SLOT_PREPARING) {
      // If the thread that prepares it dies, this one is ended too, and the request starts afresh.
      Atomics.wait(words, slot + SLOT_STATE, SLOT_PREPARING);
    }
    this.#try(slot, () => this.#engine.scan(slot, unit));
    if (Atomics.sub(words, slot + SLOT_REMAINING, 1) === 1) this.#publish(slot, number);
  }

  /** Answers queries that this worker has to itself, together. */
  #workOnGroup(numbers: readonly number[]): void {
    const words = this.#words;
    const slots = numbers.map((number) => this.#slot(number));
    const at = WORKER_SLOTS + this.#worker;
    for (const [i, slot] of slots.entries()) {
      Atomics.store(words, at, numbers[i]! + 1);
      this.#prepare(slot);
    }
    // Which of several queries a thread dies of is not known; afterwards each is tried alone.
    if (slots.length > 1) Atomics.store(words, at, 0);
    try {
      this.#engine.scanGroup(slots);
    } catch {
      for (const slot of slots) {
        Atomics.store(words, slot + SLOT_CODES, 0);
        this.#try(slot, () => this.#engine.scanGroup([slot]));
      }
    }
    for (const [i, slot] of slots.entries()) {
      Atomics.store(words, at, numbers[i]! + 1);
      Atomics.store(words, slot + SLOT_REMAINING, 0);
      this.#publish(slot, numbers[i]!);
    }
  }

  /** Prepares a query if nobody has begun to. */
  #prepare(slot: number): void {
    const words = this.#words;
    if (Atomics.compareExchange(words, slot + SLOT_STATE, SLOT_QUEUED, SLOT_PREPARING) !== SLOT_QUEUED) return;
    this.#try(slot, () => this.#engine.prepare(slot));
    Atomics.store(words, slot + SLOT_STATE, SLOT_PREPARED);
    if (this.#numShards > 1) Atomics.notify(words, slot + SLOT_STATE);
  }

  #try(slot: number, step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#engine.fail(slot, error);
    }
  }

  #publish(slot: number, number: number): void {
    const words = this.#words;
    this.#try(slot, () => this.#engine.finish(slot));
    Atomics.store(words, slot + SLOT_STATE, SLOT_DONE);
    Atomics.or(words, (this.#layout.done >>> 2) + (number >>> 5), 1 << (number & 31));
    Atomics.add(words, DONE_SEQUENCE, 1);
    Atomics.notify(words, DONE_SEQUENCE);
  }
}
