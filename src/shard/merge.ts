import {
  LIST_CAPACITY,
  LIST_COUNT,
  LIST_HEADER_BYTES,
  LIST_RESCORE_MICROS,
  LIST_RESCORED,
  MODE_HASHED,
  SLOT_DUPLICATES,
  SLOT_K,
  SLOT_LIMIT,
  SLOT_MERGED,
  SLOT_MODE,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import type { UnitPlan } from '../protocol/messages.ts';
import { keyAtLeast } from '../protocol/order.ts';
import { RESERVED_BYTES, SHARD_LANES_PER_VECTOR, TABLES_HEADER_BYTES } from '../protocol/shard-layout.ts';
import type { Kernels } from './kernels/kernels.ts';
import { duplicatesEntries, type ShardScratch } from './shard-scratch.ts';
import { listOf, tenthsSince } from './slot.ts';
import type { Views } from './views.ts';

export interface MergerParts {
  readonly control: Views;
  readonly kernels: Kernels;
  readonly shards: readonly ShardScratch[];
  readonly plan: UnitPlan;
  /** Bytes of a query's tables, of which the header and the query itself serve for rescoring. */
  readonly tablesBytes: number;
  readonly stride: number;
  /** Pointer: 8 bytes of the control memory. */
  readonly key: number;
}

/** Makes one list of what the shards found: drops what cannot be among the best, rescores the rest, sorts. */
export class Merger {
  readonly #parts: MergerParts;
  readonly #spilled: boolean;

  constructor(parts: MergerParts) {
    this.#parts = parts;
    const { u32 } = parts.shards[0]!.views;
    this.#spilled = u32[(RESERVED_BYTES + SHARD_LANES_PER_VECTOR) >>> 2]! > 1;
  }

  /** Leaves the best k of a slot at SLOT_MERGED, best first; returns their number. */
  merge(slot: number): number {
    const { control, kernels } = this.#parts;
    const { i32, u32 } = control;
    const merged = u32[slot + SLOT_MERGED]!;
    const hashed = i32[slot + SLOT_MODE] === MODE_HASHED;
    let count = hashed ? this.#reorder(slot, merged) : this.#concatenate(slot, merged);
    if (this.#spilled && !hashed) {
      count = kernels.dropDuplicates(merged, count, u32[slot + SLOT_DUPLICATES]!, duplicatesEntries(count));
    }
    const k = Math.min(i32[slot + SLOT_K]!, count);
    kernels.selectTop(merged, count, k);
    kernels.sortDescending(merged, k);
    return k;
  }

  /**
   * Adds shard s to the `held` best keys of the shards before it, at SLOT_MERGED; returns how many are held now. As soon as
   * they are as many as the request's limit, the score that all of them reach is left at `key`, as ordered bits.
   */
  add(slot: number, s: number, held: number): number {
    const { control, kernels, key } = this.#parts;
    const { i32, u32 } = control;
    const limit = i32[slot + SLOT_LIMIT]!;
    const merged = u32[slot + SLOT_MERGED]!;
    const count = held + this.#append(slot, s, merged + held * 8);
    return count < limit ? count : kernels.compact(merged, count, limit, key);
  }

  /** Copies a shard's keys by row; returns their number. */
  #append(slot: number, s: number, to: number): number {
    const { u8, u32 } = this.#parts.control;
    const list = listOf(u32, slot, s);
    const count = u32[(list >>> 2) + LIST_COUNT]!;
    const byRow = list + LIST_HEADER_BYTES + u32[(list >>> 2) + LIST_CAPACITY]! * 8;
    u8.copyWithin(to, byRow, byRow + count * 8);
    return count;
  }

  /** Copies every shard's keys by row to one place; returns their number. */
  #concatenate(slot: number, merged: number): number {
    let count = 0;
    for (let s = 0; s < this.#parts.plan.units.length; s++) count += this.#append(slot, s, merged + count * 8);
    return count;
  }

  #reorder(slot: number, merged: number): number {
    const { control, shards, plan, tablesBytes, stride } = this.#parts;
    const { u8, i32, u32 } = control;
    const tables = u32[slot + SLOT_TABLES]!;
    const query = u8.subarray(tables, tables + TABLES_HEADER_BYTES + stride * 4);
    const floor = this.#commonFloor(slot, merged, i32[slot + SLOT_LIMIT]!);
    let count = 0;
    for (const [memory, units] of plan.unitsOf.entries()) {
      const lists = units.map((unit) => listOf(u32, slot, unit));
      const held = lists.map((list) => (floor === null ? u32[(list >>> 2) + LIST_COUNT]! : this.#keep(list, floor)));
      let kept = held.reduce((sum, n) => sum + n, 0);
      if (kept === 0) continue;
      const shard = shards[memory]!;
      shard.reserve({ queries: 1, tablesBytes, visits: 0, limit: kept });
      const views = shard.views.refresh();
      views.u8.set(query, shard.tables);
      let to = shard.keys;
      for (const [i, list] of lists.entries()) {
        const keys = list + LIST_HEADER_BYTES;
        views.u8.set(u8.subarray(keys, keys + held[i]! * 8), to);
        to += held[i]! * 8;
      }
      const started = performance.now();
      if (this.#spilled) {
        kept = shard.kernels.dropDuplicates(shard.keys, kept, shard.rowKeys, duplicatesEntries(kept));
      }
      shard.kernels.rescore(RESERVED_BYTES, shard.tables + TABLES_HEADER_BYTES, shard.keys, kept, shard.state);
      u32[(lists[0]! >>> 2) + LIST_RESCORED] = kept;
      u32[(lists[0]! >>> 2) + LIST_RESCORE_MICROS] = tenthsSince(started);
      u8.set(views.u8.subarray(shard.keys, shard.keys + kept * 8), merged + count * 8);
      count += kept;
    }
    return count;
  }

  /** The last key by row that is among the best `limit` of all shards, or null when all candidates are. */
  #commonFloor(slot: number, merged: number, limit: number): readonly [high: number, low: number] | null {
    const { control, kernels, plan, key } = this.#parts;
    let count = 0;
    for (let s = 0; s < plan.units.length; s++)
      count += control.u32[(listOf(control.u32, slot, s) >>> 2) + LIST_COUNT]!;
    if (count <= limit) return null;
    this.#concatenate(slot, merged);
    kernels.compact(merged, count, limit, key);
    return [control.u32[(key >>> 2) + 1]!, control.u32[key >>> 2]!];
  }

  /** Drops from a shard's list, in place, the candidates below the floor; returns how many stay. */
  #keep(list: number, [high, low]: readonly [number, number]): number {
    const { u32 } = this.#parts.control;
    const keys = (list + LIST_HEADER_BYTES) >>> 2;
    const rows = keys + u32[(list >>> 2) + LIST_CAPACITY]! * 2;
    const count = u32[(list >>> 2) + LIST_COUNT]!;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (!keyAtLeast(u32[rows + 2 * i + 1]!, u32[rows + 2 * i]!, high, low)) continue;
      u32[keys + 2 * kept] = u32[keys + 2 * i]!;
      u32[keys + 2 * kept + 1] = u32[keys + 2 * i + 1]!;
      kept++;
    }
    return kept;
  }
}
