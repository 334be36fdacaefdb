import { allocate } from '../shard/arena.ts';

const SMALLEST = 1024;

/** A block of the control memory. */
export interface Extent {
  readonly pointer: number;
  readonly bytes: number;
}

/**
 * Hands out blocks of the control memory for requests. Sizes are powers of two and freed blocks are reused by size, so the
 * memory is bounded by what was in flight at once. Used by the caller's thread only.
 */
export class Extents {
  readonly #memory: WebAssembly.Memory;
  readonly #free = new Map<number, number[]>();

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  take(bytes: number): Extent {
    const size = 2 ** Math.ceil(Math.log2(Math.max(SMALLEST, bytes)));
    const pointer = this.#free.get(size)?.pop() ?? allocate(this.#memory, size);
    return { pointer, bytes: size };
  }

  give({ pointer, bytes }: Extent): void {
    const list = this.#free.get(bytes);
    if (list === undefined) this.#free.set(bytes, [pointer]);
    else list.push(pointer);
  }
}
