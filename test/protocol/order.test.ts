import { expect, it } from 'vitest';
import { highOfScore, idOfLow, keyAtLeast, scoreOfHigh } from '../../src/protocol/order.ts';
import { Random } from '../support/random.ts';

const { MAX_VALUE, MIN_VALUE } = { MAX_VALUE: 3.4028234663852886e38, MIN_VALUE: 1.401298464324817e-45 };
const SPECIAL = [
  0,
  -0,
  1,
  -1,
  MAX_VALUE,
  -MAX_VALUE,
  MIN_VALUE,
  -MIN_VALUE,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];
const random = new Random(1);
const scores = [
  ...SPECIAL,
  ...Array.from({ length: 300 }, () => Math.fround(random.normal() * 10 ** random.int(-30, 30))),
];
const lowOf = (id: number): number => ~id >>> 0;

it('sorts keys by score, higher first, then by id, lower first', () => {
  const entries = scores.flatMap((score) => [0, 1, 2 ** 31, 2 ** 32 - 2].map((id) => ({ score, id })));
  const byKey = random.shuffle([...entries]).sort((a, b) => {
    const [highA, highB] = [highOfScore(a.score), highOfScore(b.score)];
    return highB - highA || lowOf(b.id) - lowOf(a.id);
  });
  const byRule = [...entries].sort((a, b) => (a.score === b.score ? 0 : b.score > a.score ? 1 : -1) || a.id - b.id);
  expect(byKey.map(({ score, id }) => [score + 0, id])).toEqual(byRule.map(({ score, id }) => [score + 0, id]));
});

it('gives scores and ids back', () => {
  for (const score of scores) expect(scoreOfHigh(highOfScore(score))).toBe(score + 0);
  for (const id of [0, 1, 77, 2 ** 31, 2 ** 32 - 2]) expect(idOfLow(lowOf(id))).toBe(id);
});

it('makes no difference between zero and minus zero', () => {
  expect(highOfScore(-0)).toBe(highOfScore(0));
  expect(Object.is(scoreOfHigh(highOfScore(-0)), 0)).toBe(true);
});

it('keeps 0 below every score, so that it can stand for no floor at all', () => {
  expect(Math.min(...scores.map(highOfScore))).toBeGreaterThan(0);
});

it('compares keys as 64-bit integers', () => {
  const words = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
  const keys = words.flatMap((high) => words.map((low) => ({ high, low })));
  const whole = ({ high, low }: { high: number; low: number }): bigint => (BigInt(high) << 32n) | BigInt(low);
  for (const a of keys) {
    for (const b of keys) expect(keyAtLeast(a.high, a.low, b.high, b.low)).toBe(whole(a) >= whole(b));
  }
});
