import type { StagedLanes } from '../protocol/messages.ts';
import { MAX_CHUNK_SHIFT, RESERVED_BYTES, SHARD_HEADER_BYTES } from '../protocol/shard-layout.ts';
import { align } from './arena.ts';

// Rows are staged as a shard with float32 vectors keeps them: in chunks of 2^MAX_CHUNK_SHIFT, each with room for the row numbers
// in front, the first chunk right behind the shard's header. So a staging memory can become the memory of a shard.

const CHUNK_ROWS = 2 ** MAX_CHUNK_SHIFT;
const ROW_NUMBER_BYTES = CHUNK_ROWS * 4;

/** Where the first row of a staging memory is. */
export const STAGED_ROWS = align(RESERVED_BYTES + SHARD_HEADER_BYTES) + ROW_NUMBER_BYTES;

/** Pointer to row `i` of those at `rows`. Rows up to the next multiple of 2^MAX_CHUNK_SHIFT follow one another. */
export function stagedRow(rows: number, stride: number, i: number): number {
  const chunk = i >>> MAX_CHUNK_SHIFT;
  return rows + chunk * ROW_NUMBER_BYTES + i * stride * 4;
}

/** First byte past `count` rows. */
export function stagedEnd(rows: number, stride: number, count: number): number {
  return count === 0 ? rows : stagedRow(rows, stride, count - 1) + stride * 4;
}

/** Rows that follow row `i` in its chunk, itself included. */
export function rowsLeftInChunk(i: number): number {
  return CHUNK_ROWS - (i & (CHUNK_ROWS - 1));
}

/** Bytes that the lanes of `count` rows take. */
export function lanesBytes(count: number, codeBytes: number): number {
  return 2 * align(count * 4) + align(count * codeBytes);
}

/** Lanes of `count` rows, from a pointer on. */
export function layLanes(at: number, count: number): StagedLanes {
  const words = align(count * 4);
  return { leaves: at, codeBiases: at + words, codes: at + 2 * words };
}
