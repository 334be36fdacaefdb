import { BUFFER_SLACK, KEPT_WORD, STATE_BYTES, VISIT_BYTES } from '../protocol/shard-layout.ts';
import { align, allocate } from './arena.ts';
import { FilterBitmaps } from './filter-bitmaps.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels, type KernelSource } from './kernels/load.ts';
import { firstLocalFrom, storedCount } from './stored-rows.ts';
import { Views } from './views.ts';

/** Bytes that are taken ahead of need at the most. */
const MOST_AHEAD = 1 << 26;

/** What scanning needs in a shard's memory. */
export interface ScratchSize {
  /** Queries that are scanned at once. */
  readonly queries: number;
  readonly tablesBytes: number;
  /** Leaves visited, over all queries. */
  readonly visits: number;
  /** Candidates of a query. */
  readonly limit: number;
}

/** One shard as one worker sees it: kernels bound to its memory, and scratch of this worker's own in it. */
export class ShardScratch {
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
  readonly views: Views;
  readonly filters: FilterBitmaps;
  /** Pointer: visits of leaves, for all queries. */
  visits = 0;
  /** Pointers of one query, by `use`: search state, query tables, candidate buffer, the same candidates by row. */
  state = 0;
  tables = 0;
  keys = 0;
  rowKeys = 0;
  /** Bytes from a query's search state to its tables, and to its candidate buffer. */
  tablesAt = 0;
  keysAt = 0;
  #rowKeysAt = 0;
  #start = 0;
  #bytes = 0;
  #first = 0;
  #queryBytes = 0;

  constructor(source: KernelSource, memory: WebAssembly.Memory) {
    this.memory = memory;
    this.kernels = bindKernels(source, memory);
    this.views = new Views(memory);
    this.filters = new FilterBitmaps(memory, this.views, this.kernels);
  }

  /** How many of the vectors have rows below this one. Their local numbers are the first, as rows ascend. */
  localsBelow(row: number): number {
    // The caller's thread may have grown the memory an instant ago; until this thread has noticed, its views end before that.
    while (Atomics.load(this.views.i32, KEPT_WORD) >>> 0 > this.views.refresh().u8.length);
    return firstLocalFrom(this.views, row, storedCount(this.views));
  }

  /** Makes room, and selects the first query. */
  reserve({ queries, tablesBytes, visits, limit }: ScratchSize): void {
    const tablesAt = align(STATE_BYTES);
    const keysAt = tablesAt + align(tablesBytes);
    const rowKeysAt = keysAt + align((2 * limit + BUFFER_SLACK) * 8);
    // dropDuplicates takes this room for its table.
    const queryBytes = rowKeysAt + align(powerOfTwo(limit) * 8);
    const visitsBytes = align(visits * VISIT_BYTES);
    const bytes = visitsBytes + queries * queryBytes;
    if (bytes > this.#bytes) {
      // What there was is left behind; twice as much each time, so that this stays less than what is in use.
      const room = Math.max(bytes, Math.min(2 * this.#bytes, MOST_AHEAD));
      this.#start = allocate(this.memory, room);
      this.#bytes = room;
      this.views.refresh();
    }
    this.visits = this.#start;
    this.#first = this.#start + visitsBytes;
    this.#queryBytes = queryBytes;
    this.tablesAt = tablesAt;
    this.keysAt = keysAt;
    this.#rowKeysAt = rowKeysAt;
    this.use(0);
  }

  /** Selects the scratch of query `i` of those that room was made for. */
  use(i: number): void {
    this.state = this.#first + i * this.#queryBytes;
    this.tables = this.state + this.tablesAt;
    this.keys = this.state + this.keysAt;
    this.rowKeys = this.state + this.#rowKeysAt;
  }
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, n)));
}

/** Entries of the table with which dropDuplicates looks through `count` keys; as u32 they fit the room of as many keys. */
export function duplicatesEntries(count: number): number {
  return 2 * powerOfTwo(count);
}
