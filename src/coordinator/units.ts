import type { UnitPlan } from '../protocol/messages.ts';
import { lanesInHead } from '../shard/stored-leaves.ts';
import { Views } from '../shard/views.ts';
import type { IndexData } from './build.ts';
import { dealLeaves, evenStarts } from './dealing.ts';

/**
 * Splits a query's work into one unit per shard. With a tree the shards that fit one memory share it, and a unit is some of its
 * leaves, dealt as whole leaves are dealt to memories; exact scans split its rows. Otherwise each shard has a memory of its own.
 */
export function planUnits({ shards, numShards, numLeaves, config }: IndexData): UnitPlan {
  const starts = evenStarts(numShards, shards.length);
  const unitsOf = shards.map((_, m) => Array.from({ length: starts[m + 1]! - starts[m]! }, (__, i) => starts[m]! + i));
  const units = unitsOf.flatMap((own, memory) => own.map((_, part) => ({ memory, part, parts: own.length })));
  if (config.tree === false || numShards === shards.length) return { units, unitsOf, leafUnits: null };
  const leafUnits = new Int32Array(new SharedArrayBuffer(shards.length * numLeaves * 4));
  for (const [m, memory] of shards.entries()) {
    const owners = dealLeaves(lanesOf(memory, numLeaves), unitsOf[m]!.length);
    for (let leaf = 0; leaf < numLeaves; leaf++) leafUnits[m * numLeaves + leaf] = unitsOf[m]![owners[leaf]!]!;
  }
  return { units, unitsOf, leafUnits };
}

/** Lanes of each leaf in a memory that was just built or read, as far as the build put them there. */
function lanesOf(memory: WebAssembly.Memory, numLeaves: number): Int32Array {
  const views = new Views(memory);
  return Int32Array.from({ length: numLeaves }, (_, leaf) => lanesInHead(views, leaf));
}
