import { ScanneryError } from '../protocol/errors.ts';
import { ALIGNMENT, RESERVED_BYTES, TOP_WORD } from '../protocol/shard-layout.ts';

const PAGE_BYTES = 65536;
/** A memory's pages at most: 4 GiB, less one page, so that a pointer past the end still is a u32. */
export const MAX_PAGES = 65535;
export const MAX_BYTES = MAX_PAGES * PAGE_BYTES;

export function align(bytes: number, to: number = ALIGNMENT): number {
  return Math.ceil(bytes / to) * to;
}

/** A shared memory that starts with room for `bytes` and can grow to 4 GiB. Untouched pages cost no physical memory. */
export function createMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil((RESERVED_BYTES + bytes) / PAGE_BYTES);
  if (pages > MAX_PAGES) throw outOfMemory(bytes);
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true });
    new Int32Array(memory.buffer)[TOP_WORD] = RESERVED_BYTES;
    return memory;
  } catch (cause) {
    throw outOfMemory(bytes, cause);
  }
}

/**
 * Takes `bytes` from the end of a shared memory, growing it when needed; any thread may call it. Single pieces are not given
 * back: who needs more later takes twice as much, so the waste is bounded by a factor of two.
 */
export function allocate(memory: WebAssembly.Memory, bytes: number): number {
  const words = new Int32Array(memory.buffer, 0, TOP_WORD + 1);
  for (;;) {
    const top = Atomics.load(words, TOP_WORD);
    const start = align(top >>> 0);
    const end = start + bytes;
    if (end > MAX_BYTES) throw outOfMemory(bytes);
    if (Atomics.compareExchange(words, TOP_WORD, top, end | 0) !== top) continue;
    try {
      grow(memory, end);
    } catch (error) {
      // Given back, unless another thread has taken what follows.
      Atomics.compareExchange(words, TOP_WORD, end | 0, top);
      throw error;
    }
    return start;
  }
}

/**
 * Gives back what was taken of a memory from `from` on, when no other thread works on it. Returns the first byte that was never
 * taken: up to there the memory is not zero.
 */
export function giveBack(memory: WebAssembly.Memory, from: number): number {
  const words = new Int32Array(memory.buffer, 0, TOP_WORD + 1);
  const top = words[TOP_WORD]! >>> 0;
  words[TOP_WORD] = from | 0;
  return top;
}

function grow(memory: WebAssembly.Memory, end: number): void {
  const missing = end - memory.buffer.byteLength;
  if (missing <= 0) return;
  try {
    memory.grow(Math.ceil(missing / PAGE_BYTES));
  } catch (cause) {
    if (memory.buffer.byteLength >= end) return; // another thread grew it in the meantime
    throw outOfMemory(end, cause);
  }
}

function outOfMemory(bytes: number, cause?: unknown): ScanneryError {
  return new ScanneryError(
    'SCANNERY_OUT_OF_MEMORY',
    `no room for ${bytes} bytes in a memory of at most 4 GiB; use more shards, or ask for fewer results and candidates`,
    { value: bytes, ...(cause === undefined ? {} : { cause }) },
  );
}
