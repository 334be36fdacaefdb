import { BUFFER_SLACK, LEAF_ENTRY_BYTES, STATE_BYTES } from '../protocol/shard-layout.ts';
import { align, allocate } from './arena.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels, type KernelSource } from './kernels/load.ts';
import { Views } from './views.ts';

/** One shard as one worker sees it: kernels bound to its memory, and scratch of this worker's own in it. */
export class ShardScratch {
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
  readonly views: Views;
  /** Pointers: search state, query tables, chosen leaves, candidate buffer, the same candidates by row. */
  state = 0;
  tables = 0;
  leaves = 0;
  keys = 0;
  rowKeys = 0;
  #tablesBytes = 0;
  #numLeaves = 0;
  #limit = 0;

  constructor(source: KernelSource, memory: WebAssembly.Memory) {
    this.memory = memory;
    this.kernels = bindKernels(source, memory);
    this.views = new Views(memory);
  }

  /** Makes room for tables of `tablesBytes`, `numLeaves` chosen leaves and `limit` candidates. */
  reserve(tablesBytes: number, numLeaves: number, limit: number): void {
    if (tablesBytes <= this.#tablesBytes && numLeaves <= this.#numLeaves && limit <= this.#limit) return;
    const tablesRoom = Math.max(tablesBytes, this.#tablesBytes);
    const leavesRoom = powerOfTwo(Math.max(numLeaves, this.#numLeaves));
    const limitRoom = powerOfTwo(Math.max(limit, this.#limit));
    const stateBytes = align(STATE_BYTES);
    const tables = align(tablesRoom);
    const leaves = align(leavesRoom * LEAF_ENTRY_BYTES);
    const keys = align((2 * limitRoom + BUFFER_SLACK) * 8);
    // If this throws, what there was before stays in use.
    this.state = allocate(this.memory, stateBytes + tables + leaves + keys + limitRoom * 8);
    this.#tablesBytes = tablesRoom;
    this.#numLeaves = leavesRoom;
    this.#limit = limitRoom;
    this.tables = this.state + stateBytes;
    this.leaves = this.tables + tables;
    this.keys = this.leaves + leaves;
    this.rowKeys = this.keys + keys;
    this.views.refresh();
  }
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, n)));
}
