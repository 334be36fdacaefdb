import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildOptions, type Id, Index } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';
import { streamOf } from '../support/vectors.ts';

const dimensions = 5;
const count = 60;
const good = new Random(1).normals(count, dimensions);
const BAD_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e18, -1e18];
const NOT_NUMBERS = ['1', null, undefined, 1n, {}];

function withBad(value: number, row: number): number[] {
  const numbers = Array.from(good);
  numbers[row * dimensions + 3] = value;
  return numbers;
}

const rowsOf = (numbers: readonly unknown[]): number[][] =>
  Array.from({ length: count }, (_, i) => numbers.slice(i * dimensions, (i + 1) * dimensions) as number[]);

describe('build refuses vectors', () => {
  it.each(BAD_NUMBERS)('with %d, and says where', async (value) => {
    for (const row of [0, 37, count - 1]) {
      const numbers = withBad(value, row);
      const forms = [Float32Array.from(numbers), Float64Array.from(numbers), rowsOf(numbers)];
      for (const vectors of forms) {
        const before = structuredClone(vectors);
        const error = await failureOf(Index.build({ vectors }, { dimensions }));
        expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row });
        expect(error.message).toContain(`row ${row} `);
        expect(error.message).toContain('position 3');
        expect(vectors, 'untouched').toEqual(before);
      }
    }
  });

  it.each(NOT_NUMBERS)('with %o in place of a number', async (value) => {
    const error = await failureOf(Index.build({ vectors: rowsOf(withBad(value as never, 4)) }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 4, value });
  });

  it('that float32 cannot hold, even when they are given as doubles', async () => {
    const error = await failureOf(Index.build({ vectors: Float64Array.from(withBad(1e300, 8)) }, { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 8, value: 1e300 });
  });

  it.each([
    ['one number less', [1, 2, 3, 4]],
    ['one more', [1, 2, 3, 4, 5, 6]],
    ['none', []],
    ['no row at all', null],
  ])('of another length: %s', async (_, bad) => {
    const vectors: unknown[] = rowsOf(Array.from(good));
    vectors[22] = bad;
    const error = await failureOf(Index.build({ vectors } as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 22 });
  });

  it.each([[[[], [1]]], [[5]], [[null]], [[new Float32Array(4097)]]])('whose first row is bad: %o', async (vectors) => {
    const error = await failureOf(Index.build({ vectors } as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 0 });
  });

  it('whose numbers do not fill the last row', async () => {
    const error = await failureOf(Index.build({ vectors: good.subarray(0, -1) }, { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: count - 1, value: count * dimensions - 1 });
  });

  it('that are zero, under cosine only', async () => {
    const vectors = Float32Array.from(good).fill(0, 11 * dimensions, 12 * dimensions);
    const error = await failureOf(Index.build({ vectors }, { dimensions, metric: 'cosine' }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 11 });
    await using index = await Index.build({ vectors }, { dimensions, metric: 'dot_product', threads: 1 });
    expect(index.size).toBe(count);
  });

  it('in a later chunk, counting rows from the first', async () => {
    const chunks = [{ vectors: good }, { vectors: Float32Array.from(withBad(Number.NaN, 7)) }];
    const error = await failureOf(Index.build(streamOf(chunks), { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: count + 7 });
  });
});

describe('build refuses ids', () => {
  const ids = Array.from({ length: count }, (_, i): Id => `id ${i}`);
  const withId = (row: number, id: unknown): { vectors: Float32Array; ids: Id[] } => ({
    vectors: good,
    ids: ids.with(row, id as Id),
  });

  it.each([
    1.5,
    Number.NaN,
    2 ** 53,
    Number.POSITIVE_INFINITY,
    null,
    undefined,
    {},
    true,
    2n ** 64n,
    -(2n ** 63n) - 1n,
    'a\ud800',
  ])('of which one is %s', async (id) => {
    const input = withId(13, id);
    expect(await failureOf(Index.build(input, { dimensions }))).toMatchObject({
      ...{ code: 'SCANNERY_INVALID_ID', row: 13, value: id },
    });
    expect(input.ids[13], 'untouched').toBe(id);
  });

  it.each<[string, Id[], Id]>([
    ['strings', ids, 'id 3'],
    ['integers', ids.map((_, i) => i - 5), -2],
    ['bigints', ids.map((_, i) => BigInt(i) << 40n), 3n << 40n],
    ['mixed', ids.map((id, i) => (i % 2 ? i : id)), 3],
  ])('that repeat: %s', async (_, given, repeated) => {
    const input = { vectors: good, ids: given.with(50, repeated) };
    const error = await failureOf(Index.build(input, { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_DUPLICATE_ID', row: 50, value: repeated });
    expect(error.message).toContain('row 3 ');
  });

  it('that repeat in a later chunk', async () => {
    const chunks = [0, 1].map((c) => ({ vectors: good, ids: ids.map((id) => (id === 'id 8' ? id : `${id} of ${c}`)) }));
    const error = await failureOf(Index.build(streamOf(chunks), { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_DUPLICATE_ID', row: count + 8, value: 'id 8' });
  });

  it.each([0, 1, count - 1, count + 1])('that are %i for 60 vectors', async (length) => {
    const given = Array.from({ length }, (_, i) => i);
    const error = await failureOf(Index.build({ vectors: good, ids: given }, { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: Math.min(length, count), value: length });
  });

  it.each([
    ['stop', [{ vectors: good, ids }, { vectors: good }]],
    ['begin', [{ vectors: good }, { vectors: good, ids }]],
  ])('that %s with a later chunk', async (_, chunks) => {
    const error = await failureOf(Index.build(chunks, { dimensions }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: count });
  });
});

describe.each<[string, BuildOptions, Float32Array]>([
  ['an index', {}, good],
  ['an index without vectors', {}, new Float32Array(0)],
])('%s refuses queries', (_, options, vectors) => {
  let index: Index;
  beforeAll(async () => {
    index = await Index.build({ vectors }, { dimensions, metric: 'cosine', threads: 1, ...options });
  });
  afterAll(() => index.close());
  const fine = [1, 2, 3, 4, 5];

  it.each([...BAD_NUMBERS, ...NOT_NUMBERS])('with %s, and says which', async (value) => {
    const bad = fine.with(2, value as number);
    const error = await failureOf(index.search(bad));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', value });
    expect(error.row).toBeUndefined();
    expect(await failureOf(index.searchBatch([fine, fine, bad]))).toMatchObject({
      ...{ code: 'SCANNERY_INVALID_VECTOR', row: 2, value },
    });
  });

  it.each([[[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6]], [[]]])('of another length: %o', async (bad) => {
    expect(await failureOf(index.search(bad))).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', value: bad.length });
    expect(await failureOf(index.searchBatch([fine, bad]))).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 1 });
  });

  it('that do not fill the last row of a batch', async () => {
    const error = await failureOf(index.searchBatch(new Float32Array(12).fill(1)));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 2, value: 12 });
  });

  it('that are zero, under cosine', async () => {
    expect((await failureOf(index.search([0, 0, 0, 0, 0]))).code).toBe('SCANNERY_INVALID_VECTOR');
    expect(await failureOf(index.searchBatch([fine, [0, -0, 0, 0, 0]]))).toMatchObject({ row: 1 });
  });

  it('and answers good ones afterwards, with nothing left in flight', async () => {
    const batch = Array.from({ length: 500 }, (_, i) => (i === 300 ? fine.with(0, Number.NaN) : fine));
    expect(await failureOf(index.searchBatch(batch))).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 300 });
    expect((await index.search(fine)).ids).toHaveLength(Math.min(10, index.size));
    await expect.poll(() => index.stats().queries).toMatchObject({ inFlight: 0, waitingCalls: 0 });
  });
});
