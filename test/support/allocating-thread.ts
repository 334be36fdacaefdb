import { allocate } from '../../src/shard/arena.ts';
import { Random } from './random.ts';

export interface AllocationTask {
  readonly memory: WebAssembly.Memory;
  /** Counts the threads that are ready, so that all start together. */
  readonly gate: Int32Array;
  readonly threads: number;
  /** Seeds the sizes; also what the pieces are filled with. */
  readonly mark: number;
  readonly pieces: number;
}

export interface Allocation {
  readonly start: number;
  readonly bytes: number;
  readonly mark?: number;
}

/** For a worker thread: allocates as fast as it can, and fills what it gets. */
export default function run({ memory, gate, threads, mark, pieces }: AllocationTask): Allocation[] {
  const random = new Random(mark);
  const taken: Allocation[] = [];
  Atomics.add(gate, 0, 1);
  while (Atomics.load(gate, 0) < threads);
  for (let i = 0; i < pieces; i++) {
    const bytes = random.int(1, 2000);
    const start = allocate(memory, bytes);
    new Uint8Array(memory.buffer, start, bytes).fill(mark);
    taken.push({ start, bytes, mark });
  }
  return taken;
}
