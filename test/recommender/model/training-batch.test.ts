import { afterEach, describe, expect, it, vi } from 'vitest';
import { Dense } from '../../../src/recommender/model/dense.ts';
import { Embedding } from '../../../src/recommender/model/embedding.ts';
import type { Features } from '../../../src/recommender/model/features.ts';
import type { TwoTowerModelOptions } from '../../../src/recommender/model/model-options.ts';
import { Adagrad, Adam } from '../../../src/recommender/model/optimizers.ts';
import { Retrieval } from '../../../src/recommender/model/retrieval-task.ts';
import { Tower } from '../../../src/recommender/model/tower.ts';
import { type BatchSelectors, trainingBatch } from '../../../src/recommender/model/training-batch.ts';
import { TwoTowerModel } from '../../../src/recommender/model/two-tower-model.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';
import { namedArrays, weightsOf } from '../../support/reference-model.ts';

const unnamed = new Tower([new Embedding(10, 8)]);
const named = new Tower({ item: [new Embedding(10, 8)], decade: [new Embedding(10, 8)] });
const BATCH = { user: [1, 2, 3], item: [4, 5, 6], decade: [7, 8, 9], weight: [0, 1, 2.5], p: [1, 0.5, 1e-9] };

const take = (selectors: BatchSelectors, batch: unknown = BATCH) =>
  trainingBatch(batch as Features, { queryFeatures: 'user', ...selectors }, unnamed, named);
const failure = (selectors: BatchSelectors, batch?: unknown) => failureOf(() => take(selectors, batch));

describe('what towers take', () => {
  it('is a column by name, or the whole batch', () => {
    expect(take({})).toEqual({
      ...{ rows: 3, query: [BATCH.user], candidate: [BATCH.item, BATCH.decade] },
      ...{ candidateIds: null, sampleWeight: null, corrections: null },
    });
  });

  it('is what a function makes of the batch', () => {
    const typed = Float32Array.of(1, 2, 3);
    const given = take({
      queryFeatures: (batch) => (batch as typeof BATCH).user.map((value) => value + 1),
      candidateFeatures: (batch) => ({ decade: (batch as typeof BATCH).item, item: typed }),
      candidateIds: () => ['x', 'y', 'x'],
    });
    expect(given).toMatchObject({ query: [[2, 3, 4]], candidate: [typed, BATCH.item], candidateIds: ['x', 'y', 'x'] });
  });

  it('may be made of a batch that is one column', () => {
    const pairs = [11, 12, 13];
    const features: BatchSelectors = {
      queryFeatures: (batch) => (batch as number[]).map((pair) => pair % 10),
      candidateFeatures: (batch) => ({ item: batch, decade: batch }) as Features,
    };
    expect(take(features, pairs)).toMatchObject({ rows: 3, query: [[1, 2, 3]], candidate: [pairs, pairs] });
  });

  it('passes on what a function throws', () => {
    const boom = new RangeError('boom');
    const queryFeatures = (): never => {
      throw boom;
    };
    expect(() => take({ queryFeatures })).toThrow(boom);
  });

  it.each<[string, BatchSelectors, unknown, object]>([
    ['a column that the batch lacks', { queryFeatures: 'usr' }, BATCH, { option: 'queryFeatures', value: 'usr' }],
    ['a feature that the batch lacks', {}, { user: [1], item: [1] }, { option: 'candidateFeatures.decade' }],
    ['one column for named features', { candidateFeatures: 'item' }, BATCH, { option: 'candidateFeatures' }],
    ['named columns for one feature', { queryFeatures: (batch) => batch }, BATCH, { option: 'queryFeatures' }],
    ['a name, of a batch that is one column', {}, [1, 2], { option: 'batch' }],
    ['a function that gives nothing', { queryFeatures: () => undefined as never }, BATCH, { option: 'queryFeatures' }],
    ['a function of too few rows', { queryFeatures: () => [1, 2] }, BATCH, { option: 'queryFeatures', value: 2 }],
    [
      ...([
        'too many candidates',
        { candidateFeatures: () => ({ item: [1, 2, 3, 4], decade: [1, 2, 3, 4] }) },
      ] as const),
      ...([BATCH, { option: 'candidateFeatures', value: 4 }] as const),
    ],
    ['columns of different length', {}, { ...BATCH, item: [4, 5] }, { option: 'batch.item', value: 2 }],
    ['a column that is none', {}, { ...BATCH, user: 'abc' }, { option: 'batch.user', value: 'abc' }],
    ['no examples', {}, { user: [], item: [], decade: [] }, { option: 'batch' }],
    ['no columns', {}, {}, { option: 'batch' }],
    ['null', {}, null, { option: 'batch', value: null }],
    ['a string', {}, 'abc', { option: 'batch', value: 'abc' }],
  ])('is refused: %s', async (_, selectors, batch, expected) => {
    expect(await failure(selectors, batch)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', ...expected });
  });
});

describe('sampleWeight', () => {
  it('is a column of numbers, of any type', () => {
    expect(take({ sampleWeight: 'weight' }).sampleWeight).toEqual(Float32Array.of(0, 1, 2.5));
    const typed = take({ sampleWeight: () => Int32Array.of(3, 0, 1) });
    expect(typed.sampleWeight).toEqual(Float32Array.of(3, 0, 1));
  });

  it.each([[-1e-9], [Number.NaN], [Number.POSITIVE_INFINITY], [1e39], ['1'], [1n], [null], [undefined], [true]])(
    'names the row of %s',
    async (value) => {
      const error = await failure({ sampleWeight: 'weight' }, { ...BATCH, weight: [1, value, value] });
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'sampleWeight', row: 1 });
      expect(error.value).toBe(value);
    },
  );

  it('is one for each example', async () => {
    expect(await failure({ sampleWeight: () => [1, 1] })).toMatchObject({ option: 'sampleWeight', value: 2 });
    expect(await failure({ sampleWeight: () => 1 as never })).toMatchObject({ option: 'sampleWeight', value: 1 });
    expect(await failure({ sampleWeight: 'wait' })).toMatchObject({ option: 'sampleWeight', value: 'wait' });
  });
});

describe('candidateSamplingProbability', () => {
  it('becomes its logarithm, from a millionth up', () => {
    const { corrections } = take({ candidateSamplingProbability: 'p' });
    expect(corrections![0]).toBe(0);
    expect(corrections![1]).toBeCloseTo(Math.log(0.5), 6);
    expect(corrections![2]).toBeCloseTo(Math.log(1e-6), 5);
    const least = take({ candidateSamplingProbability: () => [Number.MIN_VALUE, 1e-6, 1] }).corrections!;
    expect(least[0]).toBe(least[1]);
  });

  it.each([[0], [-0.5], [1.0000001], [Number.NaN], ['0.5'], [null], [1n]])('names the row of %s', async (value) => {
    const error = await failure({ candidateSamplingProbability: 'p' }, { ...BATCH, p: [1, 0.1, value] });
    const option = 'candidateSamplingProbability';
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, row: 2 });
    expect(error.value).toBe(value);
  });

  it('is one for each example', async () => {
    const error = await failure({ candidateSamplingProbability: () => new Float64Array(4).fill(1) });
    expect(error).toMatchObject({ option: 'candidateSamplingProbability', value: 4 });
  });
});

describe('candidateIds', () => {
  it('are one for each example', async () => {
    expect(take({ candidateIds: 'item' }).candidateIds).toBe(BATCH.item);
    expect(await failure({ candidateIds: 'title' })).toMatchObject({ option: 'candidateIds', value: 'title' });
    expect(await failure({ candidateIds: () => ['a'] })).toMatchObject({ option: 'candidateIds', value: 1 });
    expect(await failure({ candidateIds: () => 'abc' as never })).toMatchObject({
      option: 'candidateIds',
      value: 'abc',
    });
  });
});

describe('a step', () => {
  const deep = (): Tower =>
    new Tower({ user: [new Embedding(400, 5)], age: [new Embedding(9, 8)] }, [
      new Dense(20, { activation: 'relu' }),
      new Dense(12),
    ]);
  const make = (options: Partial<TwoTowerModelOptions> = {}): TwoTowerModel => {
    const model = new TwoTowerModel({
      ...{ queryTower: deep(), candidateTower: new Tower([new Embedding(700, 12)]), candidateFeatures: 'item' },
      ...{ candidateIds: 'item', sampleWeight: 'weight', candidateSamplingProbability: 'p', threads: 1, ...options },
    });
    model.compile({ optimizer: new Adam({ learningRate: 0.01 }) });
    return model;
  };
  const weights = (model: TwoTowerModel) => [model.queryTower, model.candidateTower].map(weightsOf);
  const rowsOf = (rows: number) => {
    const random = new Random(rows);
    const column = (next: () => number): number[] => Array.from({ length: rows }, next);
    return {
      ...{ user: column(() => random.int(0, 399)), age: column(() => random.int(0, 8)) },
      ...{ item: column(() => random.int(0, 699)), weight: column(() => random.float()), p: column(() => 0.5) },
    };
  };
  const GROWING = [8, 1, 17, 100, 530, 9, 700].map(rowsOf);
  const task = new Retrieval({ removeAccidentalHits: true, numHardNegatives: 50, temperature: 0.5 });

  const trained = async (options: Partial<TwoTowerModelOptions>, adagrad = false) => {
    await using model = make({ task, ...options });
    if (adagrad) model.compile({ optimizer: new Adagrad({ learningRate: 0.1 }) });
    const { history } = await model.fit(GROWING, { epochs: 2 });
    return { history, weights: weights(model) };
  };

  afterEach(() => vi.unstubAllEnvs());

  it('gives the same bits on any number of threads, at any time, for the same seed', async () => {
    for (const adagrad of [false, true]) {
      const once = await trained({}, adagrad);
      for (const threads of [1, 2, 3]) expect(await trained({ threads }, adagrad)).toEqual(once);
      expect((await trained({ seed: 43 }, adagrad)).weights).not.toEqual(once.weights);
    }
  });

  it.each(['scalar', 'simd'])('gives the same bits by the %s kernels', async (tier) => {
    const best = await trained({});
    vi.stubEnv('SCANNERY_KERNELS', tier);
    expect(await trained({ threads: 2 })).toEqual(best);
  });

  it('does not depend on how large batches were before', async () => {
    const expected = await trained({});
    await using model = make({ task });
    const before = weights(model);
    await model.evaluate([rowsOf(1500)]);
    expect(weights(model)).toEqual(before);
    const { history } = await model.fit(GROWING, { epochs: 2 });
    expect({ history, weights: weights(model) }).toEqual(expected);
  });

  it('takes any number of hard negatives', async () => {
    await using model = make({ task: new Retrieval() });
    const { loss } = await model.evaluate([rowsOf(33)]);
    for (const numHardNegatives of [32, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      await using other = make({ task: new Retrieval({ numHardNegatives }) });
      expect((await other.evaluate([rowsOf(33)])).loss).toBe(loss);
    }
  });

  it('tells equal ids from others for accidental hits, whatever they are', async () => {
    const loss = async (ids: readonly (string | number | bigint)[]): Promise<number> => {
      await using model = make({ task: new Retrieval({ removeAccidentalHits: true }), candidateIds: () => ids });
      return (await model.evaluate([rowsOf(4)])).loss!;
    };
    const different = await loss(['1', 1, 1n, 'a']);
    expect(await loss([5, 6, 7, 8])).toBe(different);
    expect(await loss(['a', 'b', 'c', 'a'])).toBeLessThan(different);
    expect(await loss([9, 9, 9, 9])).toBe(0);
  });

  it.each([
    ['Adagrad', new Adagrad({ learningRate: 1e10 })],
    ['Adam', new Adam({ learningRate: 1e10 })],
  ])('of %s fails when the loss is not finite, with the weights before that batch', async (_, optimizer) => {
    await using model = make({ candidateTower: deep(), candidateFeatures: undefined });
    model.compile({ optimizer });
    let before = weights(model);
    const onProgress = (): void => {
      before = weights(model);
    };
    const error = await failureOf(model.fit([rowsOf(20)], { epochs: 9, onProgress }));
    expect(error.code).toBe('SCANNERY_DIVERGED');
    expect(Number.isFinite(error.value)).toBe(false);
    const after = weights(model);
    expect(after).toEqual(before);
    expect(after.flatMap(namedArrays).every(([, values]) => values.every(Number.isFinite))).toBe(true);
  });

  const good = rowsOf(12);
  const at = (column: number[], row: number, value: number) => column.map((held, i) => (i === row ? value : held));
  it.each<[string, object, object]>([
    ['fewer rows of a column', { item: [1] }, { option: 'batch.item', value: 1 }],
    [
      'a candidate out of range',
      { item: at(good.item, 11, 700) },
      { option: 'candidateFeatures', row: 11, value: 700 },
    ],
    ['a query out of range', { age: at(good.age, 3, -1) }, { option: 'age', row: 3, value: -1 }],
    ['a bad weight', { weight: at(good.weight, 5, -1) }, { option: 'sampleWeight', row: 5, value: -1 }],
    ['a bad probability', { p: at(good.p, 0, 0) }, { option: 'candidateSamplingProbability', row: 0, value: 0 }],
    ['no ids', {}, { option: 'candidateIds' }],
  ])('learns nothing of a batch with %s', async (name, bad, expected) => {
    await using model = make({ task, ...(name === 'no ids' ? { candidateIds: undefined } : {}) });
    const before = weights(model);
    const error = await failureOf(model.fit([{ ...good, ...bad }]));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', ...expected });
    expect(weights(model)).toEqual(before);
  });
});
