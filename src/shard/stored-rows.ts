import { RESERVED_BYTES, SHARD_CHUNK_SHIFT, SHARD_CHUNKS, SHARD_COUNT } from '../protocol/shard-layout.ts';
import type { Views } from './views.ts';

// Where the vectors of a shard memory are. Views must be fresh.

const HEADER = RESERVED_BYTES >>> 2;

/** Vectors in a memory. */
export function storedCount({ i32 }: Views): number {
  return Atomics.load(i32, HEADER + (SHARD_COUNT >>> 2)) >>> 0;
}

/** The row of a local number. */
export function rowAt({ u32 }: Views, local: number): number {
  const shift = u32[HEADER + (SHARD_CHUNK_SHIFT >>> 2)]!;
  const chunk = u32[(u32[HEADER + (SHARD_CHUNKS >>> 2)]! >>> 2) + (local >>> shift)]!;
  return u32[(chunk >>> 2) + (local & ((1 << shift) - 1))]!;
}

/** The first of `count` local numbers whose row is not below this one, or `count`: rows ascend. */
export function firstLocalFrom(views: Views, row: number, count: number): number {
  if (count === 0 || rowAt(views, count - 1) < row) return count;
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (rowAt(views, middle) < row) low = middle + 1;
    else high = middle;
  }
  return low;
}
