import { parentPort, workerData } from 'node:worker_threads';
import { allocate } from '../../src/shard/arena.ts';
import { Random } from './random.ts';

export interface AllocatingThreadData {
  readonly memory: WebAssembly.Memory;
  /** Counts the threads that are ready, so that all start together. */
  readonly gate: Int32Array;
  readonly threads: number;
  readonly seed: number;
  readonly pieces: number;
}

export interface Allocation {
  readonly start: number;
  readonly bytes: number;
  /** What the piece is filled with. */
  readonly mark?: number;
}

const { memory, gate, threads, seed, pieces } = workerData as AllocatingThreadData;
const random = new Random(seed);
const taken: Allocation[] = [];
Atomics.add(gate, 0, 1);
while (Atomics.load(gate, 0) < threads);
for (let i = 0; i < pieces; i++) {
  const bytes = random.int(1, 2000);
  const start = allocate(memory, bytes);
  new Uint8Array(memory.buffer, start, bytes).fill(seed);
  taken.push({ start, bytes, mark: seed });
}
parentPort!.postMessage(taken);
