import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Attributes, Index } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const [size, dimensions] = [400, 6];
const data = clustered(size, dimensions, 8);
const ids = Array.from({ length: size }, (_, i) => `id ${i}`);
const options = { dimensions, ...CONFIGS['tree and hashing'], shards: 2, threads: 1 };
const base = temporaryDirectory();
const attributes = Array.from(
  { length: size },
  (_, i): Attributes => ({ group: `g${i % 5}`, number: i, even: i % 2 === 0 }),
);
const query = new Random(2).normals(1, dimensions);

/** The ids that a filter lets through, all of them. */
async function found(index: Index, filter: object): Promise<unknown[]> {
  return (await index.search(query, { k: 1000, exact: true, filter })).ids.sort();
}
const own = (rows: readonly number[]): string[] => rows.map((row) => `id ${row}`).sort();
const multiples = (n: number, of = 0): number[] =>
  Array.from({ length: size }, (_, i) => i).filter((i) => i % n === of);

describe('attributes', () => {
  it('come back with their vectors, as they were given', async () => {
    const given: Attributes[] = [
      {
        text: 'a',
        list: ['b', 'a', 'b'],
        number: -0.5,
        yes: true,
        no: false,
        none: null,
        missing: undefined,
        empty: [],
      },
      {},
      { list: ['a', 'b'], text: 'ä"{}\\ 🎉', ['__proto__']: 'x' },
    ];
    await using index = await Index.build(
      { vectors: data.vectors.subarray(0, 4 * dimensions), attributes: [...given, null] },
      { dimensions },
    );
    const attributesOf = async (id: number) => (await index.get(id))!.attributes;
    expect(await attributesOf(0)).toEqual({ text: 'a', list: ['a', 'b'], number: -0.5, yes: true, no: false });
    expect(await attributesOf(1)).toBeUndefined();
    expect(Object.entries((await attributesOf(2))!).sort()).toEqual([
      ['__proto__', 'x'],
      ['list', ['a', 'b']],
      ['text', 'ä"{}\\ 🎉'],
    ]);
    expect('attributes' in (await index.get(3))!).toBe(false);
  });

  it('may come in chunks, in some of them or late', async () => {
    async function* chunks() {
      for (let i = 0; i < size; i += 100) {
        const vectors = data.vectors.subarray(i * dimensions, (i + 100) * dimensions);
        yield { vectors, ids: ids.slice(i, i + 100), ...(i >= 200 && { attributes: attributes.slice(i, i + 100) }) };
      }
    }
    await using index = await Index.build(chunks(), options);
    expect(await found(index, { allow: { group: ['g1'] } })).toEqual(own(multiples(5, 1).filter((i) => i >= 200)));
  });

  it('are those of the vector that has the id now', async () => {
    await using index = await Index.build({ ...data, ids, attributes }, options);
    const vectors = [rowAt(data, 0), rowAt(data, 1), rowAt(data, 2), rowAt(data, 3)];
    await index.upsert({
      ids: ['id 5', 'id 10', 'new', 'id 15'],
      vectors,
      attributes: [{ group: 'g0', fresh: 'yes' }, null, { number: 5.5, group: ['g0', 'g9'] }, { group: 'g4' }],
    });
    await index.upsert({ ids: ['id 20'], vectors: [rowAt(data, 4)] });
    await index.delete(['id 25']);
    const rest = multiples(5).filter((i) => ![10, 15, 20, 25].includes(i));
    expect(await found(index, { allow: { group: ['g0'] } })).toEqual([...own(rest), 'new'].sort());
    expect(await found(index, { allow: { fresh: ['yes'] } })).toEqual(['id 5']);
    expect(await found(index, { range: { number: { gt: 4, lt: 7 } } })).toEqual(['id 6', 'new']);
    expect((await index.get('id 10'))!.attributes).toBeUndefined();
    expect((await index.get('id 15'))!.attributes).toEqual({ group: 'g4' });
  });

  it('are known to a filter that was used before they came', async () => {
    await using index = await Index.build({ ...data, ids, attributes }, options);
    const filter = { allow: { group: ['late'] } };
    expect(await found(index, filter)).toEqual([]);
    for (let i = 0; i < 100; i++) {
      const group = i % 2 === 0 ? 'late' : ['late', `with ${i}`];
      await index.upsert({ ids: [`id ${i}`], vectors: [rowAt(data, i)], attributes: [{ group }] });
      expect(await found(index, filter)).toHaveLength(i + 1);
    }
  });

  it('take part in saving, opening, logs, crashes and rebalancing', async () => {
    const directory = join(base, 'kept');
    await using built = await Index.build({ ...data, ids, attributes }, options);
    await built.save(directory);
    const groups = { allow: { group: ['g2', 'late'] } };
    let expected = own(multiples(5, 2));
    {
      await using opened = await Index.open(directory, { threads: 1, durability: 'none' });
      expect(await found(opened, groups)).toEqual(expected);
      await opened.upsert({
        ids: ['id 2', 'more'],
        vectors: [query, query],
        attributes: [{}, { group: 'late', number: 1e9 }],
      });
      await opened.delete(['id 7']);
      expected = ['more', ...expected.filter((id) => id !== 'id 2' && id !== 'id 7')].sort();
      expect(await found(opened, groups)).toEqual(expected);
    }
    await using again = await Index.open(directory, { threads: 1, durability: 'none' });
    expect(await found(again, groups)).toEqual(expected);
    expect((await again.get('more'))!.attributes).toEqual({ group: 'late', number: 1e9 });
    await again.rebalance();
    expect(await found(again, groups)).toEqual(expected);
    await again.upsert({ ids: ['last'], vectors: [query], attributes: [{ even: true, group: 'late' }] });
    await again.save(join(base, 'copy'));
    await using copy = await Index.open(join(base, 'copy'), { threads: 1 });
    expect(await found(copy, groups)).toEqual([...expected, 'last'].sort());
    expect(await found(copy, { range: { number: { gte: 1e9 } } })).toEqual(['more']);
    expect((await copy.get('id 12'))!.attributes).toEqual(attributes[12]);
  });

  it('of many values and many vectors are all told apart', async () => {
    const count = 5000;
    const many = new Random(6).normals(count, dimensions);
    const directory = join(base, 'many');
    const own = Array.from({ length: count }, (_, i) => ({ user: `u${i}`, pair: [`p${i % 70}`, `q${i % 90}`] }));
    await using built = await Index.build({ vectors: many, attributes: own }, { ...options, shards: 3 });
    await built.save(directory);
    await using opened = await Index.open(directory, { threads: 2 });
    for (const index of [built, opened]) {
      expect((await index.search(query, { filter: { allow: { user: ['u4321'] } } })).ids).toEqual([4321]);
      const both = { allow: { pair: ['p3'] }, and: [{ allow: { pair: ['q13'] } }] };
      const { ids: pairs } = await index.search(query, { k: 100, filter: both });
      const right = Array.from({ length: count }, (_, i) => i).filter((i) => i % 70 === 3 && i % 90 === 13);
      expect(right.length).toBeGreaterThan(1);
      expect(pairs.sort((a, b) => Number(a) - Number(b))).toEqual(right);
    }
  });
});

describe('bad attributes are refused, and nothing changes', () => {
  const two = data.vectors.subarray(0, 2 * dimensions);
  it.each([
    ['a number that is none', [{}, { x: Number.NaN }], 1],
    ['infinity', [{ x: Number.POSITIVE_INFINITY }, {}], 0],
    ['an object', [{}, { x: {} }], 1],
    ['a list of numbers', [{ x: [1, 2] }, {}], 0],
    ['a bigint', [{ x: 5n }, {}], 0],
    ['a lone surrogate', [{ x: '\ud800' }, {}], 0],
    ['another kind than before', [{ number: 'seven' }, {}], 0],
    ['two kinds in one call', [{ fresh: 1 }, { fresh: true }], 1],
    ['what is no object', [{}, 'text'], 1],
    ['too few', [{}], 1],
    ['too many', [{}, {}, {}], 2],
    ['too many names', [Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`n${i}`, i])), {}], 0],
  ])('%s', async (_, given, row) => {
    const wanted = { code: 'SCANNERY_INVALID_ATTRIBUTE', row };
    await using index = await Index.build({ ...data, ids, attributes }, options);
    const upsert = index.upsert({ ids: ['a', 'b'], vectors: two, attributes: given as Attributes[] });
    expect(await failureOf(upsert)).toMatchObject(wanted);
    expect(index.size).toBe(size);
    const first = { vectors: two, attributes: [{ number: 1 }, {}] };
    const second = { vectors: two, attributes: given as Attributes[] };
    expect(await failureOf(Index.build([first, second], { dimensions }))).toMatchObject({ ...wanted, row: row + 2 });
  });

  it('what is no array', async () => {
    await using index = await Index.build({ ...data, ids, attributes }, options);
    const bad = { ids: ['a', 'b'], vectors: two, attributes: {} as Attributes[] };
    for (const call of [index.upsert(bad), Index.build(bad, { dimensions })]) {
      expect(await failureOf(call)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'attributes' });
    }
  });
});
