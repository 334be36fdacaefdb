import { highOfScore } from '../../../protocol/order.ts';
import {
  BUFFER_SLACK,
  CODEC_INT8,
  SEGMENT_BLOCKS,
  SEGMENT_COUNT,
  SEGMENT_HEADER_BYTES,
  SEGMENT_NEXT,
  SHARD_CHUNK_SHIFT,
  SHARD_CHUNKS,
  SHARD_CODEC,
  SHARD_HAS_BIAS,
  SHARD_LEAVES,
  SHARD_METRIC,
  SHARD_ROW_BYTES,
  SHARD_STRIDE,
  SHARD_SUBSPACES,
  STATE_CODES,
  STATE_FLOOR,
  STATE_HELD,
  TABLES_HEADER_BYTES,
  VISIT_BYTES,
} from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';
import { compact } from './select.ts';
import { scoreRow } from './vector.ts';
import { isVisible } from './visible.ts';

/** Pointer to the chunk that holds a local number. */
function chunkOf(u32: Uint32Array, shard: number, local: number): number {
  const shift = u32[(shard + SHARD_CHUNK_SHIFT) >>> 2]!;
  return u32[(u32[(shard + SHARD_CHUNKS) >>> 2]! >>> 2) + (local >>> shift)]!;
}

function slotOf(u32: Uint32Array, shard: number, local: number): number {
  return local & ((1 << u32[(shard + SHARD_CHUNK_SHIFT) >>> 2]!) - 1);
}

/** Scores one stored vector, by its local number. */
function scoreLocal(views: Views, shard: number, query: number, local: number): number {
  const { f32, u32 } = views;
  const codec = u32[(shard + SHARD_CODEC) >>> 2]!;
  const slot = slotOf(u32, shard, local);
  const wordBytes = 4 << u32[(shard + SHARD_CHUNK_SHIFT) >>> 2]!;
  let vectors = chunkOf(u32, shard, local) + wordBytes;
  let scale = 1;
  if (codec === CODEC_INT8) {
    scale = f32[(vectors >>> 2) + slot]!;
    vectors += wordBytes;
  }
  const row = vectors + slot * u32[(shard + SHARD_ROW_BYTES) >>> 2]!;
  const l2 = u32[(shard + SHARD_METRIC) >>> 2]!;
  return scoreRow(views, codec, l2, query, row, u32[(shard + SHARD_STRIDE) >>> 2]!, scale);
}

function rowOf(u32: Uint32Array, shard: number, local: number): number {
  return u32[(chunkOf(u32, shard, local) >>> 2) + slotOf(u32, shard, local)]!;
}

/** Scores one stored vector and appends its key if it is above the floor; returns the number held. */
function offer(
  views: Views,
  shard: number,
  query: number,
  local: number,
  limit: number,
  keys: number,
  held: number,
  state: number,
): number {
  const { u32 } = views;
  const floor = (state + STATE_FLOOR) >>> 2;
  const high = highOfScore(scoreLocal(views, shard, query, local));
  const low = ~local >>> 0;
  if (high < u32[floor + 1]! || (high === u32[floor + 1]! && low <= u32[floor]!)) return held;
  if (!isVisible(views, shard, state, local)) return held;
  const at = (keys >>> 2) + 2 * held;
  u32[at] = low;
  u32[at + 1] = high;
  if (held + 1 < 2 * limit + BUFFER_SLACK) return held + 1;
  return compact(views, keys, held + 1, limit, state + STATE_FLOOR);
}

/** Exact scores of stored vectors [first, first + count): keeps the `limit` best as (score, local) keys. Returns their number. */
export function scanVectors(
  views: Views,
  shard: number,
  query: number,
  first: number,
  count: number,
  limit: number,
  keys: number,
  held: number,
  state: number,
): number {
  for (let local = first; local < first + count; local++) {
    held = offer(views, shard, query, local, limit, keys, held, state);
  }
  return compact(views, keys, held, limit, state + STATE_FLOOR);
}

/** Exact scores of all vectors in the visited leaves; otherwise as scanLeaves. For a tree without hashing. */
export function scanLeafVectors(
  views: Views,
  shard: number,
  visits: number,
  count: number,
  limit: number,
  tablesAt: number,
  keysAt: number,
): void {
  const { i32, u32 } = views;
  const heads = u32[(shard + SHARD_LEAVES) >>> 2]! >>> 2;
  const biasBytes = u32[(shard + SHARD_HAS_BIAS) >>> 2]! ? 64 : 0;
  const blockBytes = u32[(shard + SHARD_SUBSPACES) >>> 2]! * 16 + biasBytes;
  for (let i = 0; i < count; i++) {
    const visit = (visits + i * VISIT_BYTES) >>> 2;
    let segment = u32[heads + u32[visit]!]!;
    const state = u32[visit + 2]!;
    const query = state + tablesAt + TABLES_HEADER_BYTES;
    let held = u32[(state + STATE_HELD) >>> 2]!;
    while (segment) {
      const lanes = Atomics.load(i32, (segment + SEGMENT_COUNT) >>> 2);
      const capacity = u32[(segment + SEGMENT_BLOCKS) >>> 2]!;
      const locals = (segment + SEGMENT_HEADER_BYTES + capacity * blockBytes) >>> 2;
      for (let j = 0; j < lanes; j++) {
        held = offer(views, shard, query, u32[locals + j]!, limit, state + keysAt, held, state);
      }
      u32[(state + STATE_CODES) >>> 2]! += lanes;
      segment = u32[(segment + SEGMENT_NEXT) >>> 2]!;
    }
    u32[(state + STATE_HELD) >>> 2] = held;
  }
}

/** Replaces (any score, local) keys [count] by (exact score, row) keys, in place. */
export function rescore(views: Views, shard: number, query: number, keys: number, count: number): void {
  const { u32 } = views;
  for (let i = 0, at = keys >>> 2; i < count; i++, at += 2) {
    const local = ~u32[at]! >>> 0;
    u32[at] = ~rowOf(u32, shard, local);
    u32[at + 1] = highOfScore(scoreLocal(views, shard, query, local));
  }
}

/** Replaces (score, local) keys [count] by (score, row) keys, in `out`, which may be `keys`. */
export function localsToRows(views: Views, shard: number, keys: number, count: number, out: number): void {
  const { u32 } = views;
  for (let i = 0, at = keys >>> 2, to = out >>> 2; i < count; i++, at += 2, to += 2) {
    const high = u32[at + 1]!;
    u32[to] = ~rowOf(u32, shard, ~u32[at]! >>> 0);
    u32[to + 1] = high;
  }
}
