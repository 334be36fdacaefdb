import {
  LIST_CAPACITY,
  LIST_CODES,
  LIST_COUNT,
  LIST_HEADER_BYTES,
  LIST_SCAN_MICROS,
  MODE_EXACT,
  MODE_HASHED,
  MODE_LEAVES,
  SLOT_CANCELLED,
  SLOT_CODES,
  SLOT_ERROR,
  SLOT_FLOOR,
  SLOT_LEAVES,
  SLOT_LEAVES_TO_SEARCH,
  SLOT_LIMIT,
  SLOT_MICROS,
  SLOT_MODE,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import type { UnitPlan } from '../protocol/messages.ts';
import {
  LEAF_ENTRY_BYTES,
  RESERVED_BYTES,
  SHARD_COUNT,
  SHARD_LANES_PER_VECTOR,
  SHARD_LEAVES,
  STATE_CODES,
  STATE_FLOOR,
  STATE_HELD,
  STATE_HISTOGRAM,
  TABLES_HEADER_BYTES,
  VISIT_BYTES,
} from '../protocol/shard-layout.ts';
import { listOf } from './merge.ts';
import type { ShardScratch } from './shard-scratch.ts';
import type { Views } from './views.ts';

const SHARD = RESERVED_BYTES;
/** Vectors that an exact scan scores before it looks whether the request was cancelled. */
const EXACT_STEP = 1 << 16;
/** Bytes of scratch that one worker may take in all shards for queries that are scanned together. */
const GROUP_BYTES = 1 << 22;
/** Leaves of each query that a group visits first, so that a score is known below which nothing matters. */
const SEEDING_LEAVES = 2;
const NONE = -1;

/** Whether nobody waits for the slot's answer any more, or it has failed. */
export function isSettled(i32: Int32Array, slot: number): boolean {
  return Atomics.load(i32, slot + SLOT_CANCELLED) === 1 || Atomics.load(i32, slot + SLOT_ERROR) !== 0;
}

export const tenthsSince = (started: number): number => Math.round((performance.now() - started) * 1e4);

/** Scans shards for queries that were prepared, and leaves each query's best candidates in its slot. */
export class ShardScanner {
  readonly #control: Views;
  readonly #shards: readonly ShardScratch[];
  readonly #tablesBytes: number;
  readonly #plan: UnitPlan;
  readonly #numLeaves: number;
  /** Visits of a group, chained by leaf: the last visit of each leaf, and each visit's predecessor. */
  readonly #lastVisit: Int32Array;
  #before = new Int32Array(0);
  #leaves = new Int32Array(0);

  constructor(
    control: Views,
    shards: readonly ShardScratch[],
    plan: UnitPlan,
    { tablesBytes, numLeaves }: { readonly tablesBytes: number; readonly numLeaves: number },
  ) {
    this.#control = control;
    this.#plan = plan;
    this.#numLeaves = numLeaves;
    this.#shards = shards;
    this.#tablesBytes = tablesBytes;
    this.#lastVisit = new Int32Array(numLeaves).fill(NONE);
  }

  /** Whether two slots may be scanned together: leaf by leaf, so that a leaf's codes are read from memory once for both. */
  fits(a: number, b: number): boolean {
    const { i32 } = this.#control;
    const mode = i32[a + SLOT_MODE]!;
    return (
      mode !== MODE_EXACT &&
      mode !== MODE_LEAVES &&
      [SLOT_MODE, SLOT_LIMIT, SLOT_LEAVES_TO_SEARCH].every((word) => i32[a + word] === i32[b + word])
    );
  }

  /** Slots like this one that may be scanned together at the most. */
  groupLimit(slot: number): number {
    const { i32 } = this.#control;
    const visits = i32[slot + SLOT_LEAVES_TO_SEARCH]! * VISIT_BYTES;
    const bytes = this.#tablesBytes + i32[slot + SLOT_LIMIT]! * 24 + visits;
    return Math.floor(GROUP_BYTES / (bytes * this.#shards.length));
  }

  /** Scans one unit for one slot. A slot is the first word of its header. */
  scanUnit(slot: number, unit: number): void {
    const { memory } = this.#plan.units[unit]!;
    this.#scan([slot], memory, unit, this.#plan.leafUnits === null ? NONE : unit);
  }

  /** Scans a whole memory for slots that fit each other, and leaves in the list of its first unit what all of them would. */
  scanMemory(slots: readonly number[], memory: number): void {
    const first = this.#plan.units.findIndex((unit) => unit.memory === memory);
    this.#scan(slots, memory, first, NONE);
  }

  /** Forgets what slots had in their lists before. */
  clear(slots: readonly number[]): void {
    const { u32 } = this.#control.refresh();
    for (const slot of slots) {
      for (let unit = 0; unit < this.#plan.units.length; unit++) {
        const list = listOf(u32, slot, unit) >>> 2;
        u32.fill(0, list, list + (LIST_HEADER_BYTES >>> 2));
      }
    }
  }

  /** Scans the leaves of a unit, or those of all, and leaves in list `s` what was found. */
  #scan(slots: readonly number[], memory: number, s: number, unit: number): void {
    const { u8, i32, u32 } = this.#control.refresh();
    const shard = this.#shards[memory]!;
    const first = slots[0]!;
    const mode = i32[first + SLOT_MODE]!;
    const { u32: words } = shard.views;
    const lanes = words[(SHARD + SHARD_COUNT) >>> 2]! * words[(SHARD + SHARD_LANES_PER_VECTOR) >>> 2]!;
    const limit = Math.min(i32[first + SLOT_LIMIT]!, lanes);
    for (const slot of slots) {
      const list = listOf(u32, slot, s) >>> 2;
      u32.fill(0, list, list + (LIST_HEADER_BYTES >>> 2));
    }
    if (limit === 0) return;
    const numLeaves = mode === MODE_EXACT ? 0 : i32[first + SLOT_LEAVES_TO_SEARCH]!;
    const visits = numLeaves * slots.length;
    shard.reserve({ queries: slots.length, tablesBytes: this.#tablesBytes, visits, limit });
    const views = shard.views.refresh();
    for (let i = 0; i < slots.length; i++) {
      shard.use(i);
      const tables = u32[slots[i]! + SLOT_TABLES]!;
      views.u8.set(u8.subarray(tables, tables + this.#tablesBytes), shard.tables);
      views.u32.fill(0, shard.state >>> 2, (shard.state + STATE_HISTOGRAM) >>> 2);
      views.i32[((shard.state + STATE_FLOOR) >>> 2) + 1] = Atomics.load(i32, slots[i]! + SLOT_FLOOR);
    }
    const started = performance.now();
    if (mode === MODE_EXACT) this.#scanVectors(first, shard, this.#plan.units[s]!, limit);
    else this.#scanLeaves(slots, mode, memory, unit, limit);
    const tenths = Math.round(tenthsSince(started) / slots.length);
    for (let i = 0; i < slots.length; i++) {
      shard.use(i);
      this.#leave(slots[i]!, shard, s, mode, limit, tenths);
    }
  }

  #scanVectors(slot: number, shard: ShardScratch, rows: { first: number; count: number }, limit: number): void {
    const { kernels, keys, state, tables, views } = shard;
    const end = rows.first + rows.count;
    let held = 0;
    for (let first = rows.first; first < end && !isSettled(this.#control.i32, slot); first += EXACT_STEP) {
      const count = Math.min(EXACT_STEP, end - first);
      held = kernels.scanVectors(SHARD, tables + TABLES_HEADER_BYTES, first, count, limit, keys, held, state);
    }
    views.u32[(state + STATE_HELD) >>> 2] = held;
  }

  #scanLeaves(slots: readonly number[], mode: number, memory: number, unit: number, limit: number): void {
    const shard = this.#shards[memory]!;
    const { kernels, visits, tablesAt, keysAt } = shard;
    const count = slots.length === 1 ? this.#visitsOf(slots[0]!, memory, unit) : this.#visitsByLeaf(slots, shard);
    if (mode === MODE_LEAVES) kernels.scanLeafVectors(SHARD, visits, count, limit, tablesAt, keysAt);
    else kernels.scanLeaves(SHARD, visits, count, limit, tablesAt, keysAt);
  }

  /** Lists the visits of one query to leaves of a unit, or of all, best leaf first; returns their number. */
  #visitsOf(slot: number, memory: number, unit: number): number {
    const shard = this.#shards[memory]!;
    shard.use(0);
    const count = this.#list(slot, shard, 0, this.#control.i32[slot + SLOT_LEAVES_TO_SEARCH]!, 0);
    if (unit === NONE) return count;
    const leafUnits = this.#plan.leafUnits!;
    const { u32 } = shard.views;
    const first = shard.visits >>> 2;
    let kept = first;
    for (let at = first; at < first + count * (VISIT_BYTES >>> 2); at += VISIT_BYTES >>> 2) {
      if (leafUnits[memory * this.#numLeaves + u32[at]!] !== unit) continue;
      u32.copyWithin(kept, at, at + (VISIT_BYTES >>> 2));
      kept += VISIT_BYTES >>> 2;
    }
    return (kept - first) / (VISIT_BYTES >>> 2);
  }

  /** Lists visits from one rank of leaves to another; returns how many there are then. Leaves without lanes here are left out. */
  #list(slot: number, shard: ShardScratch, from: number, to: number, count: number): number {
    const { u32 } = this.#control;
    const { u32: words } = shard.views;
    const heads = words[(SHARD + SHARD_LEAVES) >>> 2]! >>> 2;
    const entries = u32[slot + SLOT_LEAVES]! >>> 2;
    let at = (shard.visits + count * VISIT_BYTES) >>> 2;
    for (let i = from; i < to; i++) {
      const entry = entries + i * (LEAF_ENTRY_BYTES >>> 2);
      const leaf = u32[entry]!;
      if (words[heads + leaf] === 0) continue;
      words[at] = leaf;
      words[at + 1] = u32[entry + 1]!;
      words[at + 2] = shard.state;
      at += VISIT_BYTES >>> 2;
    }
    return (at - (shard.visits >>> 2)) / (VISIT_BYTES >>> 2);
  }

  /** Lists the visits of a group: each query's best leaves, then leaf by leaf. Returns their number. */
  #visitsByLeaf(slots: readonly number[], shard: ShardScratch): number {
    const { i32, u32 } = this.#control;
    const { u32: words } = shard.views;
    const numLeaves = i32[slots[0]! + SLOT_LEAVES_TO_SEARCH]!;
    const seeds = Math.min(SEEDING_LEAVES, numLeaves);
    let count = 0;
    for (let i = 0; i < slots.length; i++) {
      shard.use(i);
      count = this.#list(slots[i]!, shard, 0, seeds, count);
    }
    if (this.#before.length < slots.length * numLeaves) {
      this.#before = new Int32Array(slots.length * numLeaves);
      this.#leaves = new Int32Array(slots.length * numLeaves);
    }
    const heads = words[(SHARD + SHARD_LEAVES) >>> 2]! >>> 2;
    let distinct = 0;
    for (let i = 0; i < slots.length; i++) {
      const entries = u32[slots[i]! + SLOT_LEAVES]! >>> 2;
      for (let j = seeds; j < numLeaves; j++) {
        const leaf = u32[entries + j * (LEAF_ENTRY_BYTES >>> 2)]!;
        if (words[heads + leaf] === 0) continue;
        const visit = i * numLeaves + j;
        if (this.#lastVisit[leaf] === NONE) this.#leaves[distinct++] = leaf;
        this.#before[visit] = this.#lastVisit[leaf]!;
        this.#lastVisit[leaf] = visit;
      }
    }
    let at = (shard.visits + count * VISIT_BYTES) >>> 2;
    for (let l = 0; l < distinct; l++) {
      const leaf = this.#leaves[l]!;
      for (let visit = this.#lastVisit[leaf]!; visit !== NONE; visit = this.#before[visit]!) {
        const i = Math.floor(visit / numLeaves);
        const entry = (u32[slots[i]! + SLOT_LEAVES]! >>> 2) + (visit - i * numLeaves) * (LEAF_ENTRY_BYTES >>> 2);
        shard.use(i);
        words[at] = leaf;
        words[at + 1] = u32[entry + 1]!;
        words[at + 2] = shard.state;
        at += VISIT_BYTES >>> 2;
        count++;
      }
      this.#lastVisit[leaf] = NONE;
    }
    return count;
  }

  /** Leaves what was found for the selected query in its slot. */
  #leave(slot: number, shard: ShardScratch, s: number, mode: number, limit: number, tenths: number): void {
    const { u8, i32, u32 } = this.#control;
    const { kernels, views, state, keys, rowKeys } = shard;
    const floor = (state + STATE_FLOOR) >>> 2;
    const count = kernels.finishScan(state, keys, limit);
    const byRow = this.#plan.units.length > 1 || mode !== MODE_HASHED;
    if (byRow) kernels.localsToRows(SHARD, keys, count, rowKeys);
    if (count === i32[slot + SLOT_LIMIT]) raiseFloor(i32, slot, views.u32[floor + 1]!);
    const codes = views.i32[(state + STATE_CODES) >>> 2]!;
    Atomics.add(i32, slot + SLOT_CODES, codes);
    Atomics.add(i32, slot + SLOT_MICROS, tenths);
    const list = listOf(u32, slot, s);
    u32[(list >>> 2) + LIST_SCAN_MICROS] = tenths;
    u32[(list >>> 2) + LIST_CODES] = codes;
    u32[(list >>> 2) + LIST_COUNT] = count;
    u32[(list >>> 2) + LIST_CAPACITY] = limit;
    const at = list + LIST_HEADER_BYTES;
    u8.set(views.u8.subarray(keys, keys + count * 8), at);
    if (byRow) u8.set(views.u8.subarray(rowKeys, rowKeys + count * 8), at + limit * 8);
  }
}

/** `limit` candidates reach this score, in ordered bits, so no shard needs to keep one that does not. */
export function raiseFloor(i32: Int32Array, slot: number, ordered: number): void {
  let seen = Atomics.load(i32, slot + SLOT_FLOOR);
  while (ordered > seen >>> 0) {
    const before = Atomics.compareExchange(i32, slot + SLOT_FLOOR, seen, ordered | 0);
    if (before === seen) return;
    seen = before;
  }
}
