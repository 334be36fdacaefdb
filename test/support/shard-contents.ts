import { expect } from 'vitest';
import { CURSOR_DONE, type ShardPlan, type StagedSegment } from '../../src/protocol/messages.ts';
import * as L from '../../src/protocol/shard-layout.ts';
import { createMemory } from '../../src/shard/arena.ts';
import { runPhase } from '../../src/shard/build-phases.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { layOutShard } from '../../src/shard/shard-image.ts';
import { Views } from '../../src/shard/views.ts';
import { newCursor } from './inline-build.ts';

/** Fills shards from staged rows, which stay where they are. */
export function fillShards(plan: ShardPlan, numShards: number, segments: readonly StagedSegment[]): Views[] {
  const shards = Array.from({ length: numShards }, (_, s) => {
    const { end } = layOutShard(plan, s);
    const memory = createMemory(end);
    new Int32Array(memory.buffer)[L.TOP_WORD] = end;
    return memory;
  });
  const cursor = newCursor();
  const stale = new Array<number>(numShards).fill(0);
  runPhase({
    ...{
      kind: 'fill',
      kernels: loadKernels(),
      cursor,
      chunks: numShards,
      shards,
      stale,
      segments,
      plan,
      inPlace: false,
    },
  });
  expect(cursor[CURSOR_DONE]).toBe(numShards);
  return shards.map((memory) => new Views(memory));
}

/** The rows of a shard in the order of their local numbers, and where each one's vector is. */
export function storedRows({ u32 }: Views, codec: number): { row: number; vector: number; scale: number }[] {
  const field = (at: number): number => u32[(L.RESERVED_BYTES + at) >>> 2]!;
  const perChunk = 2 ** field(L.SHARD_CHUNK_SHIFT);
  return Array.from({ length: field(L.SHARD_COUNT) }, (_, local) => {
    const chunk = u32[(field(L.SHARD_CHUNKS) >>> 2) + Math.floor(local / perChunk)]!;
    const slot = local % perChunk;
    const vectors = chunk + perChunk * (codec === L.CODEC_INT8 ? 8 : 4);
    const scale = chunk + perChunk * 4 + slot * 4;
    return { row: u32[(chunk >>> 2) + slot]!, vector: vectors + slot * field(L.SHARD_ROW_BYTES), scale };
  });
}

export interface Lane {
  readonly local: number;
  readonly codes: number[];
  readonly bias: number;
}

/** The lanes of one leaf, read as shard-layout.ts says. */
export function lanesOf({ u32, u8, i16 }: Views, plan: ShardPlan, leaf: number): Lane[] {
  const segment = u32[(u32[(L.RESERVED_BYTES + L.SHARD_LEAVES) >>> 2]! >>> 2) + leaf]!;
  if (segment === 0) return [];
  const capacity = u32[(segment + L.SEGMENT_BLOCKS) >>> 2]!;
  const first = segment + L.SEGMENT_HEADER_BYTES;
  const biasesAt = first + capacity * plan.subspaces * 16;
  const locals = biasesAt + (plan.hasBias ? capacity * 64 : 0);
  // Accumulator order: low nibbles' even lanes, their odd ones, then the high nibbles'.
  const order = [0, 16].flatMap((half) =>
    [0, 1].flatMap((odd) => Array.from({ length: 8 }, (_, i) => half + 2 * i + odd)),
  );
  return Array.from({ length: u32[(segment + L.SEGMENT_COUNT) >>> 2]! }, (_, position) => {
    const [block, lane] = [Math.floor(position / 32), position % 32];
    const byte = (m: number): number => u8[first + (block * plan.subspaces + m) * 16 + (lane % 16)]!;
    return {
      local: u32[(locals >>> 2) + position]!,
      codes: Array.from({ length: plan.blocks }, (__, m) => (lane < 16 ? byte(m) & 15 : byte(m) >> 4)),
      bias: plan.hasBias ? i16[(biasesAt >>> 1) + block * 32 + order.indexOf(lane)]! : 0,
    };
  });
}
