import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matches } from '../../scripts/soak/matching.ts';
import { type Attributes, type BuildOptions, type Filter, Index, type SearchOptions } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered, naiveScore, rowAt } from '../support/vectors.ts';

const RUNS = Number(process.env.SCANNERY_PROPERTY_RUNS ?? 40);
const [size, dimensions, k] = [900, 6, 10];
const data = clustered(size, dimensions, 5);
const { tree, hashing } = CONFIGS['tree and hashing'];
const BUILDS: Record<string, BuildOptions> = {
  exact: CONFIGS.exact,
  'tree only': CONFIGS['tree only'],
  'tree and hashing': { tree, hashing },
  spilled: { tree: { ...tree, soarLambda: 1 }, hashing },
  'codes only': { tree, hashing, reordering: false },
};
const random = new Random(3);
const COLORS = ['red', 'green', 'blue', 'violet'];
const attributes = Array.from({ length: size }, (_, i): Attributes | null => {
  if (i % 17 === 0) return null;
  const some = random.shuffle([...COLORS]).slice(0, random.int(0, 2));
  return {
    color: random.float() < 0.5 ? random.pick(COLORS) : some,
    price: random.float() < 0.1 ? undefined : Math.round(random.float() * 100) / 4,
    sold: random.float() < 0.3,
    rare: i % 300 === 7 ? 'yes' : null,
  };
});
const nameOf = (row: number): string => `id ${row}`;
const ids = Array.from({ length: size }, (_, i) => nameOf(i));

const price = fc.integer({ min: -4, max: 104 }).map((n) => n / 4);
const values = fc.record(
  {
    color: fc.subarray([...COLORS, 'none']),
    sold: fc.subarray([true, false]),
    price: fc.array(price, { maxLength: 3 }),
  },
  { requiredKeys: [] },
);
const range = fc.record({ gt: price, gte: price, lt: price, lte: price }, { requiredKeys: [] });
const clauses = { allow: values, deny: values, range: fc.record({ price: range }, { requiredKeys: [] }) };
const filterOf = (depth: number): fc.Arbitrary<Filter> => {
  if (depth === 0) return fc.record(clauses, { requiredKeys: [] }) as fc.Arbitrary<Filter>;
  const inner = filterOf(depth - 1);
  const some = fc.array(inner, { maxLength: 2 });
  const nested = { ...clauses, and: some, or: some, not: inner };
  // Most filters have few parts, or hardly anything would match.
  return fc.oneof(
    inner,
    fc.record({ or: some, range: clauses.range }, { requiredKeys: [] }),
    fc.record({ not: inner, deny: values }, { requiredKeys: [] }),
    fc.record(nested, { requiredKeys: [] }),
  ) as fc.Arbitrary<Filter>;
};

let query: Float32Array;
const rank = (metric: 'dot_product', rows: readonly number[]): number[] =>
  rows
    .map((row) => ({ row, score: naiveScore(metric, rowAt(data, row), query) }))
    .sort((a, b) => b.score - a.score)
    .map(({ row }) => row);
const all = Array.from({ length: size }, (_, i) => i);

describe.each(Object.keys(BUILDS))('an index with %s', (name) => {
  let index: Index;
  beforeAll(async () => {
    query = new Random(9).normals(1, dimensions);
    index = await Index.build({ ...data, ids, attributes }, { ...BUILDS[name], dimensions, threads: 2, shards: 3 });
  });
  afterAll(() => index.close());

  /** Checks an answer against what matches; returns the rows found. */
  async function check(options: SearchOptions, passes: (row: number) => boolean): Promise<number[]> {
    const expected = rank('dot_product', all.filter(passes));
    const { ids: found } = await index.search(query, { k, ...options });
    const rows = found.map((id) => ids.indexOf(id as string));
    expect(rows.filter((row) => !passes(row))).toEqual([]);
    expect(rows).toHaveLength(Math.min(k, expected.length));
    expect(new Set(rows).size).toBe(rows.length);
    if (name !== 'codes only') {
      const exact = await index.search(query, { k, ...options, exact: true });
      expect(exact.ids).toEqual(expected.slice(0, k).map(nameOf));
    }
    return rows;
  }

  it('finds k that match whenever there are k, whatever the filter', async () => {
    let some = 0;
    await fc.assert(
      fc.asyncProperty(filterOf(2), fc.constantFrom(1, 4, 20), async (filter, numLeavesToSearch) => {
        const count = all.filter((row) => matches(attributes[row] ?? {}, filter)).length;
        if (count > 0 && count < size) some++;
        await check({ filter, numLeavesToSearch }, (row) => matches(attributes[row] ?? {}, filter));
      }),
      { numRuns: RUNS, seed: 11, endOnFailure: true },
    );
    expect(some).toBeGreaterThan(RUNS / 3);
  });

  it('finds what few vectors have, and nothing where none has it', async () => {
    const filters: Filter[] = [
      { allow: { rare: ['yes'] } },
      { allow: { rare: ['no'] } },
      { allow: { unknown: ['x'] } },
      {},
    ];
    for (const filter of filters) {
      await check({ filter }, (row) => matches(attributes[row] ?? {}, filter));
    }
  });

  it('takes bounds that nothing reaches, and tells them apart', async () => {
    const bounds = [Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY];
    for (const bound of [...bounds, ...bounds]) {
      for (const name of ['gt', 'gte', 'lt', 'lte'] as const) {
        const filter = { range: { price: { [name]: bound } } };
        await check({ filter }, (row) => matches(attributes[row] ?? {}, filter));
      }
    }
  });

  it('takes lists of ids, with filters and without', async () => {
    const best = rank('dot_product', all).slice(0, 30).map(nameOf);
    const allowed = ids.filter((_, row) => row % 7 === 3);
    const filter = { deny: { color: ['red'] } };
    const isMatch = (row: number): boolean => matches(attributes[row] ?? {}, filter);
    await check({ excludeIds: [...best, 'nobody', best[0]!] }, (row) => !best.includes(nameOf(row)));
    await check({ allowIds: [...allowed, 'nobody'] }, (row) => row % 7 === 3);
    await check({ allowIds: [] }, () => false);
    await check({ excludeIds: [] }, () => true);
    await check({ allowIds: allowed, excludeIds: best, filter }, (row) => {
      return row % 7 === 3 && !best.includes(nameOf(row)) && isMatch(row);
    });
  });

  it('lets no more than so many results share a value', async () => {
    for (const [attribute, max] of [
      ['color', 1],
      ['color', 2],
      ['sold', 3],
      ['unknown', 1],
    ] as const) {
      for (const filter of [undefined, { range: { price: { gte: 5 } } }]) {
        const counts = new Map<string, number>();
        const expected = rank('dot_product', all).filter((row) => {
          if (filter !== undefined && !matches(attributes[row] ?? {}, filter)) return false;
          const value = attributes[row]?.[attribute] ?? [];
          const key = JSON.stringify(Array.isArray(value) ? [...value].sort() : value);
          counts.set(key, (counts.get(key) ?? 0) + 1);
          return key === '[]' || counts.get(key)! <= max;
        });
        const options = { k: 25, filter, crowding: { attribute, max } };
        const { ids: found, scores } = await index.search(query, options);
        expect(found).toHaveLength(Math.min(25, expected.length));
        expect(scores).toHaveLength(found.length);
        if (name === 'codes only') continue;
        const exact = await index.search(query, { ...options, exact: true });
        expect(exact.ids).toEqual(expected.slice(0, 25).map(nameOf));
        expect(await index.searchBatch([query, query], { ...options, exact: true })).toEqual([exact, exact]);
      }
    }
  });

  it('says how a filter was applied', async () => {
    const filter = { allow: { color: ['red'] } };
    const told = await index.explain(query, { k, filter, numLeavesToSearch: 2 });
    const count = all.filter((row) => matches(attributes[row] ?? {}, filter)).length;
    expect(told.filter!.estimatedMatches).toBeGreaterThan(count / 2);
    expect(told.filter!.estimatedMatches).toBeLessThan(count * 2);
    expect(told.filter!.strategy).toBe(name === 'exact' ? 'matches only' : 'masked scan');
    const few = await index.explain(query, { k, allowIds: ids.slice(0, 3) });
    expect(few.filter).toEqual({
      strategy: name === 'codes only' ? few.filter!.strategy : 'matches only',
      estimatedMatches: 3,
    });
    expect((await index.explain(query, { k })).filter).toBeUndefined();
  });

  it('answers batches as it answers single queries, and many filters at once', async () => {
    const queries = new Random(4).normals(40, dimensions);
    const each = Array.from({ length: 40 }, (_, i) => queries.subarray(i * dimensions, (i + 1) * dimensions));
    const filter = { range: { price: { gte: 10, lt: 20 } }, deny: { sold: [true] } };
    const batch = await index.searchBatch(queries, { k, filter });
    expect(await Promise.all(each.map((one) => index.search(one, { k, filter })))).toEqual(batch);
    const found = await Promise.all(
      each.map((one, i) => index.search(one, { k, filter: { range: { price: { gte: i / 2, lt: i / 2 + 5 } } } })),
    );
    for (const [i, { ids: some }] of found.entries()) {
      const inRange = (row: number): boolean =>
        matches(attributes[row] ?? {}, { range: { price: { gte: i / 2, lt: i / 2 + 5 } } });
      expect(some).toHaveLength(Math.min(k, all.filter(inRange).length));
      expect(some.every((id) => inRange(ids.indexOf(id as string)))).toBe(true);
    }
  });
});

describe('bad filters are refused', () => {
  let index: Index;
  beforeAll(async () => {
    index = await Index.build({ ...data, ids, attributes }, { dimensions, threads: 1, ...CONFIGS.exact });
  });
  afterAll(() => index.close());

  it.each([
    [{ filter: 5 }, 'filter'],
    [{ filter: { allows: {} } }, 'filter'],
    [{ filter: { allow: ['color'] } }, 'filter.allow'],
    [{ filter: { allow: { color: 'red' } } }, 'filter.allow.color'],
    [{ filter: { allow: { color: [null] } } }, 'filter.allow.color[0]'],
    [{ filter: { allow: { price: [1, Number.NaN] } } }, 'filter.allow.price[1]'],
    [{ filter: { allow: { color: ['red', 5] } } }, 'filter.allow.color[1]'],
    [{ filter: { deny: { sold: ['yes'] } } }, 'filter.deny.sold[0]'],
    [{ filter: { range: { price: 5 } } }, 'filter.range.price'],
    [{ filter: { range: { price: { from: 5 } } } }, 'filter.range.price'],
    [{ filter: { range: { price: { gte: 'a' } } } }, 'filter.range.price.gte'],
    [{ filter: { range: { price: { lt: Number.NaN } } } }, 'filter.range.price.lt'],
    [{ filter: { or: { allow: {} } } }, 'filter.or'],
    [{ filter: { or: [{}, { not: { range: { color: { gt: 1 } } } }] } }, 'filter.or[1].not.range.color'],
    [{ filter: { and: [5] } }, 'filter.and[0]'],
    [{ crowding: { attribute: 'price', max: 1 } }, 'crowding.attribute'],
    [{ crowding: { attribute: 5, max: 1 } }, 'crowding.attribute'],
    [{ crowding: { attribute: 'color', max: 0 } }, 'crowding.max'],
    [{ allowIds: 'abc' }, 'allowIds'],
    [{ excludeIds: 5 }, 'excludeIds'],
  ])('%j', async (options, option) => {
    const error = await failureOf(index.search(query, options as SearchOptions));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
  });

  it('ids that are none, with their places', async () => {
    for (const options of [{ allowIds: ['a', 1.5] }, { excludeIds: ['a', null as unknown as string] }]) {
      expect(await failureOf(index.search(query, options))).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: 1 });
    }
  });

  it('filters that are too deep or too large', async () => {
    let deep: Filter = {};
    for (let i = 0; i < 40; i++) deep = { not: deep };
    const large = { or: Array.from({ length: 20_000 }, () => ({})) };
    for (const filter of [deep, large]) {
      expect(await failureOf(index.search(query, { filter }))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION' });
    }
  });

  it('and an aborted or a closed search ends as any other', async () => {
    const other = await Index.build({ ...data, attributes }, { dimensions, threads: 1 });
    const filter = { allow: { color: ['red'] } };
    const signal = AbortSignal.abort('no');
    expect((await failureOf(other.search(query, { filter, signal }))).code).toBe('SCANNERY_ABORTED');
    const controller = new AbortController();
    const going = failureOf(other.search(query, { excludeIds: [1, 2], signal: controller.signal }));
    controller.abort();
    expect((await going).code).toBe('SCANNERY_ABORTED');
    const last = other.search(query, { filter, crowding: { attribute: 'color', max: 1 } });
    await other.close();
    expect((await last).ids.length).toBeGreaterThan(0);
    expect((await failureOf(other.search(query, { filter }))).code).toBe('SCANNERY_CLOSED');
  });
});
