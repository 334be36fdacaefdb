import {
  LIST_CODES,
  LIST_COUNT,
  LIST_RESCORE_MICROS,
  LIST_RESCORED,
  LIST_SCAN_MICROS,
  MODE_CODES,
  MODE_EXACT,
  MODE_LEAVES,
  SLOT_CODES,
  SLOT_LEAVES,
  SLOT_LEAVES_TO_SEARCH,
  SLOT_LIST_BYTES,
  SLOT_LISTS,
  SLOT_MERGED,
  SLOT_MICROS,
  SLOT_PREPARE_MICROS,
  SLOT_RESULT_COUNT,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import { idOfLow, scoreOfHigh } from '../protocol/order.ts';
import { LEAF_ENTRY_BYTES, METRIC_L2, TABLES_QUERY_NORM } from '../protocol/shard-layout.ts';
import type { StageTimes } from './events.ts';
import type { GrowingIds } from './growing-ids.ts';
import type { Slots } from './slots.ts';
import type { Explanation, SearchResult } from './types.ts';

/** Reads the answer out of a finished slot. */
export function readAnswer(
  slots: Slots,
  slot: number,
  mode: number,
  { kernelMetric, ids: column }: { readonly kernelMetric: number; readonly ids: GrowingIds },
): SearchResult {
  const { u32, f32 } = slots.views;
  const h = slots.header(slot);
  const count = u32[h + SLOT_RESULT_COUNT]!;
  const merged = u32[h + SLOT_MERGED]! >>> 2;
  const ids = new Array<SearchResult['ids'][number]>(count);
  const scores = new Float32Array(count);
  const l2 = kernelMetric === METRIC_L2;
  // A code's score is q . x - |x|^2 / 2, both centred; the query's norm makes it a distance.
  const norm = l2 && mode === MODE_CODES ? f32[(u32[h + SLOT_TABLES]! + TABLES_QUERY_NORM) >>> 2]! : undefined;
  for (let i = 0; i < count; i++) {
    ids[i] = column.at(idOfLow(u32[merged + 2 * i]!));
    const score = scoreOfHigh(u32[merged + 2 * i + 1]!);
    scores[i] = !l2 ? score : norm === undefined ? 0 - score : Math.max(0, norm - 2 * score);
  }
  return { ids, scores };
}

/** The rows of the answer in a finished slot. */
export function readRows(slots: Slots, slot: number): Uint32Array {
  const { u32 } = slots.views;
  const h = slots.header(slot);
  const merged = u32[h + SLOT_MERGED]! >>> 2;
  return Uint32Array.from({ length: u32[h + SLOT_RESULT_COUNT]! }, (_, i) => idOfLow(u32[merged + 2 * i]!));
}

/** Adds the times of a finished slot. */
export function addStages(slots: Slots, slot: number, shards: number, stages: StageTimes): void {
  const { u32 } = slots.views;
  const h = slots.header(slot);
  const prepare = u32[h + SLOT_PREPARE_MICROS]!;
  let scan = 0;
  let reorder = 0;
  for (let s = 0; s < shards; s++) {
    const list = (u32[h + SLOT_LISTS]! + s * u32[h + SLOT_LIST_BYTES]!) >>> 2;
    scan += u32[list + LIST_SCAN_MICROS]!;
    reorder += u32[list + LIST_RESCORE_MICROS]!;
  }
  stages.prepare += prepare / 10;
  stages.scan += scan / 10;
  stages.reorder += reorder / 10;
  stages.merge += Math.max(0, u32[h + SLOT_MICROS]! - prepare - scan - reorder) / 10;
}

/** Reads how the answer in a finished slot was found. */
export function readExplanation(
  slots: Slots,
  slot: number,
  mode: number,
  shards: number,
): Omit<Explanation, 'ids' | 'scores'> {
  const { u32 } = slots.views;
  const h = slots.header(slot);
  const leaves = u32[h + SLOT_LEAVES]!;
  const perShard = Array.from({ length: shards }, (_, s) => {
    const list = (u32[h + SLOT_LISTS]! + s * u32[h + SLOT_LIST_BYTES]!) >>> 2;
    return {
      codesScanned: u32[list + LIST_CODES]!,
      candidates: u32[list + LIST_COUNT]!,
      reordered: u32[list + LIST_RESCORED]!,
      scanMicroseconds: u32[list + LIST_SCAN_MICROS]! / 10,
      reorderMicroseconds: u32[list + LIST_RESCORE_MICROS]! / 10,
    };
  });
  const sum = (of: (shard: (typeof perShard)[number]) => number): number =>
    perShard.reduce((total, shard) => total + of(shard), 0);
  const times: StageTimes = { prepare: 0, scan: 0, reorder: 0, merge: 0 };
  addStages(slots, slot, shards, times);
  return {
    method: mode === MODE_EXACT ? 'exact' : mode === MODE_LEAVES ? 'tree' : mode === MODE_CODES ? 'codes' : 'hashed',
    leaves: Array.from(
      { length: u32[h + SLOT_LEAVES_TO_SEARCH]! },
      (_, i) => u32[(leaves + i * LEAF_ENTRY_BYTES) >>> 2]!,
    ),
    codesScanned: u32[h + SLOT_CODES]!,
    candidates: sum((shard) => shard.candidates),
    reordered: sum((shard) => shard.reordered),
    microseconds: { total: u32[h + SLOT_MICROS]! / 10, ...times },
    shards: perShard,
  };
}

/** How the answer over an empty index is found. */
export const NOTHING_EXPLAINED: Omit<Explanation, 'ids' | 'scores'> = Object.freeze({
  ...{ method: 'exact' as const, leaves: [], codesScanned: 0, candidates: 0, reordered: 0, shards: [] },
  microseconds: { total: 0, prepare: 0, scan: 0, reorder: 0, merge: 0 },
});
