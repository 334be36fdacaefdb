/** A small seeded generator (mulberry32), so that every run sees the same numbers. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** In [0, 1). */
  float(): number {
    return this.u32() / 2 ** 32;
  }

  /** A whole number in [from, to]. */
  int(from: number, to: number): number {
    return from + Math.floor(this.float() * (to - from + 1));
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.float())) * Math.cos(2 * Math.PI * this.float());
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }

  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [items[i], items[j]] = [items[j]!, items[i]!];
    }
    return items;
  }

  /** Rows of normal floats, padded with zeros from `dimensions` to `stride`. */
  normals(count: number, dimensions: number, stride = dimensions): Float32Array {
    return this.#rows(count, dimensions, stride, () => this.normal());
  }

  /** Rows of whole numbers in [-most, most], whose sums are exact in any order and often tie. */
  integers(count: number, dimensions: number, stride = dimensions, most = 8): Float32Array {
    return this.#rows(count, dimensions, stride, () => this.int(-most, most));
  }

  #rows(count: number, dimensions: number, stride: number, next: () => number): Float32Array {
    const rows = new Float32Array(count * stride);
    for (let i = 0; i < count; i++) for (let j = 0; j < dimensions; j++) rows[i * stride + j] = next() + 0;
    return rows;
  }
}
