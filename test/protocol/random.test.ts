import { expect, it } from 'vitest';
import { Random } from '../../src/protocol/random.ts';

const draw = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.word());

it('gives the same numbers for the same seed, on every machine', () => {
  expect(draw(new Random(42), 3)).toEqual([2581720956, 1925393290, 3661312704]);
  expect(draw(new Random(42), 100)).toEqual(draw(new Random(42), 100));
  expect(draw(new Random(42), 100)).not.toEqual(draw(new Random(43), 100));
});

it('takes seeds of 32 bits', () => {
  expect(draw(new Random(2 ** 32 - 1), 10)).not.toEqual(draw(new Random(0), 10));
});

it('is uniform in [0, 1)', () => {
  const random = new Random(1);
  const buckets = new Array<number>(10).fill(0);
  for (let i = 0; i < 20_000; i++) {
    const value = random.uniform();
    expect(value >= 0 && value < 1).toBe(true);
    buckets[Math.floor(value * 10)]!++;
  }
  for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(200);
});

it('draws every integer below n, and no other', () => {
  const random = new Random(2);
  const seen = new Set(Array.from({ length: 500 }, () => random.below(7)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

it.each([
  [1000, 1],
  [1000, 37],
  [1000, 999],
  [100_000, 20_000],
])('samples from %i exactly %i distinct numbers, ascending', (n, count) => {
  const sample = new Random(3).sample(n, count);
  expect(sample).toHaveLength(count);
  for (let i = 1; i < count; i++) expect(sample[i]!).toBeGreaterThan(sample[i - 1]!);
  expect(sample[count - 1]!).toBeLessThan(n);
});

it.each([5, 6, 1000])('samples everything when %i of 5 are wanted', (count) => {
  expect(Array.from(new Random(4).sample(5, count))).toEqual([0, 1, 2, 3, 4]);
});

it('samples each number about equally often', () => {
  const random = new Random(5);
  const seen = new Array<number>(20).fill(0);
  for (let round = 0; round < 4000; round++) for (const i of random.sample(20, 5)) seen[i]!++;
  for (const count of seen) expect(Math.abs(count - 1000)).toBeLessThan(150);
});
