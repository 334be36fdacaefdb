import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildOptions, type Id, Index, METRICS, type Metric } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import {
  bits,
  CONFIG_NAMES,
  CONFIGS,
  type ConfigName,
  clustered,
  everything,
  naiveRanking,
  naiveScore,
  rowAt,
} from '../support/vectors.ts';

const data = clustered(300, 7);
const { count, dimensions, vectors } = data;
const queries = new Random(5).normals(12, dimensions);
const query = (i: number): Float32Array => rowAt({ dimensions, vectors: queries }, i);
const directory = temporaryDirectory();

/** The ways to name vectors; `undefined` stands for row numbers. */
const IDS: Record<string, (row: number) => Id | undefined> = {
  strings: (row) => `vector ${row} \u{1f50d}é`,
  integers: (row) => (row % 2 === 0 ? -row : row * 2 ** 40),
  bigints: (row) => BigInt(row) * (row % 2 === 0 ? 2n ** 55n : -(2n ** 54n)),
  // 1, '1' and 1n are three different ids.
  mixed: (row) => [Math.floor(row / 3), String(Math.floor(row / 3)), BigInt(Math.floor(row / 3))][row % 3],
  omitted: () => undefined,
};

interface Case {
  readonly name: ConfigName;
  readonly metric: Metric;
  readonly shards: number;
  readonly idKind: string;
}

const CASES: Case[] = CONFIG_NAMES.flatMap((name) =>
  METRICS.flatMap((metric) => [1, 3].map((shards) => ({ name, metric, shards }))),
).map((rest, i) => ({ ...rest, idKind: Object.keys(IDS)[i % 5]! }));

describe.each(CASES)('$name, $metric, $shards shards, $idKind ids', ({ name, metric, shards, idKind }) => {
  const given = Array.from({ length: count }, (_, row) => IDS[idKind]!(row));
  const ids = given.map((id, row) => id ?? row);
  const rowOf = new Map(ids.map((id, row) => [id, row]));
  const indexes = new Map<string, Index>();
  const index = (how: string): Index => indexes.get(how)!;

  beforeAll(async () => {
    const options: BuildOptions = { ...CONFIGS[name], metric, shards, threads: 1, dimensions };
    const named = idKind === 'omitted' ? { vectors } : { vectors, ids: given as Id[] };
    indexes.set('built', await Index.build(named, options));
    const path = join(directory, `${name} ${metric} ${shards}`);
    await index('built').save(path);
    indexes.set('opened', await Index.open(path, { threads: 1 }));
  });
  afterAll(() => Promise.all(Array.from(indexes.values(), (each) => each.close())));

  describe.each(['built', 'opened'])('%s', (how) => {
    it('describes itself', () => {
      const { size, metric: own, dimensions: width } = index(how);
      expect([size, own, width]).toEqual([count, metric, dimensions]);
      const stats = index(how).stats();
      expect(stats.shards).toHaveLength(shards);
      expect(stats.shards.reduce((sum, shard) => sum + shard.size, 0)).toBe(count);
    });

    it('gives every id back as it went in, and all n when k is larger', async () => {
      const found = await index(how).search(query(0), { k: count + 50, ...everything(count) });
      expect(found.ids).toHaveLength(count);
      expect(found.scores).toHaveLength(count);
      expect(new Set(found.ids)).toEqual(new Set(ids));
    });

    it('answers best first, with true scores, and orders ties by insertion', async () => {
      for (let i = 0; i < 12; i++) {
        const { ids: found, scores } = await index(how).search(query(i), { k: 60, numLeavesToSearch: 4 });
        expect(found.length).toBeGreaterThan(0);
        for (let r = 0; r < found.length; r++) {
          const row = rowOf.get(found[r]!)!;
          expect(Math.abs(scores[r]! - naiveScore(metric, rowAt(data, row), query(i)))).toBeLessThan(1e-4);
          if (r === 0) continue;
          const gap = (scores[r - 1]! - scores[r]!) * (metric === 'squared_l2' ? -1 : 1);
          expect(gap).toBeGreaterThanOrEqual(0);
          if (gap === 0) expect(rowOf.get(found[r - 1]!)).toBeLessThan(row);
        }
      }
    });

    it('finds the nearest of all when it looks everywhere, exactly as an exact search does', async () => {
      const approximate = await index(how).searchBatch(queries, { k: 20, ...everything(count) });
      const exact = await index(how).searchBatch(queries, { k: 20, exact: true });
      expect(approximate.map(bits)).toEqual(exact.map(bits));
      exact.forEach(({ ids: found }, i) => {
        const best = new Set(naiveRanking(metric, data, query(i)).slice(0, 20));
        expect(found.filter((id) => best.has(rowOf.get(id)!)).length).toBeGreaterThanOrEqual(19);
        expect(found).toHaveLength(20);
      });
    });

    it('gives duplicates the same score, one after the other', async () => {
      const { ids: found, scores } = await index(how).search(query(1), { k: count, exact: true });
      const position = new Map(found.map((id, i) => [rowOf.get(id)!, i]));
      let pairs = 0;
      for (let row = 9; row < count; row += 10) {
        const earlier = ids.findIndex((_, r) => Buffer.from(rowAt(data, r)).equals(Buffer.from(rowAt(data, row))));
        if (rowAt(data, earlier).some((value, j) => value !== rowAt(data, row)[j])) continue;
        expect(scores[position.get(row)!]).toBe(scores[position.get(earlier)!]);
        expect(position.get(row)!).toBeGreaterThan(position.get(earlier)!);
        pairs++;
      }
      expect(pairs).toBeGreaterThan(0);
    });

    it('takes a batch in every form, and answers each query as if asked alone', async () => {
      const alone = [];
      for (let i = 0; i < 12; i++) alone.push(bits(await index(how).search(query(i), { k: 7 })));
      const rows = Array.from({ length: 12 }, (_, i) => Array.from(query(i)));
      const forms = [queries, Float64Array.from(queries), rows, rows.map((row) => Float64Array.from(row))];
      for (const form of forms) expect((await index(how).searchBatch(form, { k: 7 })).map(bits)).toEqual(alone);
      expect(bits(await index(how).search(rows[0]!, { k: 7 }))).toEqual(alone[0]);
      expect(await index(how).searchBatch([])).toEqual([]);
    });

    it('leaves the query as it was', async () => {
      const own = Float32Array.from(query(2));
      await index(how).search(own);
      expect(own).toEqual(query(2));
    });
  });

  it('answers the same after it was opened as before', async () => {
    const [built, opened] = await Promise.all(['built', 'opened'].map((how) => index(how).searchBatch(queries)));
    expect(opened!.map(bits)).toEqual(built!.map(bits));
  });
});
