/** A seeded generator of 32-bit words (mulberry32, T. Ettinger): small, fast and the same everywhere. Not for cryptography. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A uniform u32. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform in [0, 1), with 53 random bits. */
  uniform(): number {
    return ((this.word() >>> 5) * 67108864 + (this.word() >>> 6)) / 9007199254740992;
  }

  /** A uniform integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** `count` distinct integers of [0, n), ascending (Floyd's method). */
  sample(n: number, count: number): Uint32Array {
    if (count >= n) return Uint32Array.from({ length: n }, (_, i) => i);
    const chosen = new Set<number>();
    for (let i = n - count; i < n; i++) {
      const candidate = this.below(i + 1);
      chosen.add(chosen.has(candidate) ? i : candidate);
    }
    return Uint32Array.from(chosen).sort();
  }

  /** Puts the array into random order, in place (Fisher and Yates); returns it. */
  shuffle<T extends Uint32Array>(array: T): T {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const held = array[i]!;
      array[i] = array[j]!;
      array[j] = held;
    }
    return array;
  }
}
