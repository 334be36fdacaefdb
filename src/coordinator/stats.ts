import { TOP_WORD } from '../protocol/shard-layout.ts';
import type { KernelTier } from '../shard/kernels/kernels.ts';
import type { IndexData } from './build.ts';
import type { Serving } from './serving.ts';
import type { Threads } from './threads.ts';
import type { IndexStats } from './types.ts';

const used = (memory: WebAssembly.Memory): number => Atomics.load(new Int32Array(memory.buffer), TOP_WORD) >>> 0;

export function describe(data: IndexData, serving: Serving, threads: Threads, kernels: KernelTier): IndexStats {
  const memories = data.shards.map(used);
  const { units, unitsOf } = serving.plan;
  const shards = units.map(({ memory, count }) => ({
    size: count,
    bytes: Math.round(memories[memory]! / unitsOf[memory]!.length),
  }));
  const { dispatcher } = serving;
  const { deletions } = data;
  return {
    ...{ size: data.size - deletions.count, deleted: deletions.count },
    ...{ dimensions: data.dimensions, metric: data.metric, kernels, threads: threads.count },
    ...{ config: data.config, numLeaves: data.numLeaves, shards },
    bytes: memories.reduce((sum, bytes) => sum + bytes, used(data.control)),
    queries: { ...dispatcher.counters, inFlight: dispatcher.inFlight, waitingCalls: dispatcher.waiting },
    workerRestarts: threads.restarts,
  };
}
