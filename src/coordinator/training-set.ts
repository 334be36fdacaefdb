import { setImmediate as nextTurn } from 'node:timers/promises';
import { Random } from '../protocol/random.ts';
import { allocate, createMemory } from '../shard/arena.ts';
import type { Kernels } from '../shard/kernels/kernels.ts';
import { bindKernels, type KernelSource } from '../shard/kernels/load.ts';
import { stagedRow } from '../shard/staged-rows.ts';
import { Views } from '../shard/views.ts';
import type { Segment } from './staging.ts';

const ROWS_PER_TURN = 4096;

/** A sample of the vectors in a memory of its own, for training. */
export class TrainingSet {
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
  readonly count: number;
  readonly stride: number;
  /** Pointer: f32 [count x stride]. */
  readonly rows: number;
  /** Pointers: u32 [count], f32 [count], u32 [count]. */
  readonly leaves: number;
  readonly scores: number;
  readonly members: number;
  /** Pointer: f32 [stride], zero until `centre`. */
  readonly mean: number;
  readonly #views: Views;

  constructor(source: KernelSource, stride: number, count: number) {
    this.count = count;
    this.stride = stride;
    this.memory = createMemory(this.count * (stride * 4 + 12) + stride * 4 + 4096);
    this.rows = allocate(this.memory, this.count * stride * 4);
    this.leaves = allocate(this.memory, this.count * 4);
    this.scores = allocate(this.memory, this.count * 4);
    this.members = allocate(this.memory, this.count * 4);
    this.mean = allocate(this.memory, stride * 4);
    this.#views = new Views(this.memory);
    this.kernels = bindKernels(source, this.memory);
  }

  /**
   * Copies a seeded sample of the staged rows in, in random order, so that its first part is a sample too. Other work of the
   * thread gets its turn now and then.
   */
  async fill(segments: readonly Segment[], size: number, seed: number): Promise<void> {
    const { stride } = this;
    const random = new Random(seed);
    const sample = random.shuffle(random.sample(size, this.count));
    const sources = segments.map((segment) => new Float32Array(segment.memory.buffer));
    for (let i = 0; i < this.count; i++) {
      const row = sample[i]!;
      const s = segments.findLastIndex((segment) => segment.firstRow <= row);
      const at = stagedRow(segments[s]!.rows, stride, row - segments[s]!.firstRow) >>> 2;
      this.#views.f32.set(sources[s]!.subarray(at, at + stride), (this.rows >>> 2) + i * stride);
      if (i % ROWS_PER_TURN === 0) await nextTurn();
    }
  }

  get views(): Views {
    return this.#views.refresh();
  }

  allocate(bytes: number): number {
    return allocate(this.memory, bytes);
  }

  /** The sample's mean, f32 [stride], into `out`. */
  meanInto(out: number): void {
    const { u32 } = this.views;
    for (let i = 0; i < this.count; i++) u32[(this.members >>> 2) + i] = i;
    this.kernels.meanOfRows(this.rows, this.stride, this.members, this.count, out);
  }

  /** Copies f32 [length] out of the memory. */
  copyOut(pointer: number, length: number): Float32Array {
    return this.views.f32.slice(pointer >>> 2, (pointer >>> 2) + length);
  }
}
