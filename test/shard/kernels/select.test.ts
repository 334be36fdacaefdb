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

/** What stays of keys: for each id, in the order of their first keys, the greatest. */
function distinct(keys: Iterable<bigint>): bigint[] {
  const best = new Map<bigint, bigint>();
  for (const key of keys) {
    const id = key & 0xffffffffn;
    const held = best.get(id);
    if (held === undefined || key > held) best.set(id, key);
  }
  return [...best.values()];
}

function dropDuplicates(keys: BigUint64Array, entries: number): bigint[] {
  return onEveryTier((kernels, arena) => {
    const at = arena.put(BigUint64Array.of(...keys, 99n));
    // The table may hold anything; what follows it must stay.
    const table = arena.put(new Uint32Array(entries + 4).fill(0xffffffff));
    const kept = kernels.dropDuplicates(at, keys.length, table, entries);
    expect([...arena.u32(table + entries * 4, 4)]).toEqual(new Array(4).fill(0xffffffff));
    expect(arena.u64(at, keys.length + 1)[keys.length]).toBe(99n);
    return [...arena.u64(at, kept)];
  });
}

describe('dropDuplicates', () => {
  const tableFor = (count: number): number => 2 ** Math.ceil(Math.log2(2 * Math.max(1, count)));

  it.each(SIZES)('keeps the greatest key of each id among %i', (count) => {
    const random = new Random(count);
    const few = [1, 2, 9, Math.max(1, count >> 1)].map((most) =>
      BigUint64Array.from({ length: count }, () => keyOf(random.int(-2, 2), random.int(0, most))),
    );
    for (const keys of [...inputs(count), ...few]) {
      for (const entries of [tableFor(count), 8 * tableFor(count)]) {
        expect(dropDuplicates(keys, entries)).toEqual(distinct(keys));
      }
    }
  });

  it.each([1, 2, 4, 16, 64, 1024])('keeps %i keys of as many ids, in a table of just twice as many', (count) => {
    const random = new Random(count);
    const keys = BigUint64Array.from({ length: count }, (_, i) => keyOf(random.normal(), 7 * i));
    expect(dropDuplicates(keys, 2 * count)).toEqual([...keys]);
  });

  it.each([1, 2, 3, 97, 128])('keeps one of %i keys of the same id', (count) => {
    const random = new Random(count);
    for (const id of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
      const keys = BigUint64Array.from({ length: count }, () => keyOf(random.normal(), id));
      expect(dropDuplicates(keys, tableFor(count))).toEqual(descending(keys).slice(0, 1));
      expect(dropDuplicates(keys.fill(keys[0]!), tableFor(count))).toEqual([keys[0]]);
    }
  });

  it('leaves no keys at all alone', () => {
    for (const entries of [2, 32]) expect(dropDuplicates(new BigUint64Array(0), entries)).toEqual([]);
  });

  it('tells apart ids that hash to the same place, at the end of the table too', () => {
    const [count, entries] = [16, 32];
    const places = new Map<number, number[]>();
    for (let id = 0; id < 5000; id++) {
      const place = Math.imul(id, 0x9e3779b1) >>> 27;
      places.set(place, [...(places.get(place) ?? []), id]);
    }
    expect(places.size).toBe(entries);
    for (const place of [0, 13, entries - 1]) {
      const ids = places.get(place)!.slice(0, count);
      expect(ids).toHaveLength(count);
      const once = BigUint64Array.from(ids, (id) => keyOf(1, id));
      expect(dropDuplicates(once, entries)).toEqual([...once]);
      const twice = BigUint64Array.from({ length: count }, (_, i) => keyOf(i % 5, ids[(i * 3) % 7]!));
      expect(dropDuplicates(twice, entries)).toEqual(distinct(twice));
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
