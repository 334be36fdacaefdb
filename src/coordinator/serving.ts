import { availableParallelism } from 'node:os';
import {
  MAX_THREADS,
  QUEUE_HEAD,
  QUEUE_TAIL,
  SLEEPERS,
  START_FAILED,
  STARTED,
  WORKER_SLOTS,
  WORKER_THREADS,
} from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { UnitPlan } from '../protocol/messages.ts';
import { KEPT_WORD, RESERVED_BYTES, SHARD_DATA_END, TOP_WORD } from '../protocol/shard-layout.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import { type QuerySource, vectorShape, type Work } from './call.ts';
import { announced } from './channels.ts';
import { Dispatcher } from './dispatcher.ts';
import type { RowLists } from './filter-steps.ts';
import type { CompiledFilter } from './filters.ts';
import { kernelMetric } from './model.ts';
import type { PlacedFilter } from './placed-filter.ts';
import { type SearchedIndex, SearchWork } from './search-work.ts';
import { layOutControl, type Request, Slots } from './slots.ts';
import type { Threads } from './threads.ts';
import type { SearchResult } from './types.ts';
import { planUnits } from './units.ts';

/** How often threads are started before the index gives up. */
const START_ATTEMPTS = 3;

/** An index at work: threads in their serving loops, and what starts them again when one of them dies. */
export class Serving {
  readonly dispatcher: Dispatcher;
  readonly plan: UnitPlan;
  readonly #data: IndexData;
  readonly #threads: Threads;
  readonly #kernels: KernelSource;
  readonly #slots: Slots;
  readonly #spareCore: boolean;
  readonly #searched: SearchedIndex;
  #recovery: Promise<void> | null = null;
  #failure: ScanneryError | null = null;
  #stopped = false;

  private constructor(data: IndexData, threads: Threads, kernels: KernelSource, maxInFlight: number) {
    this.#data = data;
    this.#threads = threads;
    this.#kernels = kernels;
    this.#spareCore = threads.count < availableParallelism();
    this.plan = planUnits(data);
    const layout = layOutControl(data.control, data.model, data, maxInFlight, threads.count);
    this.#slots = new Slots(data.control, layout, data, this.plan);
    const { ids, numShards: shards } = data;
    this.#searched = { ...vectorShape(data), kernelMetric: kernelMetric(data.metric), ids, shards };
    this.dispatcher = new Dispatcher(this.#slots, { spareCore: this.#spareCore, threads: threads.count });
  }

  static async start(data: IndexData, threads: Threads, kernels: KernelSource, maxInFlight: number): Promise<Serving> {
    const serving = new Serving(data, threads, kernels, maxInFlight);
    try {
      await serving.#serveOrRetry();
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

  search(source: QuerySource, request: Request, signal: AbortSignal | undefined): Promise<SearchResult[]> {
    return this.run(new SearchWork(source, request, this.#searched), signal);
  }

  run<T>(work: Work<T>, signal: AbortSignal | undefined): Promise<T[]> {
    return this.#failure === null ? this.dispatcher.run(work, signal) : Promise.reject(this.#failure);
  }

  /** Puts a filter where the workers find it; to be released when the last call with it has ended. */
  placeFilter(filter: CompiledFilter, lists: RowLists): PlacedFilter {
    return this.#slots.placeFilter(filter, lists);
  }

  get threadCount(): number {
    return this.#threads.count;
  }

  /** Waits for the calls in flight, then ends the threads. */
  async stop(): Promise<void> {
    await this.dispatcher.idle();
    this.#stopped = true;
    await this.#recovery;
    await this.#threads.destroy();
    this.dispatcher.dispose();
  }

  async #serveOrRetry(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#serve();
      } catch (error) {
        if (attempt === START_ATTEMPTS) throw error;
        await this.#threads.restart();
      }
    }
  }

  /** Starts the serving loops. No worker of this index may be at work. */
  async #serve(): Promise<void> {
    const words = this.#slots.words;
    for (const word of [QUEUE_HEAD, QUEUE_TAIL, SLEEPERS, STARTED]) Atomics.store(words, word, 0);
    words.fill(0, WORKER_THREADS, WORKER_SLOTS + MAX_THREADS);
    // What earlier workers took as scratch is free again.
    for (const shard of this.#data.shards) {
      const shardWords = new Uint32Array(shard.buffer);
      const dataEnd = shardWords[(RESERVED_BYTES + SHARD_DATA_END) >>> 2]!;
      shardWords[TOP_WORD] = Math.max(dataEnd, shardWords[KEPT_WORD]!);
    }
    const { control, shards } = this.#data;
    const threads = this.#threads.count;
    const base = {
      ...{ kernels: this.#kernels, control, shards, plan: this.plan, layout: this.#slots.layout, threads },
      spareCore: this.#spareCore,
    };
    const alive = await this.#threads.serve(
      (worker) => ({ kind: 'serve', worker, ...base }),
      (threadId) => this.#onExit(threadId),
      () => Atomics.store(words, STARTED, START_FAILED),
    );
    for (let w = 0; w < threads; w++) {
      if (alive.includes(Atomics.load(words, WORKER_THREADS + w))) continue;
      throw new ScanneryError('SCANNERY_WORKER_FAILED', 'a worker thread died as it started');
    }
  }

  #onExit(threadId: number): void {
    if (this.#stopped || this.#failure !== null || this.#recovery !== null) return;
    const words = this.#slots.words;
    const blamed = new Set<number>();
    for (let w = 0; w < this.#threads.count; w++) {
      const slot = Atomics.load(words, WORKER_SLOTS + w);
      if (Atomics.load(words, WORKER_THREADS + w) === threadId && slot > 0) blamed.add(slot - 1);
    }
    const recovery = announced(
      'scannery:worker-restart',
      () => ({ threads: this.#threads.count }),
      () => this.#recover(blamed),
    );
    // Why it failed is what calls are told from now on.
    this.#recovery = recovery
      .catch(() => {})
      .finally(() => {
        this.#recovery = null;
      });
  }

  // A dead worker may have held units that it took from the queue but not yet worked on. Rather than find them, all workers
  // are replaced, and every unfinished query starts afresh.
  async #recover(blamed: ReadonlySet<number>): Promise<void> {
    this.dispatcher.pause();
    try {
      await this.#threads.restart();
      this.dispatcher.collect();
      await this.#serveOrRetry();
    } catch (cause) {
      this.#failure = new ScanneryError('SCANNERY_WORKER_FAILED', 'a worker thread died and could not be replaced', {
        cause,
      });
      this.dispatcher.failAll(this.#failure);
      throw this.#failure;
    }
    this.dispatcher.restart(blamed);
  }
}
