/** Seeded pseudo-random numbers: the same seed gives the same numbers on every machine. */
export interface Random {
  /** An integer in 0 .. 2^32 - 1. */
  uint32(): number;
  /** A number in [0, 1) with 53 random bits. */
  uniform(): number;
  /** An integer in 0 .. limit - 1; `limit` is a whole number from 1 to 2^53. */
  below(limit: number): number;
  /** A normal deviate of mean 0 and deviation 1. */
  normal(): number;
  /** Shuffles `items` in place, every order being equally likely, and returns them. */
  shuffle<T extends { [index: number]: unknown; readonly length: number }>(items: T): T;
  /** `count` different integers in 0 .. limit - 1, in random order: the head of a shuffle of them all. */
  sample(limit: number, count: number): Int32Array;
}

/** The splitmix32 step, which spreads a small seed over a whole state. */
function splitmix(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
}

/**
 * Creates a generator (sfc32: 128 bits of state, period of at least 2^32).
 *
 * @param seed any integer; only its low 32 bits count
 */
export function createRandom(seed: number): Random {
  const spread = splitmix(seed);
  let a = spread();
  let b = spread();
  let c = spread();
  let counter = 1;
  let spare = Number.NaN;

  function uint32(): number {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + result) | 0;
    return result >>> 0;
  }

  function uniform(): number {
    return ((uint32() >>> 5) * 0x4000000 + (uint32() >>> 6)) / 0x20000000000000;
  }

  function below(limit: number): number {
    return Math.floor(uniform() * limit);
  }

  /** Marsaglia's polar method, which yields two deviates at a time. */
  function normal(): number {
    if (!Number.isNaN(spare)) {
      const kept = spare;
      spare = Number.NaN;
      return kept;
    }
    for (;;) {
      const x = uint32() / 0x80000000 - 1;
      const y = uint32() / 0x80000000 - 1;
      const square = x * x + y * y;
      if (square > 0 && square < 1) {
        const scale = Math.sqrt((-2 * Math.log(square)) / square);
        spare = y * scale;
        return x * scale;
      }
    }
  }

  /** Fisher-Yates from the front, so that the first `count` items are settled after `count` steps. */
  function shuffleHead<T extends { [index: number]: unknown; readonly length: number }>(items: T, count: number): T {
    for (let i = 0; i < Math.min(count, items.length - 1); i++) {
      const j = i + below(items.length - i);
      const moved = items[i];
      items[i] = items[j];
      items[j] = moved;
    }
    return items;
  }

  function shuffle<T extends { [index: number]: unknown; readonly length: number }>(items: T): T {
    return shuffleHead(items, items.length);
  }

  function sample(limit: number, count: number): Int32Array {
    if (!(Number.isInteger(count) && count >= 0 && count <= limit)) {
      throw new RangeError(`Cannot take ${count} different items out of ${limit}.`);
    }
    const items = new Int32Array(limit);
    for (let i = 0; i < limit; i++) items[i] = i;
    return shuffleHead(items, count).slice(0, count);
  }

  for (let i = 0; i < 12; i++) uint32();
  return { uint32, uniform, below, normal, shuffle, sample };
}
