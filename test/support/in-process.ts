import { type IndexData, searchMode } from '../../src/coordinator/build.ts';
import { layOutControl, type Request, Slots } from '../../src/coordinator/slots.ts';
import { planUnits } from '../../src/coordinator/units.ts';
import type { BuildOptions, SearchResult } from '../../src/index.ts';
import { SLOT_DONE, SLOT_MERGED, SLOT_RESULT_COUNT, SLOT_STATE } from '../../src/protocol/control-layout.ts';
import type { ServeTask } from '../../src/protocol/messages.ts';
import { idOfLow, scoreOfHigh } from '../../src/protocol/order.ts';
import { type KernelSource, loadKernels } from '../../src/shard/kernels/load.ts';
import { Server } from '../../src/shard/serve.ts';
import { buildInline, InlineThreads } from './inline-build.ts';
import type { Data } from './vectors.ts';

export interface ServingShape {
  readonly numSlots?: number;
  /** Threads that the workers are told to share the queue with. */
  readonly threads?: number;
  readonly spareCore?: boolean;
}

/** An index, its request slots and its first worker's server, all in this thread. */
export class InProcessIndex {
  readonly data: IndexData;
  readonly slots: Slots;
  readonly server: Server;
  readonly #base: Omit<ServeTask, 'worker'>;

  private constructor(
    data: IndexData,
    { numSlots = 32, threads = 1, spareCore = false }: ServingShape,
    kernels: KernelSource,
  ) {
    this.data = data;
    const layout = layOutControl(data.control, data.model, data, numSlots, threads);
    const plan = planUnits(data);
    this.slots = new Slots(data.control, layout, data, plan);
    const { control, shards } = data;
    this.#base = { kind: 'serve', threads, spareCore, kernels, control, layout, shards, plan };
    this.server = new Server(this.serveTask(0));
  }

  static async build(
    data: Data,
    options: BuildOptions,
    shape: ServingShape = {},
    kernels: KernelSource = loadKernels(),
    bytesPerMemory = 1,
  ): Promise<InProcessIndex> {
    const built = await buildInline(data, options, new InlineThreads(), kernels, bytesPerMemory);
    return new InProcessIndex(built, shape, kernels);
  }

  serveTask(worker = 0): ServeTask {
    return { ...this.#base, worker };
  }

  get words(): Int32Array {
    return this.slots.words;
  }

  word(slot: number, word: number): number {
    return this.words[this.slots.header(slot) + word]!;
  }

  request(k: number, limit: number, numLeavesToSearch: number, exact = false): Request {
    const { rows, numLeaves, lanesPerVector } = this.data;
    const size = rows.count;
    const mode = searchMode(this.data, exact);
    const leaves = exact ? 0 : Math.min(numLeaves, numLeavesToSearch);
    return {
      ...{ mode, k: Math.min(k, size), limit: Math.min(limit, size * lanesPerVector) },
      ...{ numLeavesToSearch: leaves, snapshot: rows.snapshot },
    };
  }

  /** Takes a slot and queues a query; returns the slot. */
  submit(query: ArrayLike<number>, request: Request): number {
    const slot = this.slots.take(request);
    const at = this.slots.queryAt(slot);
    const { f32 } = this.slots.views;
    f32.fill(0, at, at + this.data.stride);
    f32.set(query, at);
    this.slots.enqueue(slot);
    return slot;
  }

  isDone(slot: number): boolean {
    const bit = (this.words[(this.slots.layout.done >>> 2) + (slot >>> 5)]! >>> (slot & 31)) & 1;
    return bit === 1 && this.word(slot, SLOT_STATE) === SLOT_DONE;
  }

  /** What the worker left in the slot; scores are such that higher is nearer. */
  result(slot: number): SearchResult {
    const { u32 } = this.slots.views.refresh();
    const h = this.slots.header(slot);
    const merged = u32[h + SLOT_MERGED]! >>> 2;
    const order = Array.from({ length: u32[h + SLOT_RESULT_COUNT]! }, (_, i) => merged + 2 * i);
    return {
      ids: order.map((at) => idOfLow(u32[at]!)),
      scores: Float32Array.from(order, (at) => scoreOfHigh(u32[at + 1]!)),
    };
  }

  /** One query from submission to answer, with nothing left behind. */
  search(query: ArrayLike<number>, request: Request): SearchResult {
    const slot = this.submit(query, request);
    this.server.drain();
    const result = this.result(slot);
    this.slots.free(slot);
    this.words[(this.slots.layout.done >>> 2) + (slot >>> 5)]! &= ~(1 << (slot & 31));
    return result;
  }
}

export { newCursor } from './inline-build.ts';
