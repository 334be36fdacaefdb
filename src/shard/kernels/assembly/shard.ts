import {
  BUFFER_SLACK, CODEC_INT8, SEGMENT_BLOCKS, SEGMENT_COUNT, SEGMENT_HEADER_BYTES,
  SEGMENT_NEXT, SHARD_CHUNKS, SHARD_CHUNK_SHIFT, SHARD_CODEC, SHARD_HAS_BIAS, SHARD_LEAVES, SHARD_METRIC, SHARD_ROW_BYTES,
  SHARD_STRIDE, SHARD_SUBSPACES, STATE_CODES, STATE_FLOOR, STATE_HELD, STATE_LANES, TABLES_HEADER_BYTES,
  VISIT_BYTES,
} from "../../../protocol/shard-layout";
import { idOf, keyOf } from "./order";
import { compact } from "./select";
import { scoreRow } from "./vector";
import { boundOf, deathsOf, epochOf, filterOf, isLet, isVisible } from "./visible";

// @ts-ignore: decorator
@inline function scalesBytes(codec: i32, shift: u32): usize { return codec == CODEC_INT8 ? <usize>4 << shift : 0; }

// @ts-ignore: decorator
@inline function chunkOf(chunks: usize, shift: u32, local: u32): usize { return <usize>load<u32>(chunks + (<usize>(local >> shift) << 2)); }
// @ts-ignore: decorator
@inline function slotOf(shift: u32, local: u32): usize { return <usize>(local & ((1 << shift) - 1)); }
/** The row number of a vector. */
// @ts-ignore: decorator
@inline function rowOf(chunks: usize, shift: u32, local: u32): u32 { return load<u32>(chunkOf(chunks, shift, local) + (slotOf(shift, local) << 2)); }
/** Where a vector lies. rowsBytes: what a chunk has before its vectors. */
// @ts-ignore: decorator
@inline function vectorAt(chunks: usize, shift: u32, local: u32, rowsBytes: usize, rowBytes: usize): usize {
  return chunkOf(chunks, shift, local) + rowsBytes + slotOf(shift, local) * rowBytes;
}

/** Scores one stored vector, by its local number. */
// @ts-ignore: decorator
@inline function scoreLocal(shard: usize, query: usize, local: u32, chunks: usize, shift: u32, codec: i32, l2: i32, stride: i32, rowBytes: usize): f32 {
  const chunk = chunkOf(chunks, shift, local), slot = slotOf(shift, local);
  const scales = chunk + (<usize>4 << shift);
  const scale = codec == CODEC_INT8 ? load<f32>(scales + (slot << 2)) : <f32>1;
  return scoreRow(codec, l2, query, scales + scalesBytes(codec, shift) + slot * rowBytes, stride, scale);
}

const GROUP = 16; // rows that are touched before they are scored: their cache misses overlap
const AHEAD = 64; // rows of which one word is read before that: as many pages are found side by side, which takes longest

/** Reads one word of each cache line of a row; the loads wait for memory side by side, where scoring would wait row by row. */
// @ts-ignore: decorator
@inline function touch(row: usize, rowBytes: usize): u32 {
  let sum: u32 = 0;
  for (let at: usize = 0; at < rowBytes; at += 64) sum += load<u32>(row + at);
  return sum + load<u32>(row + rowBytes - 4);
}

/**
 * scanVectors with a filter: the vectors that it lets through are scored in groups, whose rows are touched first. The group's local
 * numbers lie in STATE_LANES.
 */
function scanPassing(shard: usize, query: usize, first: u32, count: i32, limit: i32, keys: usize, held: i32, state: usize): i32 {
  const codec = load<i32>(shard, SHARD_CODEC), l2 = load<i32>(shard, SHARD_METRIC), stride = load<i32>(shard, SHARD_STRIDE);
  const rowBytes = <usize>load<u32>(shard, SHARD_ROW_BYTES), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const chunks = <usize>load<u32>(shard, SHARD_CHUNKS), rowsBytes = (<usize>4 << shift) + scalesBytes(codec, shift);
  const capacity = 2 * limit + BUFFER_SLACK, end = min(first + <u32>count, boundOf(state));
  const deaths = deathsOf(state), epoch = epochOf(state), filter = filterOf(state), group = state + STATE_LANES;
  let floor = load<u64>(state, STATE_FLOOR), local = first, touched: u32 = 0;
  while (local < end) {
    let grouped = 0;
    while (local < end && grouped < GROUP) {
      const ahead = load<u32>(filter + (<usize>(local >> 5) << 2)) >> (local & 31);
      if (ahead == 0) { local = (local | 31) + 1; continue; }
      local += <u32>ctz(ahead);
      if (local >= end) break;
      touched += touch(vectorAt(chunks, shift, local, rowsBytes, rowBytes), rowBytes);
      store<u32>(group + (<usize>grouped << 2), local);
      grouped++;
      local++;
    }
    for (let i = 0; i < grouped; i++) {
      const own = load<u32>(group + (<usize>i << 2));
      const key = keyOf(scoreLocal(shard, query, own, chunks, shift, codec, l2, stride, rowBytes), own);
      if (key > floor && isVisible(0, deaths, epoch, own, shift)) {
        store<u64>(keys + (<usize>held << 3), key);
        if (++held == capacity) {
          held = compact(keys, held, limit, state + STATE_FLOOR);
          floor = load<u64>(state, STATE_FLOOR);
        }
      }
    }
  }
  store<u32>(group, touched); // so that the loads are not optimised away
  return compact(keys, held, limit, state + STATE_FLOOR);
}

/**
 * Exact scores of stored vectors [first, first + count) that the filter lets through: keeps the `limit` best as (score, local) keys.
 * Returns their number.
 */
export function scanVectors(shard: usize, query: usize, first: u32, count: i32, limit: i32, keys: usize, held: i32, state: usize): i32 {
  const codec = load<i32>(shard, SHARD_CODEC), l2 = load<i32>(shard, SHARD_METRIC), stride = load<i32>(shard, SHARD_STRIDE);
  const rowBytes = <usize>load<u32>(shard, SHARD_ROW_BYTES), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const chunks = <usize>load<u32>(shard, SHARD_CHUNKS);
  const capacity = 2 * limit + BUFFER_SLACK;
  const bound = boundOf(state), deaths = deathsOf(state), epoch = epochOf(state);
  if (filterOf(state) != 0) return scanPassing(shard, query, first, count, limit, keys, held, state);
  let floor = load<u64>(state, STATE_FLOOR);
  let local = first;
  const end = first + <u32>count;
  while (local < end) {
    const chunk = <usize>load<u32>(chunks + (<usize>(local >> shift) << 2));
    const stop = min(end, ((local >> shift) + 1) << shift);
    let slot = <usize>(local & ((1 << shift) - 1));
    const scales = chunk + (<usize>4 << shift);
    let row = scales + scalesBytes(codec, shift) + slot * rowBytes;
    for (; local < stop; local++, slot++, row += rowBytes) {
      const scale = codec == CODEC_INT8 ? load<f32>(scales + (slot << 2)) : <f32>1;
      const key = keyOf(scoreRow(codec, l2, query, row, stride, scale), local);
      if (key > floor && local < bound && isVisible(0, deaths, epoch, local, shift)) {
        store<u64>(keys + (<usize>held << 3), key);
        if (++held == capacity) {
          held = compact(keys, held, limit, state + STATE_FLOOR);
          floor = load<u64>(state, STATE_FLOOR);
        }
      }
    }
  }
  return compact(keys, held, limit, state + STATE_FLOOR);
}

/** Exact scores of all vectors in the visited leaves; otherwise as scanLeaves. For a tree without hashing. */
export function scanLeafVectors(shard: usize, visits: usize, count: i32, limit: i32, tablesAt: usize, keysAt: usize): void {
  const codec = load<i32>(shard, SHARD_CODEC), l2 = load<i32>(shard, SHARD_METRIC), stride = load<i32>(shard, SHARD_STRIDE);
  const rowBytes = <usize>load<u32>(shard, SHARD_ROW_BYTES), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const chunks = <usize>load<u32>(shard, SHARD_CHUNKS), heads = <usize>load<u32>(shard, SHARD_LEAVES);
  const blockBytes = <usize>load<u32>(shard, SHARD_SUBSPACES) << 4;
  const biasBytes: usize = load<u32>(shard, SHARD_HAS_BIAS) ? 64 : 0;
  const capacity = 2 * limit + BUFFER_SLACK;
  for (const last = visits + <usize>count * VISIT_BYTES; visits < last; visits += VISIT_BYTES) {
    let segment = <usize>load<u32>(heads + (<usize>load<u32>(visits) << 2));
    const state = <usize>load<u32>(visits, 8), query = state + tablesAt + TABLES_HEADER_BYTES, keys = state + keysAt;
    const bound = boundOf(state), deaths = deathsOf(state), epoch = epochOf(state), filter = filterOf(state);
    let held = load<i32>(state, STATE_HELD);
    while (segment) {
      const lanes = atomic.load<i32>(segment, SEGMENT_COUNT);
      const locals = segment + SEGMENT_HEADER_BYTES + <usize>load<u32>(segment, SEGMENT_BLOCKS) * (blockBytes + biasBytes);
      for (let j = 0; j < lanes; j++) {
        const local = load<u32>(locals + (<usize>j << 2));
        if (!isLet(filter, local)) continue;
        const key = keyOf(scoreLocal(shard, query, local, chunks, shift, codec, l2, stride, rowBytes), local);
        if (key > load<u64>(state, STATE_FLOOR) && local < bound && isVisible(0, deaths, epoch, local, shift)) {
          store<u64>(keys + (<usize>held << 3), key);
          if (++held == capacity) held = compact(keys, held, limit, state + STATE_FLOOR);
        }
      }
      store<u32>(state, load<u32>(state, STATE_CODES) + <u32>lanes, STATE_CODES);
      segment = <usize>load<u32>(segment, SEGMENT_NEXT);
    }
    store<i32>(state, held, STATE_HELD);
  }
}

/** Replaces (any score, local) keys [count] by (exact score, row) keys, in place. state: STATE_BYTES of scratch. */
export function rescore(shard: usize, query: usize, keys: usize, count: i32, state: usize): void {
  const codec = load<i32>(shard, SHARD_CODEC), l2 = load<i32>(shard, SHARD_METRIC), stride = load<i32>(shard, SHARD_STRIDE);
  const rowBytes = <usize>load<u32>(shard, SHARD_ROW_BYTES), shift = load<u32>(shard, SHARD_CHUNK_SHIFT);
  const chunks = <usize>load<u32>(shard, SHARD_CHUNKS);
  const rowsBytes = (<usize>4 << shift) + scalesBytes(codec, shift);
  let touched: u32 = 0;
  for (let i = 0; i < count; i++) {
    if (i % AHEAD == 0) {
      const stop = min(count, i + AHEAD);
      for (let j = i; j < stop; j++) {
        const local = idOf(load<u64>(keys + (<usize>j << 3)));
        touched += rowOf(chunks, shift, local) + load<u32>(vectorAt(chunks, shift, local, rowsBytes, rowBytes));
      }
    }
    if (i % GROUP == 0) {
      const stop = min(count, i + GROUP);
      for (let j = i; j < stop; j++) {
        const local = idOf(load<u64>(keys + (<usize>j << 3)));
        touched += touch(vectorAt(chunks, shift, local, rowsBytes, rowBytes), rowBytes);
      }
    }
    const local = idOf(load<u64>(keys + (<usize>i << 3)));
    const score = scoreLocal(shard, query, local, chunks, shift, codec, l2, stride, rowBytes);
    store<u64>(keys + (<usize>i << 3), keyOf(score, rowOf(chunks, shift, local)));
  }
  store<u32>(state + STATE_LANES, touched); // so that the loads are not optimised away
}

/** Replaces (score, local) keys [count] by (score, row) keys, in `out`, which may be `keys`. */
export function localsToRows(shard: usize, keys: usize, count: i32, out: usize): void {
  const shift = load<u32>(shard, SHARD_CHUNK_SHIFT), chunks = <usize>load<u32>(shard, SHARD_CHUNKS);
  for (let i = 0; i < count; i++) {
    const key = load<u64>(keys + (<usize>i << 3)), local = idOf(key);
    const row = rowOf(chunks, shift, local);
    store<u64>(out + (<usize>i << 3), (key & 0xffffffff00000000) | <u64>~row);
  }
}
