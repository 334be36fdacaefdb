import { buildIndex, type IndexData, searchMode } from '../../src/coordinator/build.ts';
import { layOutControl, type Request, Slots } from '../../src/coordinator/slots.ts';
import type { PhaseOf, Threads } from '../../src/coordinator/threads.ts';
import { planUnits } from '../../src/coordinator/units.ts';
import type { BuildOptions } from '../../src/index.ts';
import { SLOT_MERGED, SLOT_RESULT_COUNT } from '../../src/protocol/control-layout.ts';
import {
  type BuildTask,
  CURSOR_ABORT,
  CURSOR_WORDS,
  type PhaseResult,
  type ServeTask,
} from '../../src/protocol/messages.ts';
import { resolveBuildOptions } from '../../src/protocol/options.ts';
import { idOfLow, scoreOfHigh } from '../../src/protocol/order.ts';
import { runPhase } from '../../src/shard/build-phases.ts';
import { type KernelSource, loadKernels } from '../../src/shard/kernels/load.ts';
import { Server } from '../../src/shard/serve.ts';
import { stage } from './live-index.ts';
import type { Data } from './vectors.ts';

/** Runs build phases in this thread, and keeps what they were. */
export class InlineThreads {
  readonly count: number;
  readonly tasks: BuildTask[] = [];

  constructor(count = 2) {
    this.count = count;
  }

  async runPhase(task: PhaseOf<BuildTask>): Promise<PhaseResult> {
    const whole = { ...task, cursor: newCursor() } as BuildTask;
    this.tasks.push(whole);
    return runPhase(whole);
  }
}

export function newCursor(aborted = false): Int32Array {
  const cursor = new Int32Array(new SharedArrayBuffer(CURSOR_WORDS * 4));
  cursor[CURSOR_ABORT] = aborted ? 1 : 0;
  return cursor;
}

/** Builds an index with every phase run in this thread, each shard in a memory of its own unless more bytes may share one. */
export async function buildInline(
  data: Data,
  options: BuildOptions,
  threads = new InlineThreads(),
  kernels = loadKernels(),
  bytesPerMemory = 1,
): Promise<IndexData> {
  const resolved = resolveBuildOptions(options);
  const staging = await stage(data, kernels, resolved);
  return buildIndex(staging, {
    threads: threads as unknown as Threads,
    kernels,
    options: resolved,
    report: () => {},
    bytesPerMemory,
  });
}

/** One worker's server, and the slots that it works on, in this thread. */
export class InlineServer {
  readonly data: IndexData;
  readonly slots: Slots;
  readonly server: Server;
  readonly task: ServeTask;

  constructor(data: IndexData, { numSlots = 32, kernels = loadKernels() as KernelSource } = {}) {
    this.data = data;
    const layout = layOutControl(data.control, data.model, data, numSlots, 1);
    const plan = planUnits(data);
    this.slots = new Slots(data.control, layout, data, plan);
    const { control, shards } = data;
    this.task = { kind: 'serve', worker: 0, threads: 1, spareCore: false, kernels, control, layout, shards, plan };
    this.server = new Server(this.task);
  }

  request(k: number, { exact = false, limit = 4 * k, leaves = 4 } = {}): Request {
    const { rows, numLeaves, lanesPerVector } = this.data;
    const size = rows.count;
    return {
      mode: searchMode(this.data, exact),
      ...{
        k: Math.min(k, size),
        limit: Math.min(size * lanesPerVector, limit),
        numLeavesToSearch: exact ? 0 : Math.min(leaves, numLeaves),
        snapshot: rows.snapshot,
      },
    };
  }

  /** Takes a slot and puts a query on the queue; returns the slot. */
  enqueue(query: Float32Array, request: Request): number {
    const slot = this.slots.take(request);
    const at = this.slots.queryAt(slot);
    const { f32 } = this.slots.views;
    f32.fill(0, at, at + this.data.stride);
    f32.set(query, at);
    this.slots.enqueue(slot);
    return slot;
  }

  word(slot: number, word: number): number {
    return this.slots.words[this.slots.header(slot) + word]!;
  }

  /** What the worker left in the slot: rows, and scores where higher is nearer. */
  result(slot: number): { rows: number[]; scores: number[] } {
    const { u32 } = this.slots.views.refresh();
    const h = this.slots.header(slot);
    const merged = u32[h + SLOT_MERGED]! >>> 2;
    const order = Array.from({ length: u32[h + SLOT_RESULT_COUNT]! }, (_, i) => merged + 2 * i);
    return { rows: order.map((at) => idOfLow(u32[at]!)), scores: order.map((at) => scoreOfHigh(u32[at + 1]!)) };
  }
}
