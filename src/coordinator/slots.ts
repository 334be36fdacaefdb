import {
  type ControlLayout,
  LIST_HEADER_BYTES,
  MODE_ENCODE,
  QUEUE_TAIL,
  SLEEPERS,
  SLOT_ALONE,
  SLOT_CANCELLED,
  SLOT_CODES,
  SLOT_DUPLICATES,
  SLOT_EPOCH,
  SLOT_ERROR,
  SLOT_FILTER,
  SLOT_FIRST_UNIT,
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
  SLOT_QUEUED,
  SLOT_REMAINING,
  SLOT_RESULT_COUNT,
  SLOT_ROWS,
  SLOT_STATE,
  SLOT_TABLES,
  SLOT_WORDS,
} from '../protocol/control-layout.ts';
import type { UnitPlan } from '../protocol/messages.ts';
import { LEAF_ENTRY_BYTES, ROUTE_BUCKETS, ROUTE_LANES, TABLES_HEADER_BYTES } from '../protocol/shard-layout.ts';
import { align, allocate } from '../shard/arena.ts';
import { layEncodedRows, type StoredForm } from '../shard/encoded-rows.ts';
import { duplicatesEntries } from '../shard/shard-scratch.ts';
import { Views } from '../shard/views.ts';
import type { StageTimes } from './events.ts';
import { type Extent, Extents } from './extents.ts';
import { filterBytes, type RowLists, writeFilter } from './filter-steps.ts';
import type { CompiledFilter } from './filters.ts';
import { encoderScratchBytes } from './leaf-tables.ts';
import { PlacedFilter } from './placed-filter.ts';
import type { Rows, Snapshot } from './rows.ts';

/** What the slots need to know of the index they serve. */
export interface ServedShape {
  readonly dimensions: number;
  readonly stride: number;
  readonly subspaces: number;
  readonly numLeaves: number;
  readonly numShards: number;
  readonly lanesPerVector: number;
  readonly rows: Pick<Rows, 'sizes'>;
}

/** What is told of how an answer is found. */
export interface Telling {
  /** Whether the answer comes with an account of it. */
  readonly explain?: boolean;
  /** The times of each query are added to these. */
  readonly stages?: StageTimes | undefined;
}

/** A request with every choice made. */
export interface Request extends Telling {
  readonly mode: number;
  readonly k: number;
  readonly limit: number;
  readonly numLeavesToSearch: number;
  readonly snapshot: Snapshot;
  readonly filter?: PlacedFilter | undefined;
  /** Whether the answer comes with the rows that it is of. */
  readonly wantsRows?: boolean;
}

/** Words of a slot that start from 0. */
const CLEARED = [
  SLOT_ERROR,
  SLOT_FLOOR,
  SLOT_RESULT_COUNT,
  SLOT_MICROS,
  SLOT_PREPARE_MICROS,
  SLOT_FIRST_UNIT,
  SLOT_CODES,
];

/** Extents above this are given back after use; smaller ones stay with their slot. */
const KEEP_BYTES = 1 << 18;

/** Lays the queue, the slots and each worker's scratch out in the control memory, behind the model. */
export function layOutControl(
  memory: WebAssembly.Memory,
  model: number,
  shape: ServedShape,
  numSlots: number,
  threads: number,
): ControlLayout {
  const queueCapacity = 2 ** Math.ceil(Math.log2(2 * numSlots * shape.numShards));
  const routeBytes = shape.stride * 2 + (shape.numLeaves + ROUTE_LANES) * 4 + ROUTE_BUCKETS * 4 + shape.numLeaves * 8;
  const prepareBytes = shape.stride * 4 + Math.max(routeBytes, shape.subspaces * 64) + 64;
  // Pages that no vector is encoded in are never touched.
  const scratchBytes = align(64 + Math.max(prepareBytes, encoderScratchBytes(shape)));
  return {
    model,
    queue: allocate(memory, queueCapacity * 4),
    queueCapacity,
    slots: allocate(memory, numSlots * SLOT_WORDS * 4),
    numSlots,
    done: allocate(memory, Math.ceil(numSlots / 32) * 4),
    scratch: allocate(memory, scratchBytes * threads),
    scratchBytes,
  };
}

/** The request slots as the caller's thread sees them: it fills, submits and frees them. */
export class Slots {
  readonly layout: ControlLayout;
  readonly #views: Views;
  readonly #extents: Extents;
  readonly #shape: ServedShape;
  readonly #free: number[];
  readonly #extentOf: (Extent | undefined)[];
  readonly #filterOf: (PlacedFilter | undefined)[];
  readonly #tablesBytes: number;
  readonly #memoryOf: readonly number[];

  constructor(memory: WebAssembly.Memory, layout: ControlLayout, shape: ServedShape, { units }: UnitPlan) {
    this.layout = layout;
    this.#views = new Views(memory);
    this.#extents = new Extents(memory);
    this.#shape = shape;
    this.#memoryOf = units.map(({ memory }) => memory);
    this.#free = Array.from({ length: layout.numSlots }, (_, i) => layout.numSlots - 1 - i);
    this.#extentOf = new Array(layout.numSlots);
    this.#filterOf = new Array(layout.numSlots);
    this.#tablesBytes = align(TABLES_HEADER_BYTES + shape.stride * 4 + shape.subspaces * 16);
  }

  get words(): Int32Array {
    return this.#views.i32;
  }

  get views(): Views {
    return this.#views;
  }

  get anyFree(): boolean {
    return this.#free.length > 0;
  }

  /** The first word of a slot's header. */
  header(slot: number): number {
    return (this.layout.slots >>> 2) + slot * SLOT_WORDS;
  }

  /** Takes a free slot, with memory for the request; returns it, or throws SCANNERY_OUT_OF_MEMORY with nothing taken. */
  take(request: Request): number {
    const { lanesPerVector, rows } = this.#shape;
    const leavesBytes = align(request.numLeavesToSearch * LEAF_ENTRY_BYTES);
    const { sizes } = rows;
    let listCapacity = 0;
    let merged = 0;
    for (const memory of this.#memoryOf) {
      const held = Math.min(sizes[memory]! * lanesPerVector, request.limit);
      listCapacity = Math.max(listCapacity, held);
      merged += held;
    }
    const listsBytes = align(LIST_HEADER_BYTES + listCapacity * 16) * this.#memoryOf.length;
    // To find vectors that were found twice takes a table, behind the merged keys.
    const duplicates = lanesPerVector > 1 ? duplicatesEntries(merged) * 4 : 0;
    const bytes = this.#tablesBytes + leavesBytes + listsBytes + align(merged * 8) + duplicates;
    const [slot, tables] = this.#claim(bytes);
    const { i32 } = this.#views.refresh();
    const h = this.header(slot);
    i32[h + SLOT_MODE] = request.mode;
    i32[h + SLOT_K] = request.k;
    i32[h + SLOT_LIMIT] = request.limit;
    i32[h + SLOT_EPOCH] = request.snapshot.epoch;
    i32[h + SLOT_ROWS] = request.snapshot.rows;
    i32[h + SLOT_LEAVES_TO_SEARCH] = request.numLeavesToSearch;
    i32[h + SLOT_FILTER] = request.filter?.pointer ?? 0;
    this.#filterOf[slot] = request.filter?.use();
    const leaves = tables + this.#tablesBytes;
    i32[h + SLOT_LEAVES] = leaves;
    i32[h + SLOT_LISTS] = leaves + leavesBytes;
    i32[h + SLOT_LIST_BYTES] = listsBytes / this.#memoryOf.length;
    const mergedAt = leaves + leavesBytes + listsBytes;
    i32[h + SLOT_MERGED] = mergedAt;
    i32[h + SLOT_DUPLICATES] = mergedAt + align(merged * 8);
    // What each shard did shows only when each is scanned by itself.
    this.reset(slot, request.explain === true);
    return slot;
  }

  /** Takes a free slot for `count` vectors that are to be encoded; the vectors go to `queryAt`. Throws as `take` does. */
  takeToEncode(count: number, form: StoredForm): number {
    const rowsBytes = align(TABLES_HEADER_BYTES + count * form.stride * 4);
    const { end } = layEncodedRows(rowsBytes, TABLES_HEADER_BYTES, count, form);
    const [slot, tables] = this.#claim(end);
    const { i32 } = this.#views.refresh();
    const h = this.header(slot);
    i32[h + SLOT_MODE] = MODE_ENCODE;
    i32[h + SLOT_K] = count;
    i32[h + SLOT_MERGED] = tables + rowsBytes;
    this.reset(slot, false);
    return slot;
  }

  /** Takes a free slot, with that many bytes; returns it, and the pointer to them. */
  #claim(bytes: number): [slot: number, pointer: number] {
    const slot = this.#free[this.#free.length - 1]!;
    let extent = this.#extentOf[slot];
    if (extent === undefined || extent.bytes < bytes) {
      const larger = this.#extents.take(bytes);
      if (extent !== undefined) this.#extents.give(extent);
      extent = larger;
      this.#extentOf[slot] = extent;
    }
    this.#free.pop();
    const { i32 } = this.#views.refresh();
    i32[this.header(slot) + SLOT_CANCELLED] = 0;
    i32[this.header(slot) + SLOT_TABLES] = extent.pointer;
    return [slot, extent.pointer];
  }

  /** Back to before any worker touched it; `alone`: the next one works on nothing else beside it. */
  reset(slot: number, alone: boolean): void {
    const { i32 } = this.#views;
    const h = this.header(slot);
    i32[h + SLOT_ALONE] = alone ? 1 : 0;
    i32[h + SLOT_REMAINING] = this.#shape.numShards;
    for (const word of CLEARED) i32[h + word] = 0;
    Atomics.store(i32, h + SLOT_STATE, SLOT_QUEUED);
  }

  /** Index, in the float view, of the slot's query. */
  queryAt(slot: number): number {
    return (this.#views.u32[this.header(slot) + SLOT_TABLES]! + TABLES_HEADER_BYTES) >>> 2;
  }

  /** Puts one unit per shard on the queue; `wake` tells the workers. */
  enqueue(slot: number): void {
    const { i32 } = this.#views;
    const shards = this.#shape.numShards;
    const mask = this.layout.queueCapacity - 1;
    const queue = this.layout.queue >>> 2;
    const tail = Atomics.load(i32, QUEUE_TAIL);
    for (let s = 0; s < shards; s++) i32[queue + ((tail + s) & mask)] = slot * shards + s;
    Atomics.store(i32, QUEUE_TAIL, (tail + shards) | 0);
  }

  wake(): void {
    if (Atomics.load(this.#views.i32, SLEEPERS) > 0) Atomics.notify(this.#views.i32, QUEUE_TAIL);
  }

  cancel(slot: number): void {
    Atomics.store(this.#views.i32, this.header(slot) + SLOT_CANCELLED, 1);
  }

  /** Puts a filter where workers find it, for as long as a request has it. */
  placeFilter({ number, steps }: CompiledFilter, lists: RowLists): PlacedFilter {
    const extent = this.#extents.take(filterBytes(steps, lists));
    writeFilter(this.#views.refresh(), extent.pointer, number, steps, lists);
    return new PlacedFilter(extent, this.#extents);
  }

  free(slot: number): void {
    this.#filterOf[slot]?.release();
    this.#filterOf[slot] = undefined;
    const extent = this.#extentOf[slot];
    if (extent !== undefined && extent.bytes > KEEP_BYTES) {
      this.#extents.give(extent);
      this.#extentOf[slot] = undefined;
    }
    this.#free.push(slot);
  }
}
