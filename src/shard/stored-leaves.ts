import { RESERVED_BYTES, SEGMENT_COUNT, SHARD_LEAVES } from '../protocol/shard-layout.ts';
import type { Views } from './views.ts';

// What a shard memory has of the leaves. Views must be fresh.

/** Word that points to the first segment of a leaf, 0 if the memory has none of it. */
export function leafHeadWord({ u32 }: Views, leaf: number): number {
  return (u32[(RESERVED_BYTES + SHARD_LEAVES) >>> 2]! >>> 2) + leaf;
}

/** Lanes in the first segment of a leaf, which is all of it until vectors are added. */
export function lanesInHead(views: Views, leaf: number): number {
  const segment = views.u32[leafHeadWord(views, leaf)]!;
  return segment === 0 ? 0 : Atomics.load(views.i32, (segment + SEGMENT_COUNT) >>> 2);
}
