import {
  LIST_CAPACITY,
  LIST_CODES,
  LIST_COUNT,
  LIST_HEADER_BYTES,
  LIST_SCAN_MICROS,
  MODE_EXACT,
  MODE_HASHED,
  MODE_LEAVES,
  SLOT_CODES,
  SLOT_EPOCH,
  SLOT_FILTER,
  SLOT_FLOOR,
  SLOT_LEAVES,
  SLOT_LEAVES_TO_SEARCH,
  SLOT_LIMIT,
  SLOT_MICROS,
  SLOT_MODE,
  SLOT_ROWS,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import type { UnitPlan } from '../protocol/messages.ts';
import {
  DEATHS_WORD,
  LEAF_ENTRY_BYTES,
  RESERVED_BYTES,
  SHARD_LANES_PER_VECTOR,
  STATE_BOUND,
  STATE_CODES,
  STATE_DEATHS,
  STATE_EPOCH,
  STATE_FILTER,
  STATE_FLOOR,
  STATE_HELD,
  STATE_HISTOGRAM,
  TABLES_HEADER_BYTES,
  VISIT_BYTES,
} from '../protocol/shard-layout.ts';
import type { ShardScratch } from './shard-scratch.ts';
import { isSettled, listOf, raiseFloor, tenthsSince } from './slot.ts';
import { leafHeadWord } from './stored-leaves.ts';
import type { Views } from './views.ts';

const SHARD = RESERVED_BYTES;
/** Vectors that an exact scan scores before it looks whether the request was cancelled. */
const EXACT_STEP = 1 << 16;
/** Bytes of scratch that one worker may take in all shards for queries that are scanned together. */
const GROUP_BYTES = 1 << 22;
/** Leaves of each query that a group visits first, so that a score is known below which nothing matters. */
const SEEDING_LEAVES = 2;
const NONE = -1;

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

  /**
   * Whether two slots, neither of them an exact search, may be scanned together: leaf by leaf, so that a leaf's codes are read
   * from memory once for both.
   */
  fits(a: number, b: number): boolean {
    const { i32 } = this.#control;
    return (
      i32[a + SLOT_MODE] !== MODE_LEAVES &&
      [SLOT_MODE, SLOT_LIMIT, SLOT_LEAVES_TO_SEARCH, SLOT_ROWS, SLOT_FILTER].every(
        (word) => i32[a + word] === i32[b + word],
      )
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
    this.#clear(slot, unit);
    const { memory } = this.#plan.units[unit]!;
    this.#scan([slot], memory, unit, this.#plan.leafUnits === null ? NONE : unit);
  }

  /** Scans a whole memory for slots that fit each other, and leaves in the list of its first unit what all of them would. */
  scanMemory(slots: readonly number[], memory: number): void {
    const units = this.#plan.unitsOf[memory]!;
    for (const slot of slots) for (const unit of units) this.#clear(slot, unit);
    this.#scan(slots, memory, units[0]!, NONE);
  }

  /** Forgets what the slot had in a list before. */
  #clear(slot: number, s: number): void {
    const { u32 } = this.#control.refresh();
    const list = listOf(u32, slot, s) >>> 2;
    u32.fill(0, list, list + (LIST_HEADER_BYTES >>> 2));
  }

  /** Scans the leaves of a unit, or those of all, and leaves in list `s` what was found. */
  #scan(slots: readonly number[], memory: number, s: number, unit: number): void {
    const { u8, i32, u32 } = this.#control.refresh();
    const shard = this.#shards[memory]!;
    const first = slots[0]!;
    const mode = i32[first + SLOT_MODE]!;
    const { u32: words } = shard.views;
    const bound = shard.localsBelow(u32[first + SLOT_ROWS]!);
    const limit = Math.min(i32[first + SLOT_LIMIT]!, bound * words[(SHARD + SHARD_LANES_PER_VECTOR) >>> 2]!);
    if (limit === 0) return;
    const numLeaves = mode === MODE_EXACT ? 0 : i32[first + SLOT_LEAVES_TO_SEARCH]!;
    const visits = numLeaves * slots.length;
    shard.reserve({ queries: slots.length, tablesBytes: this.#tablesBytes, visits, limit });
    const started = performance.now();
    const filter = u32[first + SLOT_FILTER]!;
    const passing = filter === 0 ? 0 : shard.filters.of(this.#control, filter, bound);
    const views = shard.views.refresh();
    for (let i = 0; i < slots.length; i++) {
      shard.use(i);
      const tables = u32[slots[i]! + SLOT_TABLES]!;
      views.u8.set(u8.subarray(tables, tables + this.#tablesBytes), shard.tables);
      views.u32.fill(0, shard.state >>> 2, (shard.state + STATE_HISTOGRAM) >>> 2);
      views.i32[((shard.state + STATE_FLOOR) >>> 2) + 1] = Atomics.load(i32, slots[i]! + SLOT_FLOOR);
      views.u32[(shard.state + STATE_BOUND) >>> 2] = bound;
      views.u32[(shard.state + STATE_FILTER) >>> 2] = passing;
      // After the bound: every vector below it is in that table.
      views.i32[(shard.state + STATE_DEATHS) >>> 2] = Atomics.load(views.i32, DEATHS_WORD);
      views.i32[(shard.state + STATE_EPOCH) >>> 2] = i32[slots[i]! + SLOT_EPOCH]!;
    }
    if (mode === MODE_EXACT) this.#scanVectors(first, shard, s, bound, limit);
    else this.#scanLeaves(slots, mode, memory, unit, limit);
    const tenths = Math.round(tenthsSince(started) / slots.length);
    // A list that stays the only one is reordered by locals; others are merged by rows.
    const byRow = mode !== MODE_HASHED || this.#shards.length > 1 || unit !== NONE;
    for (let i = 0; i < slots.length; i++) {
      shard.use(i);
      this.#leave(slots[i]!, shard, s, byRow, limit, tenths);
    }
  }

  #scanVectors(slot: number, shard: ShardScratch, unit: number, bound: number, limit: number): void {
    const { kernels, keys, state, tables, views } = shard;
    const { part, parts } = this.#plan.units[unit]!;
    const end = Math.floor(((part + 1) * bound) / parts);
    let held = 0;
    for (
      let first = Math.floor((part * bound) / parts);
      first < end && !isSettled(this.#control.i32, slot);
      first += EXACT_STEP
    ) {
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
    const { i32, u32 } = this.#control;
    const shard = this.#shards[memory]!;
    shard.use(0);
    const entries = u32[slot + SLOT_LEAVES]! >>> 2;
    const owners = this.#plan.leafUnits;
    let count = 0;
    for (let rank = 0; rank < i32[slot + SLOT_LEAVES_TO_SEARCH]!; rank++) {
      const entry = entries + rank * (LEAF_ENTRY_BYTES >>> 2);
      const leaf = u32[entry]!;
      if (unit !== NONE && owners![memory * this.#numLeaves + leaf] !== unit) continue;
      if (hasLanes(shard, leaf)) putVisit(shard, count++, leaf, u32[entry + 1]!);
    }
    return count;
  }

  /** Lists the visits of a group, leaf by leaf: of each query's best leaves first, then of the others. Returns their number. */
  #visitsByLeaf(slots: readonly number[], shard: ShardScratch): number {
    const numLeaves = this.#control.i32[slots[0]! + SLOT_LEAVES_TO_SEARCH]!;
    const seeds = Math.min(SEEDING_LEAVES, numLeaves);
    if (this.#before.length < slots.length * numLeaves) {
      this.#before = new Int32Array(slots.length * numLeaves);
      this.#leaves = new Int32Array(slots.length * numLeaves);
    }
    return this.#listByLeaf(slots, shard, seeds, numLeaves, this.#listByLeaf(slots, shard, 0, seeds, 0));
  }

  /** Adds visits of each query's leaves of ranks [from, to) to the `count` listed so far; returns how many there are then. */
  #listByLeaf(slots: readonly number[], shard: ShardScratch, from: number, to: number, count: number): number {
    const { u32 } = this.#control;
    const ranks = to - from;
    const entryOf = (i: number, rank: number): number =>
      (u32[slots[i]! + SLOT_LEAVES]! >>> 2) + rank * (LEAF_ENTRY_BYTES >>> 2);
    let distinct = 0;
    for (let i = 0; i < slots.length; i++) {
      for (let rank = from; rank < to; rank++) {
        const leaf = u32[entryOf(i, rank)]!;
        if (!hasLanes(shard, leaf)) continue;
        const visit = i * ranks + rank - from;
        if (this.#lastVisit[leaf] === NONE) this.#leaves[distinct++] = leaf;
        this.#before[visit] = this.#lastVisit[leaf]!;
        this.#lastVisit[leaf] = visit;
      }
    }
    for (let l = 0; l < distinct; l++) {
      const leaf = this.#leaves[l]!;
      for (let visit = this.#lastVisit[leaf]!; visit !== NONE; visit = this.#before[visit]!) {
        const i = Math.floor(visit / ranks);
        shard.use(i);
        putVisit(shard, count++, leaf, u32[entryOf(i, from + visit - i * ranks) + 1]!);
      }
      this.#lastVisit[leaf] = NONE;
    }
    return count;
  }

  /** Leaves what was found for the selected query in its slot. */
  #leave(slot: number, shard: ShardScratch, s: number, byRow: boolean, limit: number, tenths: number): void {
    const { u8, i32, u32 } = this.#control;
    const { kernels, views, state, keys, rowKeys } = shard;
    const floor = (state + STATE_FLOOR) >>> 2;
    const count = kernels.finishScan(state, keys, limit);
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

/** Whether a memory has anything of a leaf: with several of them it may be another's. */
function hasLanes({ views }: ShardScratch, leaf: number): boolean {
  return views.u32[leafHeadWord(views, leaf)] !== 0;
}

/** Writes the selected query's visit of a leaf; `base` is the bits of its base score. */
function putVisit({ views: { u32 }, visits, state }: ShardScratch, i: number, leaf: number, base: number): void {
  const at = (visits + i * VISIT_BYTES) >>> 2;
  u32[at] = leaf;
  u32[at + 1] = base;
  u32[at + 2] = state;
}
