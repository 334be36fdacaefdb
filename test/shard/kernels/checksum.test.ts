import { describe, expect, it } from 'vitest';
import { onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

function hash(bytes: Uint8Array, seed = 0, shift = 0): number {
  return onEveryTier((kernels, arena) => {
    const at = arena.alloc(bytes.length + shift) + shift;
    arena.u8(at, bytes.length).set(bytes);
    return kernels.xxh32(at, bytes.length, seed) >>> 0;
  });
}

describe('xxh32', () => {
  it.each([
    ['', 0, 0x02cc5d05],
    ['a', 0, 0x550d7456],
    ['abc', 0, 0x32d153ff],
    ['Nobody inspects the spammish repetition', 0, 0xe2293b2f],
  ])('gives the published hash of %j', (text, seed, expected) => {
    expect(hash(Buffer.from(text), seed)).toBe(expected);
  });

  it('agrees across tiers at every length, seed and alignment', () => {
    const random = new Random(1);
    const hashes = new Set<number>();
    for (let length = 0; length <= 40; length++) {
      const bytes = Uint8Array.from({ length }, () => random.int(0, 255));
      for (const seed of [0, 1, 0x9e3779b1, 0xffffffff]) hashes.add(hash(bytes, seed, length & 3));
    }
    expect(hashes.size).toBe(41 * 4);
  });
});
