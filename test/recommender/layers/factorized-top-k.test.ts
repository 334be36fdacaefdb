import { afterEach, describe, expect, it } from 'vitest';
import type { Id } from '../../../src/coordinator/types.ts';
import { BruteForce } from '../../../src/recommender/layers/brute-force.ts';
import { FactorizedTopK, type FactorizedTopKOptions } from '../../../src/recommender/layers/factorized-top-k.ts';
import { ScaNN } from '../../../src/recommender/layers/scann.ts';
import { Streaming } from '../../../src/recommender/layers/streaming.ts';
import type { TopK } from '../../../src/recommender/layers/top-k.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';
import { type Data, naiveRanking, rowAt } from '../../support/vectors.ts';

const open: { close(): Promise<void> }[] = [];
function opened<T extends { close(): Promise<void> }>(layer: T): T {
  open.push(layer);
  return layer;
}
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

const LAYERS: Record<string, () => TopK> = {
  Streaming: () => new Streaming({ threads: 2 }),
  BruteForce: () => new BruteForce({ threads: 2 }),
  ScaNN: () => new ScaNN({ threads: 2 }),
};

function pairs(data: Data, ids: readonly Id[], size: number): [Id[], Float32Array][] {
  return Array.from({ length: Math.ceil(data.count / size) }, (_, i) => [
    ids.slice(i * size, (i + 1) * size),
    data.vectors.slice(i * size * data.dimensions, (i + 1) * size * data.dimensions),
  ]);
}

const metric = (options: FactorizedTopKOptions): FactorizedTopK => opened(new FactorizedTopK(options));

// From TFRS's metrics/factorized_top_k_test.py: test_factorized_top_k.
describe.each(['Streaming', 'BruteForce', 'a dataset'])('over %s', (name) => {
  it.each([true, false])('gives the weighted mean of tf.math.in_top_k; ids: %s', async (useIds) => {
    const random = new Random(42);
    const candidates: Data = { count: 100, dimensions: 4, vectors: random.normals(100, 4) };
    const queries: Data = { count: 10, dimensions: 4, vectors: random.normals(10, 4) };
    const ids = Array.from({ length: 100 }, (_, i) => String(i));
    const truths = Array.from({ length: 10 }, () => random.int(0, 99));
    const weights = Array.from({ length: 10 }, () => random.float());
    const dataset = pairs(candidates, ids, 32);
    const layer = name === 'a dataset' ? undefined : await opened(LAYERS[name]!()).indexFromDataset(dataset);
    const ks = [1, 5, 10, 50];
    const own = metric({ candidates: layer ?? dataset, ks });
    const trueEmbeddings = truths.map((row) => rowAt(candidates, row));
    const trueCandidateIds = useIds ? truths.map((row) => ids[row]!) : undefined;
    await own.updateState(queries.vectors, trueEmbeddings, { trueCandidateIds, sampleWeight: weights });
    const result = own.result();
    expect(Object.keys(result)).toEqual(ks.map((k) => `factorized_top_k/top_${k}_categorical_accuracy`));
    for (const k of ks) {
      let found = 0;
      truths.forEach((row, i) => {
        const rank = naiveRanking('dot_product', candidates, rowAt(queries, i)).indexOf(row);
        if (rank < k) found += weights[i]!;
      });
      const expected = found / weights.reduce((sum, weight) => sum + weight, 0);
      expect(result[`factorized_top_k/top_${k}_categorical_accuracy`]).toBeCloseTo(expected, 12);
    }
  });
});

// From TFRS's metrics/factorized_top_k_test.py: test_id_based_evaluation.
it.each(Object.keys(LAYERS))('compares ids with those that %s retrieves', async (name) => {
  const random = new Random(42);
  const [k, count, dimensions, m] = [100, 1280, 128, 64];
  const candidates: Data = { count, dimensions, vectors: random.normals(count, dimensions) };
  const queries = random.normals(m, dimensions);
  const rows = Array.from({ length: count }, (_, i) => rowAt(candidates, i));
  const layer = await opened(LAYERS[name]!()).indexFromDataset(
    Array.from({ length: 40 }, (_, i) => rows.slice(i * 32, i * 32 + 32)),
  );
  const own = metric({ candidates: layer, ks: [k], name: 'm' });
  let found = 0;
  for (let i = 0; i < m; i++) {
    const query = queries.subarray(i * dimensions, (i + 1) * dimensions);
    const truth = random.int(0, count - 1);
    await own.updateState([query], [rowAt(candidates, truth)], { trueCandidateIds: [truth] });
    if ((await layer.call([query], k))[1][0]!.includes(truth)) found++;
  }
  expect(own.result()).toEqual({ 'm/top_100_categorical_accuracy': found / m });
});

const ks = [2, 1];
const line = [
  [
    ['a', 'b', 'c'],
    [[3], [2], [1]],
  ],
] as [string[], number[][]][];
const names = (one: number, two: number): Record<string, number> => ({
  'factorized_top_k/top_1_categorical_accuracy': one,
  'factorized_top_k/top_2_categorical_accuracy': two,
});

it('has the usual ks, and 0 for each before anything was seen', () => {
  const own = metric({ candidates: line });
  expect(own.ks).toEqual([1, 5, 10, 50, 100]);
  expect(Object.entries(own.result()).map(([name, value]) => `${name} ${value}`)).toEqual(
    [1, 5, 10, 50, 100].map((k) => `factorized_top_k/top_${k}_categorical_accuracy 0`),
  );
});

it('counts a tie in favour of the true candidate, which need not be in the layer', async () => {
  const own = metric({ candidates: line, ks });
  await own.updateState([[1], [1], [1], [1]], [[3], [2], [2.5], [1]]);
  expect(own.result()).toEqual(names(1 / 4, 3 / 4));
  await own.updateState([[1]], [[5]]);
  expect(own.result()).toEqual(names(2 / 5, 4 / 5));
});

it('scores true candidates with the bits that the layer has', async () => {
  const random = new Random(3);
  for (const dimensions of [1, 5, 8, 13, 100]) {
    const data: Data = { count: 200, dimensions, vectors: random.normals(200, dimensions) };
    const layer = await opened(new BruteForce({ threads: 2, dimensions })).index(data.vectors);
    const own = metric({ candidates: layer, ks: [1] });
    const queries = random.normals(50, dimensions);
    const [, best] = await layer.callPositions(queries, 1);
    await own.updateState(
      queries,
      best.map(([row]) => rowAt(data, row!)),
    );
    expect(Object.values(own.result())).toEqual([1]);
    const second = (await layer.callPositions(queries, 2))[1].map(([, row]) => rowAt(data, row!));
    own.resetStates();
    await own.updateState(Float64Array.from(queries), second);
    expect(Object.values(own.result())).toEqual([0]);
  }
});

it('counts a score that is not finite as not found', async () => {
  const own = metric({ candidates: line, ks });
  await own.updateState([[1], [1], [1]], [[Number.NaN], [Number.POSITIVE_INFINITY], [3]]);
  expect(own.result()).toEqual(names(1 / 3, 1 / 3));
});

it('works where there are fewer candidates than k, and none', async () => {
  const own = metric({ candidates: line, ks: [50, 3] });
  await own.updateState([[1], [1]], [[0], [1]]);
  expect(Object.values(own.result())).toEqual([1, 0.5]);
  await own.updateState([[1]], [[0]], { trueCandidateIds: ['z'] });
  expect(Object.values(own.result())).toEqual([2 / 3, 1 / 3]);
  const empty = metric({ candidates: [], ks: [1] });
  await empty.updateState([[1]], [[1]]);
  await empty.updateState([[1]], [[1]], { trueCandidateIds: [0] });
  expect(Object.values(empty.result())).toEqual([0.5]);
});

it('counts an identifier that is retrieved many times once', async () => {
  const own = metric({
    candidates: [
      [
        ['x', 'x', 'y'],
        [[3], [2], [1]],
      ],
    ] as [string[], number[][]][],
    ks,
  });
  await own.updateState([[1], [1]], [[0], [0]], { trueCandidateIds: ['x', 'y'] });
  expect(own.result()).toEqual(names(0.5, 0.5));
});

it('tells identifiers of different types apart', async () => {
  const own = metric({
    candidates: [
      [
        [1, 2n],
        [[3], [2]],
      ],
    ] as [Id[], number[][]][],
    ks,
  });
  await own.updateState([[1], [1], [1], [1]], [[0], [0], [0], [0]], { trueCandidateIds: [1, '1', 2, 2n] });
  expect(own.result()).toEqual(names(1 / 4, 1 / 2));
});

it('weighs examples, forgets them, and takes weights of zero', async () => {
  const own = metric({ candidates: line, ks });
  const sampleWeight = Float32Array.of(3, 1);
  await own.updateState([[1], [1]], [[3], [2]], { sampleWeight });
  expect(own.result()).toEqual(names(3 / 4, 1));
  own.resetStates();
  expect(own.result()).toEqual(names(0, 0));
  await own.updateState([[1]], [[3]], { sampleWeight: [0] });
  expect(own.result()).toEqual(names(0, 0));
  await own.updateState([], []);
  expect(own.result()).toEqual(names(0, 0));
  await own.updateState(Float32Array.of(1), Float32Array.of(2));
  expect(own.result()).toEqual(names(0, 1));
});

it('adds updates up in the order of the calls', async () => {
  const random = new Random(9);
  const weights = Array.from({ length: 40 }, () => random.float());
  const layer = await opened(new BruteForce({ threads: 2 })).index([[3], [2], [1]]);
  const [together, apart] = [metric({ candidates: layer, ks }), metric({ candidates: layer, ks })];
  const update = (own: FactorizedTopK, weight: number): Promise<void> =>
    own.updateState([[1]], [[3]], { sampleWeight: [weight] });
  await Promise.all(weights.map((weight) => update(together, weight)));
  for (const weight of weights) await update(apart, weight);
  expect(together.result()).toEqual(apart.result());
});

it('refuses a layer that is not exact unless ids are given', async () => {
  const layer = await opened(new ScaNN({ threads: 2 })).indexFromDataset(line);
  const own = metric({ candidates: layer, ks });
  const error = await failureOf(own.updateState([[1]], [[1]]));
  expect(error).toMatchObject({ code: 'SCANNERY_NOT_SUPPORTED', option: 'trueCandidateIds' });
  await own.updateState([[1]], [[1]], { trueCandidateIds: ['a'] });
  expect(Object.values(own.result())).toHaveLength(2);
});

it.each([
  ['no candidates', {}, 'candidates'],
  ['candidates that are no dataset', { candidates: 5 }, 'candidates'],
  ['no ks', { candidates: line, ks: [] }, 'ks'],
  ['a k of 0', { candidates: line, ks: [1, 0] }, 'ks[1]'],
  ['a broken k', { candidates: line, ks: [1.5] }, 'ks[0]'],
  ['ks that are no array', { candidates: line, ks: 5 }, 'ks'],
  ['no name', { candidates: line, name: '' }, 'name'],
  ['an unknown option', { candidates: line, k: 5 }, 'k'],
])('refuses %s', async (_, options, option) => {
  const build = (): FactorizedTopK => new FactorizedTopK(options as FactorizedTopKOptions);
  expect(await failureOf(build)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
});

describe.each([
  ['BruteForce', async () => opened(new BruteForce({ threads: 2 })).indexFromDataset(line)],
  ['a dataset', async () => line],
] as const)('over %s, an update', (_, candidates) => {
  it.each([
    ['too few true candidates', [[1], [1]], [[1]], {}, 'SCANNERY_INVALID_VECTOR', 1],
    ['too few numbers', Float32Array.of(1, 1), Float32Array.of(1), {}, 'SCANNERY_INVALID_VECTOR', 1],
    ['true candidates of other dimensions', [[1], [1]], [[1], [1, 2]], {}, 'SCANNERY_INVALID_VECTOR', 1],
    ['text in a true candidate', [[1]], [['1']], {}, 'SCANNERY_INVALID_VECTOR', 0],
    [
      'queries of other dimensions',
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1, 2],
        [3, 4],
      ],
      {},
      'SCANNERY_INVALID_VECTOR',
      0,
    ],
    ['a NaN in a query', [[1], [Number.NaN]], [[1], [1]], {}, 'SCANNERY_INVALID_VECTOR', 1],
    ['too few ids', [[1], [1]], [[1], [1]], { trueCandidateIds: ['a'] }, 'SCANNERY_INVALID_ID', 1],
    ['a bad id', [[1], [1]], [[1], [1]], { trueCandidateIds: ['a', 0.5] }, 'SCANNERY_INVALID_ID', 1],
    ['too many weights', [[1]], [[1]], { sampleWeight: [1, 1] }, 'SCANNERY_INVALID_OPTION', 1],
    ['a negative weight', [[1], [1]], [[1], [1]], { sampleWeight: [1, -1] }, 'SCANNERY_INVALID_OPTION', 1],
    ['a weight of NaN', [[1], [1]], [[1], [1]], { sampleWeight: [1, Number.NaN] }, 'SCANNERY_INVALID_OPTION', 1],
    ['a weight that is text', [[1]], [[1]], { sampleWeight: ['1'] }, 'SCANNERY_INVALID_OPTION', 0],
    ['weights that are no array', [[1]], [[1]], { sampleWeight: 1 }, 'SCANNERY_INVALID_OPTION', undefined],
    ['an unknown option', [[1]], [[1]], { weights: [1] }, 'SCANNERY_INVALID_OPTION', undefined],
    ['no queries', undefined, [[1]], {}, 'SCANNERY_INVALID_OPTION', undefined],
    ['an aborted signal', [[1]], [[1]], { signal: AbortSignal.abort() }, 'SCANNERY_ABORTED', undefined],
  ])('with %s fails and changes nothing', async (_case, queries, truths, options, code, row) => {
    const own = metric({ candidates: await candidates(), ks });
    const update = (): Promise<void> => own.updateState(queries as number[][], truths as number[][], options as object);
    const expected = { code, ...(row === undefined ? {} : { row }) };
    expect(await failureOf(update())).toMatchObject(expected);
    await own.updateState([[1], [1]], [[3], [2]]);
    expect(await failureOf(update())).toMatchObject(expected);
    expect(own.result()).toEqual(names(1 / 2, 1));
  });
});

it('closes the layer that it made, not one that was given', async () => {
  const layer = await opened(new BruteForce({ threads: 2 })).indexFromDataset(line);
  const given = metric({ candidates: layer, ks });
  const pending = given.updateState([[1]], [[3]]);
  await given.close();
  await pending;
  expect(given.result()).toEqual(names(1, 1));
  expect(await failureOf(given.updateState([[1]], [[3]]))).toMatchObject({ code: 'SCANNERY_CLOSED' });
  expect((await layer.call([[1]], 1))[1]).toEqual([['a']]);
  const own = metric({ candidates: line, ks });
  await own.updateState([[1]], [[3]]);
  await own.close();
  await own.close();
  expect(await failureOf(own.updateState([[1]], [[3]]))).toMatchObject({ code: 'SCANNERY_CLOSED' });
});

it('refuses updates of a layer without candidates', async () => {
  const own = metric({ candidates: opened(new BruteForce()), ks });
  expect(await failureOf(own.updateState([[1]], [[3]]))).toMatchObject({ code: 'SCANNERY_NOT_INDEXED' });
});
