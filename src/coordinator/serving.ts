import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import {
  QUEUE_HEAD,
  QUEUE_TAIL,
  SLEEPERS,
  STARTED,
  STOP,
  WORKER_SLOTS,
  WORKER_THREADS,
} from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { RESERVED_BYTES, SHARD_DATA_END, TOP_WORD } from '../protocol/shard-layout.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import { Dispatcher } from './dispatcher.ts';
import { kernelMetric } from './model.ts';
import { layOutControl, Slots } from './slots.ts';
import type { Threads } from './threads.ts';
import type { SearchResult } from './types.ts';

/** An index at work: threads in their serving loops, and what starts them again when one of them dies. */
export class Serving {
  readonly dispatcher: Dispatcher;
  readonly #data: IndexData;
  readonly #threads: Threads;
  readonly #kernels: KernelSource;
  readonly #slots: Slots;
  #recovery: Promise<void> | null = null;
  #blamed = new Set<number>();
  #failure: ScanneryError | null = null;
  #stopped = false;

  private constructor(data: IndexData, threads: Threads, kernels: KernelSource, maxInFlight: number) {
    this.#data = data;
    this.#threads = threads;
    this.#kernels = kernels;
    const layout = layOutControl(data.control, data.model, data, maxInFlight, threads.count);
    this.#slots = new Slots(data.control, layout, data);
    this.dispatcher = new Dispatcher(this.#slots, {
      ...{ dimensions: data.dimensions, stride: data.stride, normalise: data.metric === 'cosine' },
      ...{ kernelMetric: kernelMetric(data.metric), ids: data.ids },
    });
  }

  static async start(data: IndexData, threads: Threads, kernels: KernelSource, maxInFlight: number): Promise<Serving> {
    const serving = new Serving(data, threads, kernels, maxInFlight);
    try {
      await serving.#serve();
    } catch (error) {
      serving.dispatcher.dispose();
      throw error;
    }
    return serving;
  }

  /** Why no more queries can be answered, or null. */
  get failure(): ScanneryError | null {
    return this.#failure;
  }

  run(...call: Parameters<Dispatcher['run']>): Promise<SearchResult[]> {
    return this.#failure === null ? this.dispatcher.run(...call) : Promise.reject(this.#failure);
  }

  /** Waits for the calls in flight, then ends the threads. */
  async stop(): Promise<void> {
    await this.dispatcher.idle();
    this.#stopped = true;
    this.dispatcher.stopWorkers();
    await this.#recovery;
    await this.#threads.destroy();
    this.dispatcher.dispose();
  }

  async #serve(): Promise<void> {
    const words = this.#slots.words;
    for (const word of [QUEUE_HEAD, QUEUE_TAIL, SLEEPERS, STARTED, STOP]) Atomics.store(words, word, 0);
    // No worker is at work: what earlier ones took as scratch is free again.
    for (const shard of this.#data.shards) {
      const shardWords = new Int32Array(shard.buffer);
      shardWords[TOP_WORD] = shardWords[(RESERVED_BYTES + SHARD_DATA_END) >>> 2]!;
    }
    const { control, shards } = this.#data;
    const threads = this.#threads.count;
    const base = {
      ...{ kernels: this.#kernels, control, shards, layout: this.#slots.layout, threads },
      spareCore: threads < availableParallelism(),
    };
    try {
      await this.#threads.serve(
        (worker) => ({ kind: 'serve', worker, ...base }),
        (threadId) => this.#onExit(threadId),
      );
    } catch (error) {
      Atomics.store(words, STARTED, -(2 ** 30));
      Atomics.store(words, STOP, 1);
      throw error;
    }
  }

  #onExit(threadId: number): void {
    const words = this.#slots.words;
    for (let w = 0; w < this.#threads.count; w++) {
      if (Atomics.load(words, WORKER_THREADS + w) !== threadId) continue;
      Atomics.store(words, WORKER_THREADS + w, 0);
      const slot = Atomics.exchange(words, WORKER_SLOTS + w, 0);
      if (slot > 0) this.#blamed.add(slot - 1);
    }
    if (this.#stopped || this.#failure !== null) return;
    this.#recovery ??= this.#recover().finally(() => {
      this.#recovery = null;
    });
  }

  // A dead worker may have held units that it took from the queue but not yet worked on. Rather than find them, all workers
  // stop, and every unfinished query starts afresh.
  async #recover(): Promise<void> {
    this.dispatcher.pause();
    this.dispatcher.stopWorkers();
    const words = this.#slots.words;
    for (let w = 0; w < this.#threads.count; w++) {
      while (Atomics.load(words, WORKER_THREADS + w) !== 0) await delay(1);
    }
    const blamed = this.#blamed;
    this.#blamed = new Set();
    try {
      await this.#serve();
    } catch (cause) {
      this.#failure = new ScanneryError('SCANNERY_WORKER_FAILED', 'a worker thread died and could not be replaced', {
        cause,
      });
      this.dispatcher.failAll(this.#failure);
      return;
    }
    this.dispatcher.restart(blamed);
  }
}
