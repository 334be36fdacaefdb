import type { Metric } from '../protocol/metrics.ts';
import { TOP_WORD } from '../protocol/shard-layout.ts';
import type { KernelTier } from '../shard/kernels/kernels.ts';
import type { IndexData } from './build.ts';
import type { IndexConfig } from './configure.ts';
import type { QueryCounters } from './dispatcher.ts';
import type { Serving } from './serving.ts';
import type { Threads } from './threads.ts';

export interface IndexStats {
  readonly size: number;
  readonly dimensions: number;
  readonly metric: Metric;
  /** The kernels that run: 'scalar', 'simd' or 'relaxed'. */
  readonly kernels: KernelTier;
  readonly threads: number;
  /** Tree, hashing, reordering and search defaults, with every choice made. */
  readonly config: IndexConfig;
  /** Leaves in use; fewer than asked for when there are fewer distinct vectors. 0 without tree and hashing. */
  readonly numLeaves: number;
  /** Per shard: vectors, and bytes of shared memory in use. */
  readonly shards: readonly { readonly size: number; readonly bytes: number }[];
  /** Bytes of shared memory in use by shards, model and requests. */
  readonly bytes: number;
  readonly queries: QueryCounters & {
    /** Queries being answered now. */
    readonly inFlight: number;
    /** Calls that wait for room. */
    readonly waitingCalls: number;
  };
  /** Worker threads that were started in place of dead ones. */
  readonly workerRestarts: number;
}

const used = (memory: WebAssembly.Memory): number => Atomics.load(new Int32Array(memory.buffer), TOP_WORD) >>> 0;

export function describe(data: IndexData, serving: Serving, threads: Threads, kernels: KernelTier): IndexStats {
  const shards = data.shards.map((memory, s) => ({ size: data.shardSizes[s]!, bytes: used(memory) }));
  const { dispatcher } = serving;
  return {
    ...{ size: data.size, dimensions: data.dimensions, metric: data.metric, kernels, threads: threads.count },
    ...{ config: data.config, numLeaves: data.numLeaves, shards },
    bytes: shards.reduce((sum, shard) => sum + shard.bytes, used(data.control)),
    queries: { ...dispatcher.counters, inFlight: dispatcher.inFlight, waitingCalls: dispatcher.waiting },
    workerRestarts: threads.restarts,
  };
}
