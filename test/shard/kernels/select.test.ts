import { describe, expect, it } from 'vitest';
import { COUNTS, descending, keyOf, onEveryTier, scoreOf } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

const SIZES = [0, ...COUNTS, 24, 25, 1000];

/** Keys of several kinds: spread over both words, equal high words, many duplicates, and already in order. */
function inputs(count: number): BigUint64Array[] {
  const random = new Random(count);
  const fill = (next: (i: number) => bigint): BigUint64Array =>
    BigUint64Array.from({ length: count }, (_, i) => next(i));
  const spread = fill(() => (BigInt(random.u32()) << 32n) | BigInt(random.u32()));
  return [
    spread,
    fill(() => (0x80000000n << 32n) | BigInt(random.u32())),
    fill(() => BigInt(random.int(0, 3)) << 31n),
    fill(() => keyOf(random.normal(), random.int(0, 9))),
    BigUint64Array.from(descending(spread)),
    BigUint64Array.from(descending(spread).reverse()),
  ];
}

describe('sortDescending', () => {
  it.each(SIZES)('sorts %i keys', (count) => {
    for (const keys of inputs(count)) {
      const sorted = onEveryTier((kernels, arena) => {
        const at = arena.put(keys);
        kernels.sortDescending(at, count);
        return [...arena.u64(at, count)];
      });
      expect(sorted).toEqual(descending(keys));
    }
  });
});

function select(keys: BigUint64Array, limit: number): bigint[] {
  return onEveryTier((kernels, arena) => {
    const at = arena.put(keys);
    kernels.selectTop(at, keys.length, limit);
    return [...arena.u64(at, keys.length)];
  });
}

/** Distinct keys in the worst order for selectTop (McIlroy's adversary): every pivot it takes cuts off next to nothing. */
function killer(count: number, limit: number): BigUint64Array {
  const value = new Array<number>(count).fill(Infinity);
  const items = value.map((_, i) => i);
  let solid = 0;
  let candidate = 0;
  const compare = (a: number, b: number): number => {
    if (value[a] === Infinity && value[b] === Infinity) value[a === candidate ? a : b] = solid++;
    if (value[a] === Infinity) candidate = a;
    else if (value[b] === Infinity) candidate = b;
    return value[a]! - value[b]!;
  };
  const smaller = (a: number, b: number): number => (compare(a, b) < 0 ? a : b);
  const larger = (a: number, b: number): number => (compare(a, b) < 0 ? b : a);
  let lo = 0;
  let hi = count - 1;
  while (lo < hi) {
    const [a, b, c] = [items[lo]!, items[(lo + hi) >> 1]!, items[hi]!];
    const pivot = larger(smaller(a, b), smaller(larger(a, b), c));
    let i = lo;
    let j = hi;
    while (i <= j) {
      while (items[i] !== pivot && compare(items[i]!, pivot) > 0) i++;
      while (items[j] !== pivot && compare(items[j]!, pivot) < 0) j--;
      if (i <= j) {
        [items[i], items[j]] = [items[j]!, items[i]!];
        i++;
        j--;
      }
    }
    if (limit - 1 <= j) hi = j;
    else if (limit - 1 >= i) lo = i;
    else break;
  }
  return BigUint64Array.from(value, (x, i) => (x === Infinity ? BigInt(count + i) : BigInt(x)));
}

describe('selectTop', () => {
  it.each(SIZES)('moves the largest of %i keys to the front', (count) => {
    for (const keys of inputs(count)) {
      const sorted = descending(keys);
      for (const limit of [0, 1, 2, 7, count >> 1, count - 1, count, count + 5]) {
        const found = select(keys, limit);
        expect(descending(found)).toEqual(sorted);
        if (limit > 0) expect(descending(found.slice(0, limit))).toEqual(sorted.slice(0, limit));
      }
    }
  });

  it.each([1, 5, 100, 1999, 3990])('selects %i of the worst order of 4000 keys', (limit) => {
    const keys = killer(4000, limit);
    expect(descending(select(keys, limit).slice(0, limit))).toEqual(descending(keys).slice(0, limit));
  });
});

describe('compact', () => {
  it.each(SIZES)('cuts %i keys back to the largest and raises the floor once there are enough', (count) => {
    for (const keys of inputs(count)) {
      const sorted = descending(keys);
      for (const limit of [1, 2, 7, Math.max(1, count - 1), Math.max(1, count), count + 1]) {
        const { kept, floor } = onEveryTier((kernels, arena) => {
          const at = arena.put(keys);
          const floorAt = arena.put(BigUint64Array.of(5n));
          const held = kernels.compact(at, count, limit, floorAt);
          return { kept: [...arena.u64(at, held)], floor: arena.u64(floorAt, 1)[0]! };
        });
        expect(descending(kept)).toEqual(sorted.slice(0, limit));
        expect(floor).toBe(count >= limit ? sorted[limit - 1] : 5n);
      }
    }
  });
});

describe('keys', () => {
  it('sort by score descending, then by id ascending, whatever the signs', () => {
    const scores = [-Infinity, -1e17, -2, -1.5, -1e-40, 0, 1e-40, 1e-3, 1, 1.5, 1e17, Infinity].map(Math.fround);
    const keys = scores.flatMap((score) => [2 ** 32 - 1, 7, 0].map((id) => keyOf(score, id)));
    expect(descending(keys)).toEqual(keys.toReversed());
    expect(keys.map(scoreOf)).toEqual(scores.flatMap((score) => [score, score, score]));
    expect(keyOf(-0, 5)).toBe(keyOf(0, 5));
  });
});
