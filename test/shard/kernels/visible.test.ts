import { describe, expect, it } from 'vitest';
import * as L from '../../../src/protocol/shard-layout.ts';
import { descending, idOf, type LeafSpec, layShard, onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';
import { keptOf, layDeaths, layFilter, laySearch, layVisits } from '../../support/search-memory.ts';

const random = new Random(21);
const [COUNT, STRIDE, SUBSPACES, SHIFT] = [300, 8, 4, 5];
const rows = random.integers(COUNT, STRIDE, STRIDE, 3);
const query = random.integers(1, STRIDE);
const lut = Uint8Array.from({ length: SUBSPACES * 16 }, () => random.int(0, 31));
const locals = random.shuffle(Array.from({ length: COUNT }, (_, i) => i));
const leaves: LeafSpec = {
  members: [locals.slice(0, 200), locals.slice(200)],
  ...{ segmentBlocks: 2, subspaces: SUBSPACES },
  codes: Uint8Array.from({ length: COUNT * SUBSPACES }, () => random.int(0, 15)),
};
/** Deaths at epochs 1 to 4, and at the last there is; one chunk of vectors has none. */
const deaths = Uint32Array.from({ length: COUNT }, (_, local) => {
  if (local >> SHIFT === 3 || random.float() < 0.4) return 0;
  return random.float() < 0.1 ? 0xffffffff : random.int(1, 4);
});
const EPOCHS = [0, 1, 2, 3, 4, 0xfffffffe, 0xffffffff];
const livesAt = (epoch: number | null, local: number): boolean =>
  epoch === null || deaths[local] === 0 || deaths[local]! > epoch;
const FILTERS: Record<string, (local: number) => boolean> = {
  'that lets nothing through': () => false,
  'that lets one through': (local) => local === 255,
  'that lets few through': (local) => local % 37 === 5,
  'that lets half through': (local) => (local * 7) % 13 < 6,
  'that lets all through': () => true,
};

/** What a scan keeps, on every tier, with a filter or `null`; at epoch `null` nothing has ever died. */
function kept(
  scan: 'vectors' | 'leaf vectors' | 'codes',
  passes: ((local: number) => boolean) | null,
  epoch: number | null,
  limit: number,
  part: [first: number, count: number] = [0, COUNT],
): bigint[] {
  return onEveryTier((kernels, arena) => {
    const shape = { count: COUNT, stride: STRIDE, codec: L.CODEC_FLOAT32, metric: L.METRIC_DOT, chunkShift: SHIFT };
    const shard = layShard(kernels, arena, { rows, ...shape, leaves });
    const search = laySearch(arena, limit, 0n, L.TABLES_HEADER_BYTES + STRIDE * 4 + lut.length);
    arena.f32(search.tables + L.TABLES_INVERSE_SCALE, 1)[0] = 0.125;
    arena.f32(search.tables + L.TABLES_SCALE, 1)[0] = 8;
    arena.f32(search.tables + L.TABLES_HEADER_BYTES, STRIDE).set(query);
    arena.u8(search.tables + L.TABLES_HEADER_BYTES + STRIDE * 4, lut.length).set(lut);
    if (passes !== null) layFilter(arena, search, COUNT, passes);
    if (epoch !== null) layDeaths(arena, search, deaths, SHIFT, epoch);
    const { state, tables, keys, tablesAt, keysAt } = search;
    if (scan === 'vectors') {
      const held = kernels.scanVectors(shard, tables + L.TABLES_HEADER_BYTES, ...part, limit, keys, 0, state);
      return [...arena.u64(keys, held)];
    }
    const visits = layVisits(
      arena,
      [0, 1].map((leaf) => ({ leaf, base: 0.5, state })),
    );
    if (scan === 'codes') kernels.scanLeaves(shard, visits, 2, limit, tablesAt, keysAt);
    else kernels.scanLeafVectors(shard, visits, 2, limit, tablesAt, keysAt);
    return keptOf(kernels, arena, search, limit);
  });
}

describe.each(['vectors', 'leaf vectors', 'codes'] as const)('a scan of %s', (scan) => {
  const all = descending(kept(scan, null, null, COUNT));

  it.each(EPOCHS)('keeps the best of what lives at epoch %i', (epoch) => {
    const expected = all.filter((key) => livesAt(epoch, idOf(key)));
    expect(all).toHaveLength(COUNT);
    for (const limit of [1, 3, 20, expected.length, COUNT]) {
      expect(descending(kept(scan, null, epoch, limit))).toEqual(expected.slice(0, limit));
    }
  });

  it.each(Object.keys(FILTERS))('keeps the best of what passes a filter %s, and lives', (name) => {
    const passes = FILTERS[name]!;
    expect(all).toHaveLength(COUNT);
    for (const epoch of [null, 0, 2, 4]) {
      const expected = all.filter((key) => passes(idOf(key)) && livesAt(epoch, idOf(key)));
      for (const limit of [1, 3, 20, COUNT]) {
        expect(descending(kept(scan, passes, epoch, limit))).toEqual(expected.slice(0, limit));
      }
    }
  });
});

it('a scan of some vectors begins and ends where it should, whatever a filter skips', () => {
  const all = descending(kept('vectors', null, null, COUNT));
  for (const passes of Object.values(FILTERS)) {
    for (const [first, count] of [
      [0, 1],
      [5, 0],
      [31, 2],
      [33, 200],
      [255, 1],
      [256, 44],
    ] as const) {
      const expected = all.filter((key) => passes(idOf(key)) && idOf(key) >= first && idOf(key) < first + count);
      expect(descending(kept('vectors', passes, null, COUNT, [first, count]))).toEqual(expected);
    }
  }
});
