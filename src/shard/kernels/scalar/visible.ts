import {
  SHARD_CHUNK_SHIFT,
  STATE_BOUND,
  STATE_DEATHS,
  STATE_EPOCH,
  STATE_FILTER,
} from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';

/** Whether the query of a state sees a vector: it was there when the query began, was not deleted, and the filter lets it through. */
export function isVisible({ i32, u32 }: Views, shard: number, state: number, local: number): boolean {
  if (local >= u32[(state + STATE_BOUND) >>> 2]!) return false;
  const filter = u32[(state + STATE_FILTER) >>> 2]! >>> 2;
  if (filter !== 0 && ((u32[filter + (local >>> 5)]! >>> (local & 31)) & 1) === 0) return false;
  const deaths = u32[(state + STATE_DEATHS) >>> 2]! >>> 2;
  if (deaths === 0) return true;
  const shift = u32[(shard + SHARD_CHUNK_SHIFT) >>> 2]!;
  const chunk = u32[deaths + (local >>> shift)]! >>> 2;
  if (chunk === 0) return true;
  const death = Atomics.load(i32, chunk + (local & ((1 << shift) - 1))) >>> 0;
  return death === 0 || death > u32[(state + STATE_EPOCH) >>> 2]!;
}
