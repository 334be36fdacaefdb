import type { UnitPlan } from '../protocol/messages.ts';
import { RESERVED_BYTES, SEGMENT_COUNT, SHARD_LEAVES } from '../protocol/shard-layout.ts';
import { Views } from '../shard/views.ts';
import { dealLeaves, type IndexData } from './build.ts';

/**
 * Splits a query's work into one unit per shard. With a tree the shards that fit one memory share it, and a unit is some of its
 * leaves, dealt as whole leaves are dealt to memories; exact scans split its rows. Otherwise each shard has a memory of its own.
 */
export function planUnits({ shards, shardSizes, numShards, numLeaves, config }: IndexData): UnitPlan {
  const perMemory = shards.map((_, m) => share(numShards, shards.length, m));
  const units = shards.flatMap((_, memory) => {
    const count = perMemory[memory]!;
    const size = shardSizes[memory]!;
    return Array.from({ length: count }, (__, i) => {
      const first = Math.floor((i * size) / count);
      return { memory, first, count: Math.floor(((i + 1) * size) / count) - first };
    });
  });
  if (config.tree === false || numShards === shards.length) return { units, leafUnits: null };
  const leafUnits = new Int32Array(new SharedArrayBuffer(shards.length * numLeaves * 4));
  for (const [m, memory] of shards.entries()) {
    const before = units.findIndex((unit) => unit.memory === m);
    const owners = dealLeaves(lanesOf(memory, numLeaves), perMemory[m]!);
    for (let leaf = 0; leaf < numLeaves; leaf++) leafUnits[m * numLeaves + leaf] = before + owners[leaf]!;
  }
  return { units, leafUnits };
}

/** How many of `total` things the i-th of `parts` gets when they are shared evenly. */
function share(total: number, parts: number, i: number): number {
  return Math.floor(((i + 1) * total) / parts) - Math.floor((i * total) / parts);
}

/** Lanes of each leaf in a memory that was just built or read. */
function lanesOf(memory: WebAssembly.Memory, numLeaves: number): Int32Array {
  const { u32 } = new Views(memory);
  const heads = u32[(RESERVED_BYTES + SHARD_LEAVES) >>> 2]! >>> 2;
  return Int32Array.from({ length: numLeaves }, (_, leaf) => {
    const segment = u32[heads + leaf]!;
    return segment === 0 ? 0 : u32[(segment + SEGMENT_COUNT) >>> 2]!;
  });
}
