import { afterEach, describe, expect, it } from 'vitest';
import type { Id } from '../../../src/coordinator/types.ts';
import { BruteForce } from '../../../src/recommender/layers/brute-force.ts';
import { ScaNN, type ScaNNOptions } from '../../../src/recommender/layers/scann.ts';
import { Streaming } from '../../../src/recommender/layers/streaming.ts';
import type { TopK, TopKOptions } from '../../../src/recommender/layers/top-k.ts';
import type { Features, QueryModel } from '../../../src/recommender/model/features.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';
import { type Data, naiveRanking, rowAt, rowsOf, streamOf } from '../../support/vectors.ts';

const LEAVES = 7;
/** Each layer, set up such that its answers are exact. */
const LAYERS: Record<string, (options?: TopKOptions) => TopK> = {
  BruteForce: (options) => new BruteForce({ threads: 2, ...options }),
  Streaming: (options) => new Streaming({ threads: 2, ...options }),
  ScaNN: (options) => exactScaNN({ ...options }),
};
const exactScaNN = (options: ScaNNOptions): ScaNN =>
  new ScaNN({ threads: 2, numLeaves: LEAVES, numLeavesToSearch: LEAVES, numReorderingCandidates: 5000, ...options });
const INDEXED = { BruteForce: LAYERS.BruteForce!, ScaNN: LAYERS.ScaNN! };

const open: TopK[] = [];
function opened<T extends TopK>(layer: T): T {
  open.push(layer);
  return layer;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((layer) => layer.close()));
});

/** Candidates in batches of some size, the last of which is smaller: an array per candidate. */
function batches(data: Data, size: number): Float32Array[][] {
  const rows = Array.from({ length: data.count }, (_, i) => rowAt(data, i));
  return Array.from({ length: Math.ceil(data.count / size) }, (_, i) => rows.slice(i * size, (i + 1) * size));
}

/** The same as pairs of identifiers and flat embeddings. */
function pairs({ count, dimensions, vectors }: Data, ids: readonly Id[], size: number): [Id[], Float32Array][] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => [
    ids.slice(i * size, (i + 1) * size),
    vectors.slice(i * size * dimensions, (i + 1) * size * dimensions),
  ]);
}

function some(count: number, dimensions: number, seed: number): Data {
  return { count, dimensions, vectors: new Random(seed).normals(count, dimensions) };
}

// Whole numbers, so that sums are exact and scores often tie.
const data: Data = { count: 300, dimensions: 6, vectors: new Random(1).integers(300, 6) };
const ids = Array.from({ length: data.count }, (_, i) => `item ${i}`);
const queries: Data = { count: 20, dimensions: 6, vectors: new Random(2).integers(20, 6) };
const ranking = (i: number): number[] => naiveRanking('dot_product', data, rowAt(queries, i));
const expectedIds = (k: number): string[][] =>
  Array.from({ length: queries.count }, (_, i) =>
    ranking(i)
      .slice(0, k)
      .map((row) => ids[row]!),
  );

const twice: QueryModel = {
  embed: async (batch: Features) => Float32Array.from((batch as readonly number[]).flatMap((x) => [x, 2 * x])),
};

describe.each(Object.entries(LAYERS))('%s', (name, make) => {
  const load = async (options?: TopKOptions): Promise<TopK> =>
    opened(make(options)).indexFromDataset(pairs(data, ids, 64));

  it('finds the best, ties by row, with their identifiers and scores', async () => {
    const layer = await load({ k: 25 });
    const [scores, found] = await layer.call(queries.vectors);
    expect(found).toEqual(expectedIds(25));
    scores.forEach((some, i) => {
      expect(some).toBeInstanceOf(Float32Array);
      const exact = ranking(i).slice(0, 25);
      expect(Array.from(some)).toEqual(exact.map((row) => dot(rowAt(data, row), rowAt(queries, i))));
    });
    expect(await layer.call(rowsOf(queries))).toEqual([scores, found]);
    expect(await layer.call(Float64Array.from(queries.vectors))).toEqual([scores, found]);
    expect(layer).toMatchObject({ size: 300, dimensions: 6, k: 25 });
  });

  it('gives row numbers where it was given no identifiers, and as positions', async () => {
    const layer = await opened(make()).indexFromDataset(batches(data, 50));
    const [scores, rows] = await layer.call(queries.vectors);
    expect(rows).toEqual(Array.from({ length: queries.count }, (_, i) => ranking(i).slice(0, 10)));
    expect(await layer.callPositions(queries.vectors)).toEqual([scores, rows]);
    const named = await load();
    expect(await named.callPositions(queries.vectors)).toEqual([scores, rows]);
  });

  it('takes another k with each call, and all there are for more', async () => {
    const layer = await load({ k: 3 });
    expect((await layer.call(queries.vectors))[1]).toEqual(expectedIds(3));
    expect((await layer.call(queries.vectors, 7))[1]).toEqual(expectedIds(7));
    expect((await layer.call(queries.vectors, { k: 1 }))[1]).toEqual(expectedIds(1));
    expect((await layer.call(queries.vectors, {}))[1]).toEqual(expectedIds(3));
    expect((await layer.call(queries.vectors, 2 ** 31 - 1))[1]).toEqual(expectedIds(300));
    expect((await layer.call(queries.vectors, 301))[0][0]).toHaveLength(300);
  });

  it('answers no queries with nothing', async () => {
    const layer = await load();
    expect(await layer.call([])).toEqual([[], []]);
    expect(await layer.call(new Float32Array(0))).toEqual([[], []]);
    expect(await layer.queryWithExclusions([], [])).toEqual([[], []]);
  });

  it('takes async batches, arrays of rows, and empty batches in between', async () => {
    const rows = rowsOf(data);
    const parts = [[], rows.slice(0, 100), [], rows.slice(100, 102), rows.slice(102), []];
    const layer = await opened(make()).indexFromDataset({ [Symbol.asyncIterator]: () => streamOf(parts) });
    expect((await layer.callPositions(queries.vectors))[1]).toEqual(
      Array.from({ length: queries.count }, (_, i) => ranking(i).slice(0, 10)),
    );
    // Two rows are no pair of identifiers and embeddings, whatever their numbers.
    for (const two of [rows.slice(0, 2), [rowAt(data, 0), rowAt(data, 1)]]) {
      await layer.close();
      const small = await opened(make()).indexFromDataset([two]);
      expect((await small.call(queries.vectors))[1][0]).toHaveLength(2);
    }
  });

  it('works with repeated identifiers, integers, bigints', async () => {
    for (const id of [(i: number): Id => i % 7, (i: number): Id => BigInt(i % 5), (): Id => '']) {
      const own = Array.from({ length: data.count }, (_, i) => id(i));
      const layer = await opened(make()).indexFromDataset(pairs(data, own, 41));
      const [, rows] = await layer.callPositions(queries.vectors, 12);
      const [, found] = await layer.call(queries.vectors, 12);
      expect(found).toEqual(rows.map((list) => list.map((row) => own[row])));
    }
  });

  it('embeds raw features with its query model', async () => {
    const layer = await opened(make({ queryModel: twice, k: 2 })).indexFromDataset([
      [
        ['a', 'b', 'c'],
        [
          [1, 0],
          [0, 1],
          [-1, -1],
        ],
      ],
    ]);
    const [scores, found] = await layer.call([1, -2]);
    expect(found).toEqual([
      ['b', 'a'],
      ['c', 'a'],
    ]);
    expect(scores.map((row) => Array.from(row))).toEqual([
      [2, 1],
      [6, -2],
    ]);
    expect((await layer.queryWithExclusions([1, -2], [['b'], ['c', 'a']]))[1]).toEqual([['a', 'c'], ['b']]);
    expect((await layer.searchEmbeddings([[1, 2]]))[1]).toEqual([['b', 'a']]);
    expect(await layer.call([])).toEqual([[], []]);
    expect(await failureOf(layer.call({ a: [1], b: [1, 2] }))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION' });
  });

  it.each([
    ['one number too few', Float32Array.of(1, 2, 3), 'SCANNERY_INVALID_VECTOR'],
    ['other dimensions', new Float32Array(6), 'SCANNERY_INVALID_VECTOR'],
    ['a NaN', Float32Array.of(1, 2, Number.NaN, 4), 'SCANNERY_INVALID_VECTOR'],
    ['rows', [[1, 2]], 'SCANNERY_INVALID_OPTION'],
    ['64-bit floats', new Float64Array(4), 'SCANNERY_INVALID_OPTION'],
    ['nothing', undefined, 'SCANNERY_INVALID_OPTION'],
  ])('refuses a query model that gives %s', async (_, result, code) => {
    const queryModel = { embed: async () => result } as unknown as QueryModel;
    const layer = await opened(make({ queryModel })).indexFromDataset([[[1, 2]]]);
    expect(await failureOf(layer.call([1, 2]))).toMatchObject({ code });
  });

  it('gives errors of the query model back as they are', async () => {
    const failure = new TypeError('no');
    const queryModel = { embed: () => Promise.reject(failure) };
    const layer = await opened(make({ queryModel })).indexFromDataset([[[1, 2]]]);
    await expect(layer.call([1])).rejects.toBe(failure);
  });

  describe('with exclusions', () => {
    const without = (query: number, excluded: readonly Id[], own: readonly Id[], k: number): Id[] =>
      ranking(query)
        .map((row) => own[row]!)
        .filter((id) => !excluded.includes(id))
        .slice(0, k);

    it('leaves out what is excluded and still gives k', async () => {
      const layer = await load({ k: 8 });
      const exclusions = Array.from({ length: queries.count }, (_, i) =>
        i === 0 ? [] : [...expectedIds(i)[i]!, 'nothing', ids[i]!],
      );
      const [scores, found] = await layer.queryWithExclusions(queries.vectors, exclusions);
      expect(found).toEqual(exclusions.map((excluded, i) => without(i, excluded, ids, 8)));
      scores.forEach((some, i) => {
        const rows = found[i]!.map((id) => ids.indexOf(id as string));
        expect(Array.from(some)).toEqual(rows.map((row) => dot(rowAt(data, row), rowAt(queries, i))));
      });
      expect((await layer.queryWithExclusions(rowsOf(queries), exclusions, { k: 3 }))[1]).toEqual(
        exclusions.map((excluded, i) => without(i, excluded, ids, 3)),
      );
    });

    it('still gives k when excluded identifiers repeat, and what is left when that is less', async () => {
      const own = Array.from({ length: data.count }, (_, i) => (i % 50 === 0 ? `rare ${i}` : i % 2));
      const layer = await opened(make({ k: 4 })).indexFromDataset(pairs(data, own, 64));
      const exclusions = Array.from(
        { length: queries.count },
        (_, i) => [[], [0], [0, 1], [1, 'rare 0'], [0, 1n]][i % 5]!,
      );
      const [, found] = await layer.queryWithExclusions(queries.vectors, exclusions);
      expect(found).toEqual(exclusions.map((excluded, i) => without(i, excluded, own, 4)));
      const all = await layer.queryWithExclusions(queries.vectors, exclusions, 1000);
      expect(all[1]).toEqual(exclusions.map((excluded, i) => without(i, excluded, own, 1000)));
    });

    it('refuses lists that do not fit the queries', async () => {
      const layer = await load();
      const [two] = [queries.vectors.subarray(0, 12)];
      expect(await failureOf(layer.queryWithExclusions(two, [['a']]))).toMatchObject({
        ...{ code: 'SCANNERY_INVALID_OPTION', option: 'exclusions', value: 1 },
      });
      for (const bad of [undefined, 'ab', [['a'], 'b'], [['a'], undefined]]) {
        const call = layer.queryWithExclusions(two, bad as unknown as Id[][]);
        expect(await failureOf(call)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION' });
      }
      const call = layer.queryWithExclusions(two, [['a'], [1, 1.5]]);
      expect(await failureOf(call)).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: 1 });
    });
  });

  it('works without any candidates', async () => {
    const nothing = [
      [new Float32Array(0), new Float32Array(0)],
      [[], []],
    ];
    const two = [
      [1, 2],
      [3, 4],
    ];
    const layer = await opened(make({ dimensions: 2 })).indexFromDataset([]);
    expect(await layer.call(two)).toEqual(nothing);
    expect(await layer.call(Float32Array.of(1, 2, 3, 4))).toEqual(nothing);
    expect(layer.size).toBe(0);
    const open = await opened(make()).indexFromDataset([[], [[], []]]);
    expect(await open.call(two, 5)).toEqual(nothing);
    expect(await open.queryWithExclusions(two, [['a'], []])).toEqual(nothing);
    expect(await failureOf(open.call(new Float32Array(4)))).toMatchObject({ option: 'dimensions' });
    const model = await opened(make({ queryModel: twice })).indexFromDataset([]);
    expect(await model.call([1, 2])).toEqual(nothing);
  });

  it('serves the candidates that it was given last', async () => {
    const layer = await load({ k: 2 });
    await layer.call(queries.vectors);
    const other = some(40, 3, 9);
    await layer.indexFromDataset(batches(other, 16));
    const query = rowAt(other, 5);
    const [, found] = await layer.call(query);
    expect(found[0]).toEqual(naiveRanking('dot_product', other, query).slice(0, 2));
    expect(layer).toMatchObject({ size: 40, dimensions: 3 });
  });

  it.each([
    ['k is 0', 0, 'k'],
    ['k is a fraction', 2.5, 'k'],
    ['k is NaN', Number.NaN, 'k'],
    ['k is text', '3', 'k'],
    ['k is -1', { k: -1 }, 'k'],
    ['an option is unknown', { topK: 3 }, 'topK'],
    ['a signal is none', { signal: {} }, 'signal'],
    ['options are null', null, 'options'],
  ])('refuses a call where %s', async (_, options, option) => {
    const layer = await load();
    for (const call of [
      () => layer.call(queries.vectors, options as number),
      () => layer.callPositions(queries.vectors, options as number),
      () => layer.searchEmbeddings(queries.vectors, options as number),
      () => layer.queryWithExclusions(queries.vectors, [], options as number),
    ]) {
      expect(await failureOf(call())).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
    }
  });

  it('refuses bad queries, naming the row', async () => {
    const layer = await load();
    const bad = Float32Array.from(queries.vectors);
    bad[3 * 6 + 1] = Number.NaN;
    expect(await failureOf(layer.call(bad))).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR', row: 3 });
    const cases: [unknown, string][] = [
      [
        [
          [1, 2, 3, 4, 5, 6],
          [1, 2],
        ],
        'SCANNERY_INVALID_VECTOR',
      ],
      [new Float32Array(7), 'SCANNERY_INVALID_VECTOR'],
      [[1, 2, 3, 4, 5, 6], 'SCANNERY_INVALID_OPTION'],
      [undefined, 'SCANNERY_INVALID_OPTION'],
      [{ user: ['a'] }, 'SCANNERY_INVALID_OPTION'],
    ];
    for (const [given, code] of cases) {
      expect(await failureOf(layer.call(given as Float32Array))).toMatchObject({ code });
    }
    expect((await layer.call(queries.vectors))[1]).toEqual(expectedIds(10));
  });

  it('refuses to be called before it has candidates, and after it was closed', async () => {
    const layer = make();
    const calls = [
      () => layer.call(queries.vectors),
      () => layer.callPositions(queries.vectors),
      () => layer.searchEmbeddings(queries.vectors),
      () => layer.queryWithExclusions(queries.vectors, []),
    ];
    expect([layer.size, layer.dimensions]).toEqual([0, 0]);
    for (const call of calls) expect(await failureOf(call())).toMatchObject({ code: 'SCANNERY_NOT_INDEXED' });
    await layer.indexFromDataset(batches(data, 64));
    const running = layer.call(queries.vectors);
    await Promise.all([layer.close(), layer.close()]);
    expect((await running)[0]).toHaveLength(queries.count);
    for (const call of [...calls, () => layer.indexFromDataset([]), () => layer.index([])]) {
      expect(await failureOf(call())).toMatchObject({ code: 'SCANNERY_CLOSED' });
    }
  });

  it('gives up a call when its signal is aborted', async () => {
    const layer = await load();
    const signal = AbortSignal.abort('reason');
    const aborted = { code: 'SCANNERY_ABORTED', cause: 'reason' };
    expect(await failureOf(layer.call(queries.vectors, { signal }))).toMatchObject(aborted);
    expect(await failureOf(layer.queryWithExclusions(queries.vectors, [], { signal }))).toMatchObject(aborted);
    const controller = new AbortController();
    const running = layer.call(queries.vectors, { signal: controller.signal });
    controller.abort('reason');
    expect(await failureOf(running)).toMatchObject(aborted);
    const during = new AbortController();
    const queryModel = {
      embed: async () => {
        during.abort('reason');
        return Float32Array.of(1, 2);
      },
    };
    const other = await opened(make({ queryModel })).indexFromDataset([[[1, 2]]]);
    expect(await failureOf(other.call([1], { signal: during.signal }))).toMatchObject(aborted);
    expect((await layer.call(queries.vectors))[1]).toEqual(expectedIds(10));
  });

  it.each([
    ['an unknown option', { leaves: 3 }, 'leaves'],
    ['k of 0', { k: 0 }, 'k'],
    ['no dimensions', { dimensions: 0 }, 'dimensions'],
    ['too many threads', { threads: 65 }, 'threads'],
    ['a query model without embed', { queryModel: {} }, 'queryModel'],
  ])('refuses %s', async (_, options, option) => {
    const build = (): TopK => (name === 'ScaNN' ? new ScaNN(options as ScaNNOptions) : make(options as TopKOptions));
    expect(await failureOf(build)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
  });

  // From TFRS's layers/factorized_top_k_test.py: test_streaming, test_brute_force, test_scann_top_k.
  const grid = [5, 10].flatMap((k) =>
    [3, 16].flatMap((batch) => [true, false].map((named) => [k, batch, named] as const)),
  );
  it.each(grid)('passes the test of TFRS at k = %i, batches of %i, named: %s', async (k, size, named) => {
    for (const [count, m] of [
      [1024, 3],
      [128, 16],
    ] as const) {
      const random = new Random(42);
      const candidates = some(count, 4, 42);
      const asked = some(m, 4, 43);
      const own: Id[] = Array.from({ length: count }, (_, i) => (named ? String(i) : i));
      const layer = opened(make({ k }));
      const excluded = Array.from({ length: m }, () => Array.from({ length: 5 }, () => own[random.int(0, count - 1)]!));
      for (let i = 0; i < 2; i++) {
        await layer.indexFromDataset(named ? pairs(candidates, own, size) : batches(candidates, size));
        const [scores, found] = await layer.call(asked.vectors);
        const [, others] = await layer.queryWithExclusions(asked.vectors, excluded);
        for (let q = 0; q < m; q++) {
          const order = naiveRanking('dot_product', candidates, rowAt(asked, q));
          expect(found[q]).toEqual(order.slice(0, k).map((row) => own[row]));
          order.slice(0, k).forEach((row, r) => {
            expect(scores[q]![r]).toBeCloseTo(dot(rowAt(candidates, row), rowAt(asked, q)), 4);
          });
          const left = order.map((row) => own[row]!).filter((id) => !excluded[q]!.includes(id));
          expect(others[q]).toEqual(left.slice(0, k));
        }
      }
    }
  });
});

describe.each(Object.entries(INDEXED))('%s', (_, make) => {
  it('takes flat candidates with dimensions or identifiers, and rows', async () => {
    const rows = await opened(make()).index(rowsOf(data), ids);
    const right = await rows.call(queries.vectors);
    expect(right[1]).toEqual(expectedIds(10));
    for (const [candidates, options] of [
      [data.vectors, {}],
      [Float64Array.from(data.vectors), {}],
      [data.vectors, { dimensions: 6 }],
    ] as const) {
      const layer = await opened(make(options)).index(candidates, ids);
      expect(await layer.call(queries.vectors)).toEqual(right);
    }
    const unnamed = await opened(make({ dimensions: 6 })).index(data.vectors);
    expect(await unnamed.call(queries.vectors)).toEqual(await rows.callPositions(queries.vectors));
    const typed = await opened(make()).index(
      data.vectors,
      Int32Array.from(ids, (_id, i) => 2 * i),
    );
    expect((await typed.call(queries.vectors))[1]).toEqual(
      (await rows.callPositions(queries.vectors))[1].map((list) => list.map((row) => 2 * row)),
    );
  });

  it('drops identifiers when candidates come without', async () => {
    const layer = await opened(make({ k: 1 })).index(rowsOf(data), ids);
    await layer.index(rowsOf(data));
    expect((await layer.call(queries.vectors))[1]).toEqual((await layer.callPositions(queries.vectors))[1]);
  });

  it.each([
    ['one number more', new Float32Array(7), undefined, { dimensions: 6 }, 'SCANNERY_INVALID_VECTOR', 1],
    ['numbers alone', [1, 2, 3], undefined, {}, 'SCANNERY_INVALID_VECTOR', 0],
    ['rows of another length', [[1, 2], [1]], undefined, {}, 'SCANNERY_INVALID_VECTOR', 1],
    ['rows of other dimensions', [[1, 2]], undefined, { dimensions: 3 }, 'SCANNERY_INVALID_VECTOR', 0],
    [
      'a NaN',
      [
        [1, 2],
        [3, Number.NaN],
      ],
      undefined,
      {},
      'SCANNERY_INVALID_VECTOR',
      1,
    ],
    ['text', 'abc', undefined, {}, 'SCANNERY_INVALID_OPTION', undefined],
    ['flat numbers of unknown dimensions', new Float32Array(8), undefined, {}, 'SCANNERY_INVALID_OPTION', undefined],
    ['a broken number of dimensions', new Float32Array(8), ['a', 'b', 'c'], {}, 'SCANNERY_INVALID_ID', 0],
    ['no numbers for identifiers', new Float32Array(0), ['a'], {}, 'SCANNERY_INVALID_ID', 0],
    ['identifiers that are none', [[1], [2]], 'ab', {}, 'SCANNERY_INVALID_OPTION', undefined],
    ['a bad identifier', [[1], [2]], ['a', 0.5], {}, 'SCANNERY_INVALID_ID', 1],
  ])('refuses %s, and keeps what it has', async (_case, candidates, identifiers, options, code, row) => {
    const layer = opened(make(options));
    const load = (): Promise<TopK> => layer.index(candidates as number[][], identifiers as string[]);
    expect(await failureOf(load())).toMatchObject({ code, ...(row === undefined ? {} : { row }) });
    expect(await failureOf(layer.call([[1]]))).toMatchObject({ code: 'SCANNERY_NOT_INDEXED' });
    const { dimensions = 2 } = options as TopKOptions;
    await layer.index([new Float32Array(dimensions).fill(1)], ['kept']);
    expect(await failureOf(load())).toMatchObject({ code });
    expect((await layer.call([new Float32Array(dimensions)]))[1]).toEqual([['kept']]);
  });

  // TFRS: test_raise_on_incorrect_input_shape.
  it('refuses another number of identifiers than candidates, naming both', async () => {
    const error = await failureOf(opened(make()).index(rowsOf(data), ids.slice(1)));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: 299 });
    expect(error.message).toMatch(/299 .*300/);
    const dataset = [[ids.slice(0, 20), rowsOf(data).slice(0, 100)]] as [Id[], number[][]][];
    const other = await failureOf(opened(make()).indexFromDataset(dataset));
    expect(other).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: 20 });
    expect(other.message).toMatch(/dataset\[0\].*20 .*100/);
  });

  it('serves the old candidates while new ones are read, and when that fails', async () => {
    const layer = await opened(make()).index(data.vectors, ids);
    const failure = new Error('source');
    let release = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* broken(): AsyncGenerator<Float32Array> {
      yield data.vectors;
      await waiting;
      throw failure;
    }
    const work = opened(make({ dimensions: 6 })).indexFromDataset(broken());
    const own = layer.indexFromDataset(
      (async function* () {
        await waiting;
        yield [['x'], [[1, 2, 3, 4, 5, Number.NaN]]] as [string[], number[][]];
      })(),
    );
    const settled = Promise.allSettled([work, own]);
    expect((await layer.call(queries.vectors))[1]).toEqual(expectedIds(10));
    release();
    const [first, second] = await settled;
    expect(first).toMatchObject({ status: 'rejected', reason: failure });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'SCANNERY_INVALID_VECTOR', row: 0 } });
    expect((await layer.call(queries.vectors))[1]).toEqual(expectedIds(10));
  });

  it('answers calls that overlap with a change of candidates from the old or the new', async () => {
    const layer = await opened(make({ k: 1 })).index(rowsOf(data), ids);
    const change = layer.index(
      rowsOf(data),
      ids.map((id) => `new ${id}`),
    );
    const calls: Promise<[Float32Array[], Id[][]]>[] = [];
    let changed = false;
    void change.then(() => {
      changed = true;
    });
    while (!changed) {
      calls.push(layer.call(queries.vectors));
      await calls[calls.length - 1];
    }
    calls.push(layer.call(queries.vectors));
    const best = expectedIds(1);
    for (const [, found] of await Promise.all(calls.slice(0, -1))) {
      expect([JSON.stringify(best), JSON.stringify(best.map(([id]) => [`new ${id}`]))]).toContain(
        JSON.stringify(found),
      );
    }
    expect((await calls[calls.length - 1]!)[1]).toEqual(best.map(([id]) => [`new ${id}`]));
  });

  it('ends a build that is under way when it is closed', async () => {
    const layer = make();
    const building = failureOf(layer.index(rowsOf(data)));
    await layer.close();
    expect(await building).toMatchObject({ code: 'SCANNERY_CLOSED' });
  });

  it.each([
    ['identifiers in some batches', [[['a'], [[1, 2]]], [[3, 4]]], 'SCANNERY_INVALID_ID', 'batch 1 has no identifiers'],
    ['identifiers not from the start', [[[3, 4]], [['a'], [[1, 2]]]], 'SCANNERY_INVALID_ID', 'batch 1 has identifiers'],
    ['batches of other dimensions', [[[1, 2]], [[1, 2, 3]]], 'SCANNERY_INVALID_VECTOR', 'row 1'],
    ['batches that are none', [[[1, 2]], 7], 'SCANNERY_INVALID_OPTION', 'dataset[1]'],
    ['flat numbers', Float32Array.of(1, 2), 'SCANNERY_INVALID_OPTION', 'dataset[0]'],
    ['no dataset', 5, 'SCANNERY_INVALID_OPTION', 'dataset'],
    ['text for numbers', [[['1', '2']]], 'SCANNERY_INVALID_VECTOR', 'row 0'],
  ])('refuses a dataset with %s', async (_case, dataset, code, message) => {
    const error = await failureOf(opened(make()).indexFromDataset(dataset as number[][][]));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(message);
  });

  it('closes the dataset that it stopped reading', async () => {
    let closed = false;
    function* source(): Generator<number[][]> {
      try {
        yield [[1, 2]];
        yield [[1]];
        yield [[1, 2]];
      } finally {
        closed = true;
      }
    }
    await failureOf(opened(make()).indexFromDataset(source()));
    expect(closed).toBe(true);
  });

  it('can be restored from what another layer served', async () => {
    const from = await make().index(data.vectors, ids);
    const right = await from.call(queries.vectors);
    const { index, identifiers } = (from as BruteForce).served;
    const layer = opened(make()) as BruteForce;
    expect(await failureOf(() => layer.served)).toMatchObject({ code: 'SCANNERY_NOT_INDEXED' });
    await layer.restore(index, identifiers);
    expect(await layer.call(queries.vectors)).toEqual(right);
    expect(layer.options).toMatchObject({ k: 10, threads: 2 });
    const metric = opened(exactScaNN({ distanceMeasure: 'squared_l2' }));
    expect(await failureOf(metric.restore(index, null))).toMatchObject({ option: 'index' });
    const small = await opened(new BruteForce()).index([[1]]);
    const wrong = layer.restore(small.served.index, identifiers);
    expect(await failureOf(wrong)).toMatchObject({ code: 'SCANNERY_INVALID_ID', value: 300 });
  });
});

describe('ScaNN', () => {
  it.each(['dot_product', 'squared_l2', 'cosine'] as const)('ranks by %s', async (distanceMeasure) => {
    const candidates = some(400, 5, 7);
    const layer = await opened(exactScaNN({ distanceMeasure, dimensionsPerBlock: 3 })).index(
      candidates.vectors,
      ids400,
    );
    const query = some(1, 5, 8).vectors;
    const [scores, found] = await layer.call(query);
    expect(found[0]).toEqual(naiveRanking(distanceMeasure, candidates, query).slice(0, 10));
    const sorted = Array.from(scores[0]!).sort((a, b) => (distanceMeasure === 'squared_l2' ? a - b : b - a));
    expect(Array.from(scores[0]!)).toEqual(sorted);
    expect(layer.isExact()).toBe(false);
  });

  const ids400 = Array.from({ length: 400 }, (_, i) => i);

  it('keeps no embeddings without reordering, and then scores approximately', async () => {
    const candidates = some(400, 16, 3);
    const layer = await opened(new ScaNN({ threads: 2, dimensions: 16, numLeaves: 20, numLeavesToSearch: 20 })).index(
      candidates.vectors,
    );
    expect(layer.served.index.stats().config).toMatchObject({ reordering: false, tree: { numLeaves: 20 } });
    const query = rowAt(candidates, 17);
    const [scores, found] = await layer.call(query, 20);
    expect(found[0]).toContain(17);
    const best = found[0]!.indexOf(17);
    expect(scores[0]![best]).not.toBe(dot(query, query));
    expect(scores[0]![best]).toBeCloseTo(dot(query, query), -1);
    expect(await failureOf(layer.call(query, { numReorderingCandidates: 50 }))).toMatchObject({
      ...{ code: 'SCANNERY_NOT_SUPPORTED', option: 'numReorderingCandidates' },
    });
  });

  it('takes leaves and candidates per call', async () => {
    const candidates = some(1000, 8, 4);
    const layer = await opened(
      new ScaNN({ threads: 2, dimensions: 8, numLeaves: 50, numLeavesToSearch: 1, numReorderingCandidates: 10 }),
    ).index(candidates.vectors);
    const query = some(1, 8, 5).vectors;
    const right = naiveRanking('dot_product', candidates, query).slice(0, 20);
    const all = { k: 20, numLeavesToSearch: 50, numReorderingCandidates: 1000 };
    expect((await layer.call(query, all))[1]).toEqual([right]);
    const few = await layer.call(query, 1000);
    expect(few[1][0]!.length).toBeLessThan(300);
    expect(await failureOf(layer.call(query, { numLeavesToSearch: 0 }))).toMatchObject({ option: 'numLeavesToSearch' });
  });

  it('works with fewer candidates than leaves, and by default', async () => {
    for (const count of [1, 3, 99]) {
      const candidates = some(count, 4, 6);
      const layer = await opened(new ScaNN({ threads: 2, dimensions: 4 })).index(candidates.vectors);
      const [scores, found] = await layer.call(rowAt(candidates, 0), 1000);
      expect(found[0]!.length).toBeGreaterThan(0);
      expect(scores[0]).toHaveLength(found[0]!.length);
      expect(layer.size).toBe(count);
    }
    const empty = await opened(new ScaNN()).index([]);
    expect(await empty.call([[1, 2]])).toEqual([[new Float32Array(0)], [[]]]);
  });

  it('refuses options out of range', async () => {
    const bad: [keyof ScaNNOptions, unknown][] = [
      ['distanceMeasure', 'manhattan'],
      ['numLeaves', 0],
      ['numLeavesToSearch', 1.5],
      ['trainingIterations', -1],
      ['dimensionsPerBlock', 17],
      ['numReorderingCandidates', 0],
      ['anisotropicQuantizationThreshold', 1],
      ['trainingSampleSize', 0],
      ['seed', -1],
      ['shards', 0],
    ];
    for (const [option, value] of bad) {
      expect(await failureOf(() => new ScaNN({ [option]: value }))).toMatchObject({ option, value });
    }
    expect(() => new ScaNN({ anisotropicQuantizationThreshold: 0, trainingIterations: 0 })).not.toThrow();
  });
});

it('Streaming takes datasets only', async () => {
  const layer = opened(new Streaming());
  const error = await failureOf((layer as TopK).index(rowsOf(data)));
  expect(error).toMatchObject({ code: 'SCANNERY_NOT_SUPPORTED' });
  expect(error.message).toContain('only accepts datasets');
});

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, j) => sum + value * b[j]!, 0);
}
