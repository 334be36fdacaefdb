import { expect, it } from 'vitest';
import { CODEC_FLOAT32, MAX_CHUNK_SHIFT } from '../../src/protocol/shard-layout.ts';
import { layOutShard } from '../../src/shard/shard-image.ts';
import {
  lanesBytes,
  layLanes,
  rowsLeftInChunk,
  STAGED_ROWS,
  stagedEnd,
  stagedRow,
} from '../../src/shard/staged-rows.ts';
import { planFor } from '../support/shard-plans.ts';

const full = 2 ** MAX_CHUNK_SHIFT;

it.each([4, 8, 100, 1024])('rows of %i numbers are staged where one shard keeps them', (stride) => {
  for (const count of [full + 1, 2 * full, 3 * full - 1]) {
    const image = layOutShard(planFor([count], 1, { stride, codec: CODEC_FLOAT32 }), 0);
    for (let i = 0; i < count; i += i % full === 0 ? 1 : full / 2 - 1) {
      const chunk = image.chunks[Math.floor(i / full)]!;
      expect(stagedRow(STAGED_ROWS, stride, i)).toBe(chunk + image.vectorsAt + (i % full) * image.rowBytes);
    }
    const end = stagedEnd(STAGED_ROWS, stride, count);
    expect(image.chunkTable).toBeGreaterThanOrEqual(end);
    expect(image.chunkTable - end).toBeLessThan(64);
  }
});

it('finds rows beyond 4 GiB of pointers and 2^31 rows, and the end of none', () => {
  expect(stagedRow(100, 4, 2 ** 31 + 3)).toBe(100 + 2 ** 17 * 65536 + (2 ** 31 + 3) * 16);
  expect(stagedEnd(100, 8, 0)).toBe(100);
  expect(stagedEnd(100, 8, 1)).toBe(132);
});

it('counts the rows left in a chunk', () => {
  expect([0, 1, full - 1, full, 3 * full + 5].map(rowsLeftInChunk)).toEqual([full, full - 1, 1, full, full - 5]);
});

it('lays leaves, biases and codes of some rows one behind the other, aligned', () => {
  for (const [count, codeBytes] of [
    [1, 1],
    [64, 25],
    [1024, 0],
  ] as const) {
    const { leaves, codeBiases, codes } = layLanes(6400, count);
    expect([leaves, codeBiases % 64, codes % 64]).toEqual([6400, 0, 0]);
    expect(codeBiases).toBeGreaterThanOrEqual(leaves + count * 4);
    expect(codes).toBeGreaterThanOrEqual(codeBiases + count * 4);
    expect(6400 + lanesBytes(count, codeBytes)).toBeGreaterThanOrEqual(codes + count * codeBytes);
  }
});
