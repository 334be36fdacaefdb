import { allocateLeafTables, packLeafTables } from '../../src/coordinator/leaf-tables.ts';
import type { LeafTables } from '../../src/protocol/messages.ts';
import { allocate, createMemory } from '../../src/shard/arena.ts';
import { bindKernels, loadKernels } from '../../src/shard/kernels/load.ts';
import { Views } from '../../src/shard/views.ts';

/** A memory for build phases: things are put in and read back by pointer. */
export class PhaseMemory {
  readonly memory = createMemory(1 << 20);
  readonly #views = new Views(this.memory);

  alloc(bytes: number): number {
    return allocate(this.memory, bytes);
  }

  put(values: Float32Array | Uint32Array): number {
    const at = this.alloc(values.byteLength);
    const { f32, u32 } = this.#views.refresh();
    if (values instanceof Float32Array) f32.set(values, at >>> 2);
    else u32.set(values, at >>> 2);
    return at;
  }

  f32(at: number, length: number): Float32Array {
    return this.#views.refresh().f32.slice(at >>> 2, (at >>> 2) + length);
  }

  u32(at: number, length: number): Uint32Array {
    return this.#views.refresh().u32.slice(at >>> 2, (at >>> 2) + length);
  }

  u8(at: number, length: number): Uint8Array {
    return this.#views.refresh().u8.slice(at, at + length);
  }
}

/** Packs the centroids f32 [numLeaves x stride] at a pointer, as assignment wants them. */
export function putLeafTables(lab: PhaseMemory, centroids: number, numLeaves: number, stride: number): LeafTables {
  const tables = allocateLeafTables(lab.memory, numLeaves, stride);
  packLeafTables(bindKernels(loadKernels(), lab.memory), tables, centroids, stride);
  return tables;
}
