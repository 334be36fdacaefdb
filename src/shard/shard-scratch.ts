import { BUFFER_SLACK, STATE_BYTES, VISIT_BYTES } from '../protocol/shard-layout.ts';
import { align, allocate } from './arena.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels, type KernelSource } from './kernels/load.ts';
import { Views } from './views.ts';

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
  #first = 0;
  #queryBytes = 0;
  #size: ScratchSize = { queries: 0, tablesBytes: 0, visits: 0, limit: 0 };

  constructor(source: KernelSource, memory: WebAssembly.Memory) {
    this.memory = memory;
    this.kernels = bindKernels(source, memory);
    this.views = new Views(memory);
  }

  /** Makes room, and selects the first query. */
  reserve({ queries, tablesBytes, visits, limit }: ScratchSize): void {
    const has = this.#size;
    if (queries > has.queries || tablesBytes > has.tablesBytes || visits > has.visits || limit > has.limit) {
      this.#grow({
        queries: Math.max(queries, has.queries),
        tablesBytes: Math.max(tablesBytes, has.tablesBytes),
        visits: powerOfTwo(Math.max(visits, has.visits)),
        limit: powerOfTwo(Math.max(limit, has.limit)),
      });
    }
    this.use(0);
  }

  #grow(size: ScratchSize): void {
    const tablesAt = align(STATE_BYTES);
    const keysAt = tablesAt + align(size.tablesBytes);
    const rowKeysAt = keysAt + align((2 * size.limit + BUFFER_SLACK) * 8);
    const queryBytes = rowKeysAt + align(size.limit * 8);
    const visitsBytes = align(size.visits * VISIT_BYTES);
    // If this throws, what there was before stays in use.
    this.visits = allocate(this.memory, visitsBytes + size.queries * queryBytes);
    this.#first = this.visits + visitsBytes;
    this.#queryBytes = queryBytes;
    this.tablesAt = tablesAt;
    this.keysAt = keysAt;
    this.#rowKeysAt = rowKeysAt;
    this.#size = size;
    this.views.refresh();
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
