import {
  FAULT_INTERNAL,
  FAULT_OUT_OF_MEMORY,
  MODE_ENCODE,
  MODE_EXACT,
  SLOT_ALONE,
  SLOT_ERROR,
  SLOT_FIRST_UNIT,
  SLOT_LEAVES,
  SLOT_LEAVES_TO_SEARCH,
  SLOT_LIMIT,
  SLOT_MICROS,
  SLOT_MODE,
  SLOT_PREPARE_MICROS,
  SLOT_RESULT_COUNT,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { ServeTask, UnitPlan } from '../protocol/messages.ts';
import {
  RESERVED_BYTES,
  SHARD_NUM_LEAVES,
  SHARD_STRIDE,
  SHARD_SUBSPACES,
  TABLES_HEADER_BYTES,
} from '../protocol/shard-layout.ts';
import { RowEncoder } from './encoder.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels } from './kernels/load.ts';
import { Merger } from './merge.ts';
import { ShardScanner } from './scan.ts';
import { ShardScratch } from './shard-scratch.ts';
import { isSettled, raiseFloor, tenthsSince } from './slot.ts';
import { lanesInHead } from './stored-leaves.ts';
import { Views } from './views.ts';

const SHARD = RESERVED_BYTES;

/** The three steps of a query, over shared memory: prepare once, scan each shard, merge and reorder once. */
export class QueryEngine {
  readonly control: Views;
  readonly shards: readonly ShardScratch[];
  readonly #kernels: Kernels;
  readonly #model: number;
  /** Pointer: 64 bytes for a key, then room to prepare a query. */
  readonly #scratch: number;
  readonly #plan: UnitPlan;
  readonly #numLeaves: number;
  readonly #scanner: ShardScanner;
  readonly #merger: Merger;
  readonly #encoder: RowEncoder;

  constructor(task: Pick<ServeTask, 'kernels' | 'control' | 'shards' | 'plan' | 'layout' | 'worker'>) {
    this.control = new Views(task.control);
    this.#kernels = bindKernels(task.kernels, task.control);
    this.shards = task.shards.map((memory) => new ShardScratch(task.kernels, memory));
    this.#model = task.layout.model;
    this.#scratch = task.layout.scratch + task.worker * task.layout.scratchBytes;
    const header = (word: number): number => this.shards[0]!.views.u32[(SHARD + word) >>> 2]!;
    const stride = header(SHARD_STRIDE);
    const tablesBytes = TABLES_HEADER_BYTES + stride * 4 + header(SHARD_SUBSPACES) * 16;
    this.#plan = task.plan;
    this.#numLeaves = header(SHARD_NUM_LEAVES);
    const sizes = { tablesBytes, numLeaves: this.#numLeaves };
    this.#scanner = new ShardScanner(this.control, this.shards, task.plan, sizes);
    this.#merger = new Merger({
      ...{ control: this.control, kernels: this.#kernels, shards: this.shards, plan: task.plan },
      ...{ tablesBytes, stride, key: this.#scratch },
    });
    const shard = this.shards[0]!.views;
    this.#encoder = new RowEncoder(this.control, this.#kernels, this.#model, shard, this.#scratch + 64);
  }

  /**
   * Routes a query and builds its LUT, in the slot; for vectors to be added this is all there is to do. `slot` is the first word of
   * the slot's header.
   */
  prepare(slot: number): void {
    const { i32, u32 } = this.control.refresh();
    const mode = i32[slot + SLOT_MODE];
    if (mode === MODE_EXACT || isSettled(i32, slot)) return;
    const started = performance.now();
    if (mode === MODE_ENCODE) {
      this.#encoder.encode(slot);
      this.#charge(slot, started);
      return;
    }
    this.#kernels.prepareQuery(
      this.#model,
      u32[slot + SLOT_TABLES]!,
      u32[slot + SLOT_LEAVES]!,
      i32[slot + SLOT_LEAVES_TO_SEARCH]!,
      this.#scratch + 64,
    );
    this.control.i32[slot + SLOT_FIRST_UNIT] = this.#ownerOf(u32[u32[slot + SLOT_LEAVES]! >>> 2]!);
    this.control.i32[slot + SLOT_PREPARE_MICROS] = this.#charge(slot, started);
  }

  /** The unit that scans a leaf, or most of its lanes: with spilled vectors several memories may have some. */
  #ownerOf(leaf: number): number {
    const { units, leafUnits } = this.#plan;
    if (units.length === 1) return 0;
    let owner = 0;
    let most = 0;
    for (let s = 0; s < this.shards.length; s++) {
      const lanes = lanesInHead(this.shards[s]!.views, leaf);
      if (lanes > most) {
        owner = leafUnits === null ? s : leafUnits[s * this.#numLeaves + leaf]!;
        most = lanes;
      }
    }
    return owner;
  }

  /**
   * Scans one unit and leaves its best candidates in the slot. The unit with the best leaf comes first: the score that its
   * candidates reach spares the others most of theirs.
   */
  scan(slot: number, unit: number): void {
    const { i32 } = this.control.refresh();
    if (!this.#isSought(slot)) return;
    this.#scanner.scanUnit(slot, (unit + i32[slot + SLOT_FIRST_UNIT]!) % this.#plan.units.length);
  }

  /** Whether a query may be scanned as a whole instead of unit by unit. */
  mayBeWhole(slot: number): boolean {
    const { i32 } = this.control.refresh();
    const mode = i32[slot + SLOT_MODE];
    return i32[slot + SLOT_ALONE] === 0 && mode !== MODE_EXACT && mode !== MODE_ENCODE;
  }

  /** Whether slot b can be scanned together with a group of `count` that began with slot a, which may be scanned as a whole. */
  mayJoin(a: number, count: number, b: number): boolean {
    return this.mayBeWhole(b) && count < this.#scanner.groupLimit(a) && this.#scanner.fits(a, b);
  }

  /**
   * Scans everything for a group of queries, one memory after the other, so that each is spared what cannot be among the best
   * of those before it.
   */
  scanGroup(group: readonly number[]): void {
    const { i32, u32 } = this.control.refresh();
    const slots = group.filter((slot) => this.#isSought(slot));
    if (slots.length === 0) return;
    const memories = this.shards.length;
    const held = new Array<number>(slots.length).fill(0);
    for (let memory = 0; memory < memories; memory++) {
      this.#scanner.scanMemory(slots, memory);
      if (memory === memories - 1) return;
      const s = this.#plan.unitsOf[memory]![0]!;
      for (const [i, slot] of slots.entries()) {
        const started = performance.now();
        held[i] = this.#merger.add(slot, s, held[i]!);
        if (held[i] === i32[slot + SLOT_LIMIT]) raiseFloor(i32, slot, u32[(this.#scratch >>> 2) + 1]!);
        this.#charge(slot, started);
      }
    }
  }

  /** Merges the shards' lists, rescores what is left from the stored vectors, and publishes the best k in SLOT_MERGED. */
  finish(slot: number): void {
    const { i32 } = this.control.refresh();
    if (!this.#isSought(slot)) return;
    const started = performance.now();
    i32[slot + SLOT_RESULT_COUNT] = this.#merger.merge(slot);
    this.#charge(slot, started);
  }

  /** Whether a slot is a query that somebody waits for. */
  #isSought(slot: number): boolean {
    const { i32 } = this.control;
    return i32[slot + SLOT_MODE] !== MODE_ENCODE && !isSettled(i32, slot);
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
