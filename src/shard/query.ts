import {
  FAULT_INTERNAL,
  FAULT_OUT_OF_MEMORY,
  LIST_CAPACITY,
  LIST_CODES,
  LIST_COUNT,
  LIST_HEADER_BYTES,
  LIST_RESCORE_MICROS,
  LIST_RESCORED,
  LIST_SCAN_MICROS,
  MODE_EXACT,
  MODE_HASHED,
  MODE_LEAVES,
  SLOT_CANCELLED,
  SLOT_CODES,
  SLOT_ERROR,
  SLOT_FIRST_SHARD,
  SLOT_FLOOR,
  SLOT_K,
  SLOT_LEAVES,
  SLOT_LEAVES_TO_SEARCH,
  SLOT_LIMIT,
  SLOT_LIST_BYTES,
  SLOT_LISTS,
  SLOT_MERGED,
  SLOT_MICROS,
  SLOT_MODE,
  SLOT_PREPARE_MICROS,
  SLOT_RESULT_COUNT,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { ServeTask } from '../protocol/messages.ts';
import { keyAtLeast } from '../protocol/order.ts';
import {
  LEAF_ENTRY_BYTES,
  RESERVED_BYTES,
  SHARD_COUNT,
  SHARD_LEAVES,
  SHARD_STRIDE,
  SHARD_SUBSPACES,
  STATE_CODES,
  STATE_FLOOR,
  TABLES_HEADER_BYTES,
} from '../protocol/shard-layout.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels } from './kernels/load.ts';
import { ShardScratch } from './shard-scratch.ts';
import { Views } from './views.ts';

/** Vectors that an exact scan scores before it looks whether the request was cancelled. */
const EXACT_STEP = 1 << 16;
const SHARD = RESERVED_BYTES;

/** The three steps of a query, over shared memory: prepare once, scan each shard, merge and reorder once. */
export class QueryEngine {
  readonly control: Views;
  readonly shards: readonly ShardScratch[];
  readonly #kernels: Kernels;
  readonly #model: number;
  /** Pointer: 64 bytes for a key, then room to prepare a query. */
  readonly #scratch: number;
  readonly #stride: number;
  readonly #tablesBytes: number;

  constructor(task: Pick<ServeTask, 'kernels' | 'control' | 'shards' | 'layout' | 'worker'>) {
    this.control = new Views(task.control);
    this.#kernels = bindKernels(task.kernels, task.control);
    this.shards = task.shards.map((memory) => new ShardScratch(task.kernels, memory));
    this.#model = task.layout.model;
    this.#scratch = task.layout.scratch + task.worker * task.layout.scratchBytes;
    const first = this.shards[0]!.views.u32;
    this.#stride = first[(SHARD + SHARD_STRIDE) >>> 2]!;
    this.#tablesBytes = TABLES_HEADER_BYTES + this.#stride * 4 + first[(SHARD + SHARD_SUBSPACES) >>> 2]! * 16;
  }

  /** Routes a query and builds its LUT, in the slot. `slot` is the first word of the slot's header. */
  prepare(slot: number): void {
    const { i32, u32 } = this.control.refresh();
    if (i32[slot + SLOT_MODE] === MODE_EXACT || this.#skip(slot)) return;
    const started = performance.now();
    this.#kernels.prepareQuery(
      this.#model,
      u32[slot + SLOT_TABLES]!,
      u32[slot + SLOT_LEAVES]!,
      i32[slot + SLOT_LEAVES_TO_SEARCH]!,
      this.#scratch + 64,
    );
    this.control.i32[slot + SLOT_FIRST_SHARD] = this.#ownerOf(u32[u32[slot + SLOT_LEAVES]! >>> 2]!);
    this.control.i32[slot + SLOT_PREPARE_MICROS] = this.#charge(slot, started);
  }

  /** The shard that has a leaf; 0 if none has vectors of it. */
  #ownerOf(leaf: number): number {
    if (this.shards.length === 1) return 0;
    const owner = this.shards.findIndex(
      ({ views }) => views.u32[(views.u32[(SHARD + SHARD_LEAVES) >>> 2]! >>> 2) + leaf] !== 0,
    );
    return Math.max(0, owner);
  }

  /**
   * Scans one shard and leaves its best candidates in the slot. The shard with the best leaf comes first: the score that its
   * candidates reach spares the others most of theirs.
   */
  scan(slot: number, unit: number): void {
    const { u8, i32, u32 } = this.control.refresh();
    if (this.#skip(slot)) return;
    const shardNumber = (unit + i32[slot + SLOT_FIRST_SHARD]!) % this.shards.length;
    const shard = this.shards[shardNumber]!;
    const mode = i32[slot + SLOT_MODE]!;
    const numLeaves = mode === MODE_EXACT ? 0 : i32[slot + SLOT_LEAVES_TO_SEARCH]!;
    const size = shard.views.u32[(SHARD + SHARD_COUNT) >>> 2]!;
    const limit = Math.min(i32[slot + SLOT_LIMIT]!, size);
    const list = u32[slot + SLOT_LISTS]! + shardNumber * u32[slot + SLOT_LIST_BYTES]!;
    u32.fill(0, list >>> 2, (list + LIST_HEADER_BYTES) >>> 2);
    if (limit === 0) return;
    shard.reserve(this.#tablesBytes, numLeaves, limit);
    const views = shard.views.refresh();
    const tables = u32[slot + SLOT_TABLES]!;
    views.u8.set(u8.subarray(tables, tables + this.#tablesBytes), shard.tables);
    const leaves = u32[slot + SLOT_LEAVES]!;
    if (numLeaves > 0) views.u8.set(u8.subarray(leaves, leaves + numLeaves * LEAF_ENTRY_BYTES), shard.leaves);
    const floor = (shard.state + STATE_FLOOR) >>> 2;
    views.u32[floor] = 0;
    views.i32[floor + 1] = Atomics.load(i32, slot + SLOT_FLOOR);
    views.u32[(shard.state + STATE_CODES) >>> 2] = 0;

    const started = performance.now();
    const count = this.#scanMode(mode, slot, shard, size, numLeaves, limit);
    const byRow = this.shards.length > 1 || mode !== MODE_HASHED;
    if (byRow) shard.kernels.localsToRows(SHARD, shard.keys, count, shard.rowKeys);
    u32[(list >>> 2) + LIST_SCAN_MICROS] = this.#charge(slot, started);

    if (count === i32[slot + SLOT_LIMIT]) this.#raiseFloor(slot, views.u32[floor + 1]!);
    const codes = views.i32[(shard.state + STATE_CODES) >>> 2]!;
    Atomics.add(i32, slot + SLOT_CODES, codes);
    u32[(list >>> 2) + LIST_CODES] = codes;
    const keys = list + LIST_HEADER_BYTES;
    u8.set(views.u8.subarray(shard.keys, shard.keys + count * 8), keys);
    if (byRow) u8.set(views.u8.subarray(shard.rowKeys, shard.rowKeys + count * 8), keys + limit * 8);
    u32[(list >>> 2) + LIST_COUNT] = count;
    u32[(list >>> 2) + LIST_CAPACITY] = limit;
  }

  #scanMode(mode: number, slot: number, shard: ShardScratch, size: number, numLeaves: number, limit: number): number {
    const { kernels, keys, state, tables, leaves } = shard;
    const query = tables + TABLES_HEADER_BYTES;
    switch (mode) {
      case MODE_EXACT: {
        let held = 0;
        for (let first = 0; first < size && !this.#skip(slot); first += EXACT_STEP) {
          held = kernels.scanVectors(SHARD, query, first, Math.min(EXACT_STEP, size - first), limit, keys, held, state);
        }
        return held;
      }
      case MODE_LEAVES:
        return kernels.scanLeafVectors(SHARD, query, leaves, numLeaves, limit, keys, 0, state);
      default:
        return kernels.scanLeaves(SHARD, tables, leaves, numLeaves, limit, keys, 0, state);
    }
  }

  /** Merges the shards' lists, rescores what is left from the stored vectors, and publishes the best k in SLOT_MERGED. */
  finish(slot: number): void {
    const { i32, u32 } = this.control.refresh();
    if (this.#skip(slot)) return;
    const merged = u32[slot + SLOT_MERGED]!;
    const mode = i32[slot + SLOT_MODE]!;
    const started = performance.now();
    let count: number;
    if (mode === MODE_HASHED) count = this.#reorder(slot, merged);
    else count = this.#concatenate(slot, merged);
    const k = Math.min(i32[slot + SLOT_K]!, count);
    this.#kernels.selectTop(merged, count, k);
    this.#kernels.sortDescending(merged, k);
    i32[slot + SLOT_RESULT_COUNT] = k;
    this.#charge(slot, started);
  }

  /** Copies every shard's keys by row to one place; returns their number. */
  #concatenate(slot: number, merged: number): number {
    const { u8, u32 } = this.control;
    let count = 0;
    for (let s = 0; s < this.shards.length; s++) {
      const list = u32[slot + SLOT_LISTS]! + s * u32[slot + SLOT_LIST_BYTES]!;
      const held = u32[list >>> 2]!;
      const byRow = list + LIST_HEADER_BYTES + u32[(list >>> 2) + LIST_CAPACITY]! * 8;
      u8.copyWithin(merged + count * 8, byRow, byRow + held * 8);
      count += held;
    }
    return count;
  }

  #reorder(slot: number, merged: number): number {
    const { u8, i32, u32 } = this.control;
    const limit = i32[slot + SLOT_LIMIT]!;
    const tables = u32[slot + SLOT_TABLES]!;
    const query = u8.subarray(tables, tables + TABLES_HEADER_BYTES + this.#stride * 4);
    const floor = this.#commonFloor(slot, merged, limit);
    let count = 0;
    for (let s = 0; s < this.shards.length; s++) {
      const list = u32[slot + SLOT_LISTS]! + s * u32[slot + SLOT_LIST_BYTES]!;
      const kept = floor === null ? u32[list >>> 2]! : this.#keep(list, floor);
      if (kept === 0) continue;
      const shard = this.shards[s]!;
      shard.reserve(this.#tablesBytes, 0, kept);
      const views = shard.views.refresh();
      views.u8.set(query, shard.tables);
      views.u8.set(u8.subarray(list + LIST_HEADER_BYTES, list + LIST_HEADER_BYTES + kept * 8), shard.keys);
      const started = performance.now();
      shard.kernels.rescore(SHARD, shard.tables + TABLES_HEADER_BYTES, shard.keys, kept, shard.state);
      u32[(list >>> 2) + LIST_RESCORED] = kept;
      u32[(list >>> 2) + LIST_RESCORE_MICROS] = tenthsSince(started);
      u8.set(views.u8.subarray(shard.keys, shard.keys + kept * 8), merged + count * 8);
      count += kept;
    }
    return count;
  }

  /** The last key by row that is among the best `limit` of all shards, or null when all candidates are. */
  #commonFloor(slot: number, merged: number, limit: number): readonly [high: number, low: number] | null {
    if (this.shards.length === 1) return null;
    const count = this.#concatenate(slot, merged);
    if (count <= limit) return null;
    this.#kernels.compact(merged, count, limit, this.#scratch);
    const { u32 } = this.control;
    return [u32[(this.#scratch >>> 2) + 1]!, u32[this.#scratch >>> 2]!];
  }

  /** Drops from a shard's list, in place, the candidates below the floor; returns how many stay. */
  #keep(list: number, [high, low]: readonly [number, number]): number {
    const { u32 } = this.control;
    const keys = (list + LIST_HEADER_BYTES) >>> 2;
    const rows = keys + u32[(list >>> 2) + LIST_CAPACITY]! * 2;
    const count = u32[list >>> 2]!;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (!keyAtLeast(u32[rows + 2 * i + 1]!, u32[rows + 2 * i]!, high, low)) continue;
      u32[keys + 2 * kept] = u32[keys + 2 * i]!;
      u32[keys + 2 * kept + 1] = u32[keys + 2 * i + 1]!;
      kept++;
    }
    return kept;
  }

  // `limit` candidates reach this score, so no shard needs to keep one that does not.
  #raiseFloor(slot: number, ordered: number): void {
    const { i32 } = this.control;
    let seen = Atomics.load(i32, slot + SLOT_FLOOR);
    while (ordered > seen >>> 0) {
      const before = Atomics.compareExchange(i32, slot + SLOT_FLOOR, seen, ordered | 0);
      if (before === seen) return;
      seen = before;
    }
  }

  #skip(slot: number): boolean {
    const { i32 } = this.control;
    return Atomics.load(i32, slot + SLOT_CANCELLED) === 1 || Atomics.load(i32, slot + SLOT_ERROR) !== 0;
  }

  /** Adds the time since then to that of the request; returns it in tenths of a microsecond. */
  #charge(slot: number, started: number): number {
    const tenths = tenthsSince(started);
    Atomics.add(this.control.i32, slot + SLOT_MICROS, tenths);
    return tenths;
  }

  /** Records why a request cannot be answered; its other shards are skipped. */
  fail(slot: number, error: unknown): void {
    const memory = error instanceof ScanneryError && error.code === 'SCANNERY_OUT_OF_MEMORY';
    Atomics.store(this.control.i32, slot + SLOT_ERROR, memory ? FAULT_OUT_OF_MEMORY : FAULT_INTERNAL);
  }
}

const tenthsSince = (started: number): number => Math.round((performance.now() - started) * 1e4);
