import { describe, expect, it } from 'vitest';
import { onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

const random = new Random(31);

/** Bits [0, count) of u32 words. */
const bitsOf = (words: Uint32Array, count: number): boolean[] =>
  Array.from({ length: count }, (_, i) => ((words[i >>> 5]! >>> (i & 31)) & 1) === 1);

describe('bits of values that pass', () => {
  const places = [0, 1, 31, 32, 64].flatMap((first) => [0, 1, 31, 32, 33, 64, 100, 257].map((count) => [first, count]));

  it.each(places)('from bit %i on, of %i values', (first, count) => {
    const codes = Uint32Array.from({ length: count! }, () => (random.float() < 0.2 ? 70 : random.int(0, 40)));
    const numbers = Float64Array.from(codes, () => {
      if (random.float() < 0.2) return random.pick([Number.NaN, Number.POSITIVE_INFINITY, -0, Number.MIN_VALUE]);
      return random.normal();
    });
    const allowed = Uint32Array.from([0b1010_0110, 0x80000001]);
    const has = (code: number): boolean => code < 64 && ((allowed[code >>> 5]! >>> (code & 31)) & 1) === 1;
    const words = (first! + count! + 31) >>> 5;
    const found = (pass: 'code' | 'codes' | 'range', least = 0, most = 0): boolean[] =>
      onEveryTier((kernels, arena) => {
        const out = arena.alloc(words * 4 + 4);
        const values = arena.put(pass === 'range' ? numbers : codes);
        if (pass === 'code') kernels.passCode(values, count!, 7, out, first!);
        if (pass === 'codes') kernels.passCodes(values, count!, arena.put(allowed), 64, out, first!);
        if (pass === 'range') kernels.passRange(values, count!, least, most, out, first!);
        return bitsOf(arena.u32(out, words).slice(), first! + count!);
      });
    const before = new Array(first).fill(false);
    expect(found('code')).toEqual([...before, ...Array.from(codes, (code) => code === 7)]);
    expect(found('codes')).toEqual([...before, ...Array.from(codes, has)]);
    for (const [least, most] of [
      [-0.5, 0.5],
      [0, Number.POSITIVE_INFINITY],
      [1, -1],
      [Number.NaN, 1],
    ] as const) {
      const expected = Array.from(numbers, (value) => value >= least && value <= most);
      expect(found('range', least, most)).toEqual([...before, ...expected]);
    }
  });
});
