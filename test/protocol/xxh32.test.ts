import { expect, it } from 'vitest';
import { xxh32 } from '../../src/protocol/xxh32.ts';

// The sanity buffer and values of the reference implementation (xxHash, xxhsum's self-test).
const PRIME32 = 2654435761n;
const PRIME64 = 11400714785074694797n;
const buffer = new Uint8Array(222);
for (let i = 0, generator = PRIME32; i < buffer.length; i++) {
  buffer[i] = Number(generator >> 56n);
  generator = BigInt.asUintN(64, generator * PRIME64);
}
const seed = Number(PRIME32);

it.each([
  [0, 0, 0x02cc5d05],
  [0, seed, 0x36b78ae7],
  [1, 0, 0xcf65b03e],
  [1, seed, 0xb4545aa4],
  [14, 0, 0x1208e7e2],
  [14, seed, 0x6af1d1fe],
  [222, 0, 0x5bd11dbd],
  [222, seed, 0x58803c5f],
])('gives the reference value for %i bytes and seed %i', (length, from, expected) => {
  expect(xxh32(buffer, 0, length, from)).toBe(expected);
});

it.each([
  ['', 0x02cc5d05],
  ['abc', 0x32d153ff],
  ['Nobody inspects the spammish repetition', 0xe2293b2f],
])('gives the published value for "%s"', (text, expected) => {
  expect(xxh32(Buffer.from(text))).toBe(expected);
});

it('hashes a range as it hashes a copy of it', () => {
  for (const [start, length] of [
    [0, 222],
    [1, 100],
    [3, 16],
    [200, 22],
    [5, 0],
  ] as const) {
    expect(xxh32(buffer, start, length)).toBe(xxh32(buffer.slice(start, start + length)));
  }
});

it('changes with every bit', () => {
  const whole = xxh32(buffer);
  for (let at = 0; at < buffer.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const changed = Uint8Array.from(buffer);
      changed[at]! ^= 1 << bit;
      expect(xxh32(changed)).not.toBe(whole);
    }
  }
});
