import { describe, expect, it } from 'vitest';
import * as L from '../../../src/protocol/shard-layout.ts';
import { COUNTS, descending, keyOf, type LeafSpec, layShard, onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';
import { keptOf, laySearch, layVisits } from '../../support/search-memory.ts';

const STRIDE = 8;

interface Tables {
  lut: Uint8Array;
  inverse: number;
  scale: number;
  offset: number;
  biasMultiplier: number;
}

interface Scene {
  count: number;
  leaves: LeafSpec;
  tables: Tables;
}

interface Part {
  leaf: number;
  base: number;
}

function scene(seed: number, members: number[][], subspaces: number, biased: boolean, segmentBlocks = 1): Scene {
  const random = new Random(seed);
  const count = members.flat().length;
  const leaves: LeafSpec = {
    members,
    segmentBlocks,
    subspaces,
    codes: Uint8Array.from({ length: count * subspaces }, () => random.int(0, 15)),
  };
  if (biased) leaves.biases = Int16Array.from({ length: count }, () => random.int(0, 32767));
  const scale = Math.fround(20 + 50 * random.float());
  const tables: Tables = {
    lut: Uint8Array.from({ length: subspaces * 16 }, () => random.int(0, 31)),
    inverse: Math.fround(1 / scale),
    scale,
    offset: Math.fround(random.normal()),
    biasMultiplier: biased ? random.int(100, 32000) : 0,
  };
  return { count, leaves, tables };
}

/** Locals 0, 1, 2 ... dealt to leaves of these sizes, shuffled. */
function deal(seed: number, ...sizes: number[]): number[][] {
  const total = sizes.reduce((a, b) => a + b, 0);
  const locals = new Random(seed).shuffle(Array.from({ length: total }, (_, i) => i));
  return sizes.map((size) => locals.splice(0, size));
}

interface Asked {
  tables: Tables;
  limit: number;
  floor?: bigint;
}

/** Scans for several queries, each call visiting leaves for any of them; what each query has then. */
function scanFor({ count, leaves }: Scene, asked: Asked[], calls: (Part & { query: number })[][]) {
  return onEveryTier((kernels, arena) => {
    const rows = new Float32Array(0);
    const codec = L.CODEC_NONE;
    const shard = layShard(kernels, arena, { rows, count, stride: STRIDE, codec, metric: 0, chunkShift: 5, leaves });
    const { limit } = asked[0]!;
    const searches = asked.map(({ tables, floor }) => {
      const search = laySearch(arena, limit, floor, L.TABLES_HEADER_BYTES + STRIDE * 4 + tables.lut.length);
      const at = search.tables;
      arena.f32(at + L.TABLES_INVERSE_SCALE, 1)[0] = tables.inverse;
      arena.f32(at + L.TABLES_SCALE, 1)[0] = tables.scale;
      arena.f32(at + L.TABLES_OFFSET, 1)[0] = tables.offset;
      arena.u32(at + L.TABLES_BIAS_MULTIPLIER, 1)[0] = tables.biasMultiplier;
      arena.u8(at + L.TABLES_HEADER_BYTES + STRIDE * 4, tables.lut.length).set(tables.lut);
      return search;
    });
    for (const parts of calls) {
      const visits = parts.map(({ leaf, base, query }) => ({ leaf, base, state: searches[query]!.state }));
      const { tablesAt, keysAt } = searches[0]!;
      kernels.scanLeaves(shard, layVisits(arena, visits), visits.length, limit, tablesAt, keysAt);
    }
    return searches.map((search) => ({
      kept: keptOf(kernels, arena, search, limit),
      floor: arena.u64(search.state + L.STATE_FLOOR, 1)[0]!,
      codes: arena.u32(search.state + L.STATE_CODES, 1)[0]!,
    }));
  });
}

function scan(s: Scene, calls: Part[][], limit: number, floor = 0n) {
  const visits = calls.map((parts) => parts.map((part) => ({ ...part, query: 0 })));
  return scanFor(s, [{ tables: s.tables, limit, floor }], visits)[0]!;
}

/** The keys of all lanes of the parts, best first, by a plain sum over the LUT. */
function every({ leaves, tables }: Scene, parts: Part[]): bigint[] {
  const { subspaces, codes, biases } = leaves;
  const keys = parts.flatMap(({ leaf, base }) =>
    leaves.members[leaf]!.map((local) => {
      let units = 0;
      for (let m = 0; m < subspaces; m++) units += tables.lut[m * 16 + codes[local * subspaces + m]!]!;
      if (biases) units -= Math.floor((biases[local]! * tables.biasMultiplier + 2 ** 14) / 2 ** 15);
      const start = Math.fround(Math.fround(base) + tables.offset);
      return keyOf(Math.fround(start + Math.fround(units * tables.inverse)), local);
    }),
  );
  return descending(keys);
}

const SUBSPACES = [2, 4, 6, 8, 16, 50];
const SHAPES = SUBSPACES.flatMap((subspaces) => [false, true].map((biased) => ({ subspaces, biased })));

describe.each(SHAPES)('scanLeaves of $subspaces subspaces (bias: $biased)', ({ subspaces, biased }) => {
  it.each([0, ...COUNTS])('keeps the best of a leaf of %i', (count) => {
    const s = scene(count, deal(count, count, 5), subspaces, biased);
    const parts = [{ leaf: 0, base: 0.75 }];
    const all = every(s, parts);
    for (const limit of [1, 7, count + 1, count + 40]) {
      const { kept, codes, floor } = scan(s, [parts], limit);
      expect(descending(kept)).toEqual(all.slice(0, limit));
      expect(codes).toBe(count);
      expect(floor).toBe(count >= limit ? all[limit - 1] : 0n);
    }
  });

  it('passes over several leaves and segments with a floor that rises', () => {
    const members = deal(subspaces, 700, 0, 33, 200, 64);
    for (const segmentBlocks of [1, 2, 5]) {
      const s = scene(segmentBlocks, members, subspaces, biased, segmentBlocks);
      const parts = [3, 0, 4, 1, 2].map((leaf, i) => ({ leaf, base: [2.5, 1.25, -3, 0, -0.5][i]! }));
      const all = every(s, parts);
      for (const limit of [1, 7, 64, 500, 2000]) {
        const { kept, codes } = scan(s, [parts], limit);
        expect(descending(kept)).toEqual(all.slice(0, limit));
        expect(codes).toBe(997);
        // In several calls, with what is held carried from one to the next.
        expect(descending(scan(s, [parts.slice(0, 2), parts.slice(2)], limit).kept)).toEqual(all.slice(0, limit));
      }
    }
  });

  it('drops what does not exceed a carried floor', () => {
    const s = scene(9, deal(9, 97, 50), subspaces, biased, 2);
    const parts = [
      { leaf: 1, base: -1 },
      { leaf: 0, base: 1 },
    ];
    const all = every(s, parts);
    for (const at of [0, 1, 10, 60, 146]) {
      for (const limit of [1, 7, 200]) {
        const { kept, floor } = scan(s, [parts], limit, all[at]);
        expect(descending(kept)).toEqual(all.slice(0, Math.min(at, limit)));
        expect(floor).toBe(at >= limit ? all[limit - 1] : all[at]);
      }
    }
  });

  it('loses nothing to the integer threshold when base scores dwarf the LUT', () => {
    const s = scene(10, deal(10, 300, 300, 90), subspaces, biased, 4);
    for (const [base, step] of [
      [1e5, 0.01],
      [-1e5, 0.01],
      [3e7, 1],
      [0, 1e4],
      [0, -1e4],
    ] as const) {
      const parts = [
        { leaf: 0, base },
        { leaf: 1, base: base + step },
        { leaf: 2, base },
      ];
      for (const limit of [1, 7, 100]) {
        expect(descending(scan(s, [parts], limit).kept)).toEqual(every(s, parts).slice(0, limit));
      }
    }
  });

  it('scans for several queries, leaf by leaf, as for each by itself', () => {
    const sizes = [97, 0, 300, 33];
    const scenes = [1, 2, 3].map((seed) => scene(seed, deal(13, ...sizes), subspaces, biased, 2));
    // The same codes for all, with tables of their own.
    const [s] = scenes;
    const bases = scenes.map((_, query) => sizes.map((__, leaf) => new Random(10 * query + leaf).normal()));
    const wanted = [
      [0, 1, 2, 3],
      [3, 2],
      [2, 0],
    ];
    const visits = sizes.flatMap((_, leaf) =>
      wanted.flatMap((leaves, query) => (leaves.includes(leaf) ? [{ leaf, base: bases[query]![leaf]!, query }] : [])),
    );
    for (const limit of [1, 7, 150, 500]) {
      const floors = [0n, 0n, every({ ...s!, tables: scenes[2]!.tables }, [{ leaf: 2, base: bases[2]![2]! }])[40]!];
      const asked = scenes.map(({ tables }, query) => ({ tables, limit, floor: floors[query]! }));
      for (const calls of [[visits], [visits.slice(0, 4), visits.slice(4)]]) {
        for (const [query, { kept, codes }] of scanFor(s!, asked, calls).entries()) {
          const parts = wanted[query]!.map((leaf) => ({ leaf, base: bases[query]![leaf]! }));
          const all = every({ ...s!, tables: scenes[query]!.tables }, parts).filter((key) => key > floors[query]!);
          expect(descending(kept)).toEqual(all.slice(0, limit));
          expect(codes).toBe(parts.reduce((sum, { leaf }) => sum + sizes[leaf]!, 0));
        }
      }
    }
  });

  it('takes ties by the lower local', () => {
    const s = scene(11, deal(11, 97), subspaces, false);
    s.tables.lut.fill(7);
    const { kept } = scan(s, [[{ leaf: 0, base: 0 }]], 7);
    expect(descending(kept)).toEqual(every(s, [{ leaf: 0, base: 0 }]).slice(0, 7));
  });
});

it('adds up the largest entries of many subspaces without wrapping', () => {
  const s = scene(12, deal(12, 40), 1024, true);
  s.tables.lut.fill(31);
  s.tables.biasMultiplier = 32000;
  s.leaves.biases![3] = 32767;
  s.leaves.biases![4] = 0;
  const parts = [{ leaf: 0, base: 0 }];
  expect(descending(scan(s, [parts], 40).kept)).toEqual(every(s, parts));
});

describe.each([
  { subspaces: 4, biased: false },
  { subspaces: 50, biased: true },
])('the floor that rises while $subspaces subspaces are scanned (bias: $biased)', ({ subspaces, biased }) => {
  const SIZES = [900, 31, 640, 1, 700, 228];
  const COUNT = SIZES.reduce((a, b) => a + b, 0);
  const LIMITS = [1, 2, 33, 100, 400, COUNT - 1, COUNT, COUNT + 1];
  const s = scene(13, deal(13, ...SIZES), subspaces, biased, 8);
  const flat = { ...s, tables: { ...s.tables, lut: new Uint8Array(s.tables.lut.length).fill(7), biasMultiplier: 0 } };
  const two = { ...flat, tables: { ...flat.tables, lut: flat.tables.lut.map((_, i) => (i < 4 ? 31 : 7)) } };

  function expectBest(of: Scene, bases: number[], limits = LIMITS, floors = [COUNT]): void {
    const parts = bases.map((base, leaf) => ({ leaf, base }));
    const all = every(of, parts);
    for (const limit of limits) {
      for (const at of floors) {
        const { kept, floor } = scan(of, [parts], limit, all[at]);
        expect(descending(kept)).toEqual(all.slice(0, Math.min(at, limit)));
        expect(floor).toBe(at >= limit ? all[limit - 1] : (all[at] ?? 0n));
      }
    }
  }

  it.each([
    ['alike', [0, 0, 0, 0, 0, 0]],
    ['best first', [5, 4, 3, 2, 1, 0]],
    ['worst first', [-5, -4, -3, -2, -1, 0]],
    ['each far above those before', [1, 10, 100, 1e3, 1e4, 1e5]],
    ['each far below those before', [-1, -10, -100, -1e3, -1e4, -1e5]],
    ['hardly distinct beside their size', [1e7, 1e7 + 1, 1e7, 1e7 + 2, 1e7 - 1, 1e7 + 1]],
    ['large and negative', [-1e7, -1e7 + 1, -1e7, -1e7 + 2, -1e7 - 1, -1e7]],
    ['from one end of the numbers to the other', [-3e38, 0, 3e38, 1e30, -1e30, 1]],
    ['one outlier first', [1e30, 0, 0, 0, 0, 0].reverse()],
  ])('loses nothing when leaves are %s', (_, bases) => {
    expectBest(s, bases);
  });

  it('loses nothing to a floor handed in', () => {
    expectBest(s, [2, 1, 0, 0, -1, 3], [1, 33, 400, COUNT], [0, 1, 32, 150, 1000, COUNT - 1]);
  });

  it('loses nothing when scores have few values, or one', () => {
    for (const of of [flat, two]) {
      expectBest(of, [0, 0, 0, 0, 0, 0]);
      expectBest(of, [0, 1, 0, 1, 0, 1], [1, 33, 400], [1, 150, COUNT]);
    }
  });

  it.each([1e-30, 1e34])('loses nothing when a unit is %f', (unit) => {
    const inverse = Math.fround(unit);
    const of = { ...s, tables: { ...s.tables, inverse, scale: Math.fround(1 / inverse), offset: 0 } };
    expectBest(of, [0, unit, -unit, 30 * unit, 0, 100 * unit]);
  });

  it('keeps the same whatever was held before', () => {
    const parts = SIZES.map((_, leaf) => ({ leaf, base: leaf % 3 }));
    const all = every(s, parts);
    for (const limit of [1, 33, 400]) {
      const calls = parts.map((part) => [part]);
      expect(descending(scan(s, calls, limit).kept)).toEqual(all.slice(0, limit));
    }
  });
});
