import { TOP_WORD } from '../protocol/shard-layout.ts';
import type { KernelTier } from '../shard/kernels/kernels.ts';
import type { IndexData } from './build.ts';
import { evenStarts } from './dealing.ts';
import type { Serving } from './serving.ts';
import type { Threads } from './threads.ts';
import type { IndexStats } from './types.ts';

const used = (memory: WebAssembly.Memory): number => Atomics.load(new Int32Array(memory.buffer), TOP_WORD) >>> 0;

export function describe(data: IndexData, serving: Serving, threads: Threads, kernels: KernelTier): IndexStats {
  const memories = data.shards.map(used);
  const { sizes } = data.rows;
  const shards = serving.plan.units.map(({ memory, part, parts }) => {
    const starts = evenStarts(sizes[memory]!, parts);
    return { size: starts[part + 1]! - starts[part]!, bytes: Math.round(memories[memory]! / parts) };
  });
  const { dispatcher } = serving;
  return {
    ...{ size: data.rows.live, deleted: data.rows.deletedCount },
    ...{ dimensions: data.dimensions, metric: data.metric, kernels, threads: threads.count },
    ...{ config: data.config, numLeaves: data.numLeaves, shards },
    bytes: memories.reduce((sum, bytes) => sum + bytes, used(data.control)),
    queries: { ...dispatcher.counters, inFlight: dispatcher.inFlight, waitingCalls: dispatcher.waiting },
    workerRestarts: threads.restarts,
  };
}
