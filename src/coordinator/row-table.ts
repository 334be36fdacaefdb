import type { Id } from './types.ts';

/**
 * Rows by the hash of what identifies them: open addressing over row + 1. A JavaScript Map ends at 16.7 million entries.
 */
export class RowTable {
  #slots: Uint32Array;
  #size = 0;
  readonly #hashOf: (row: number) => number;

  /** `hashOf` is asked again for all rows when the table grows beyond the `expected` number of them. */
  constructor(hashOf: (row: number) => number, expected = 0) {
    this.#hashOf = hashOf;
    this.#slots = new Uint32Array(Math.max(4096, 2 ** Math.ceil(Math.log2(2 * expected + 2))));
  }

  /** The row of this hash that `isIt` says yes to, or -1. */
  find(hash: number, isIt: (row: number) => boolean): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let i = hash & mask; slots[i] !== 0; i = (i + 1) & mask) if (isIt(slots[i]! - 1)) return slots[i]! - 1;
    return -1;
  }

  /** Puts a row in the place of one of the same hash that `isStale` says yes to, or adds it. */
  put(row: number, hash: number, isStale: (row: number) => boolean): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let i = hash & mask; slots[i] !== 0; i = (i + 1) & mask) {
      if (!isStale(slots[i]! - 1)) continue;
      slots[i] = row + 1;
      return;
    }
    this.add(row, hash);
  }

  add(row: number, hash: number): void {
    if (2 * (this.#size + 1) > this.#slots.length) {
      const before = this.#slots;
      this.#slots = new Uint32Array(before.length * 2);
      for (const entry of before) if (entry !== 0) this.#place(entry, this.#hashOf(entry - 1));
    }
    this.#place(row + 1, hash);
    this.#size++;
  }

  clear(): void {
    this.#slots.fill(0);
    this.#size = 0;
  }

  #place(entry: number, hash: number): void {
    const mask = this.#slots.length - 1;
    let i = hash & mask;
    while (this.#slots[i] !== 0) i = (i + 1) & mask;
    this.#slots[i] = entry;
  }
}

/** Spreads the bits of a hash, all of which depend on all of it afterwards. */
export function spread(h: number): number {
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}

export function hashInteger(value: number): number {
  const low = Math.imul((value | 0) ^ 0x811c9dc5, 0x9e3779b1);
  return spread(low ^ Math.imul(Math.floor(value / 4294967296) | 0, 0x85ebca6b));
}

/** A hash of an id; equal for equal ids of one type. */
export function hashId(id: Id): number {
  if (typeof id === 'number') return hashInteger(id);
  const text = typeof id === 'string' ? id : `${id}n`;
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return spread(h);
}
