import { describe, expect, it } from 'vitest';
import { Embedding } from '../../../src/recommender/model/embedding.ts';
import { Adagrad, Adam } from '../../../src/recommender/model/optimizers.ts';
import { Tower } from '../../../src/recommender/model/tower.ts';
import { TwoTowerModel } from '../../../src/recommender/model/two-tower-model.ts';
import { failureOf } from '../../support/failures.ts';

describe('Adagrad', () => {
  it("has Keras's defaults", () => {
    const optimizer = new Adagrad();
    expect(optimizer.step()).toEqual({ kind: 'adagrad', learningRate: 0.001, epsilon: 1e-7 });
    expect(optimizer.slots).toEqual([0.1]);
  });

  it('takes its options, undefined for the default', () => {
    const optimizer = new Adagrad({ learningRate: 0.5, initialAccumulatorValue: 0, epsilon: undefined });
    expect(optimizer.step()).toEqual({ kind: 'adagrad', learningRate: 0.5, epsilon: 1e-7 });
    expect(optimizer.slots).toEqual([0]);
  });

  it('does not follow later changes of the object it was given', () => {
    const options = { learningRate: 0.5 };
    const optimizer = new Adagrad(options);
    options.learningRate = 7;
    expect(optimizer.step().kind === 'adagrad' && optimizer.step()).toMatchObject({ learningRate: 0.5 });
  });

  it.each([
    ['learningRate', [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1.1e10, '0.1', null, 1n]],
    ['initialAccumulatorValue', [-1e-9, Number.NaN, Number.POSITIVE_INFINITY, '0', false]],
    // Below what f32 tells from 0, weights without a gradient would become 0 / 0.
    ['epsilon', [0, -1e-7, 1e-50, Number.NaN, Number.POSITIVE_INFINITY, '1e-7']],
  ])('refuses a bad %s', async (option, values) => {
    for (const value of values) {
      const error = await failureOf(() => new Adagrad({ [option]: value }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
    }
  });

  it('refuses what it does not know', async () => {
    const error = await failureOf(() => new Adagrad({ beta1: 0.9 } as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'beta1', value: 0.9 });
    expect(await failureOf(() => new Adagrad(0.1 as never))).toMatchObject({ option: 'options', value: 0.1 });
    expect(await failureOf(() => new Adagrad(null as never))).toMatchObject({ option: 'options', value: null });
  });
});

describe('Adam', () => {
  it("has Keras's defaults", () => {
    const optimizer = new Adam();
    expect(optimizer.slots).toEqual([0, 0]);
    const first = optimizer.step(1);
    expect(first).toMatchObject({ kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-7 });
    expect(first).toMatchObject({ alpha: expect.closeTo((0.001 * Math.sqrt(0.001)) / 0.1, 10) });
  });

  it.each([1, 2, 3, 7, 8, 100, 1023, 1024, 123_457])('corrects for the moments starting at zero, at step %i', (t) => {
    const { alpha } = new Adam({ learningRate: 0.5, beta1: 0.8, beta2: 0.99 }).step(t) as { alpha: number };
    const expected = (0.5 * Math.sqrt(1 - 0.99 ** t)) / (1 - 0.8 ** t);
    expect(Math.abs(alpha / expected - 1)).toBeLessThan(1e-12);
  });

  it.each([
    ['learningRate', [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '0.1']],
    ['beta1', [-0.1, 1, 1.5, Number.NaN, '0.9', 1 - 1e-9]],
    ['beta2', [-0.1, 1, Number.POSITIVE_INFINITY, null, 1 - 1e-9]],
    ['epsilon', [0, 1e-50, Number.NaN, {}]],
  ])('refuses a bad %s', async (option, values) => {
    for (const value of values) {
      const error = await failureOf(() => new Adam({ [option]: value }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
    }
  });

  it('takes decays as near to 1 as f32 tells apart', () => {
    const { beta1, beta2 } = new Adam({ beta1: 1 - 1e-7, beta2: 1 - 1e-7 }).step(1) as { beta1: number; beta2: number };
    expect(1 - Math.fround(beta1)).toBeGreaterThan(0);
    expect(1 - Math.fround(beta2)).toBeGreaterThan(0);
  });

  it('refuses what it does not know', async () => {
    const error = await failureOf(() => new Adam({ initialAccumulatorValue: 0.1 } as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'initialAccumulatorValue', value: 0.1 });
  });
});

describe.each([
  ['Adagrad', () => new Adagrad({ learningRate: 0.5 })],
  ['Adam', () => new Adam({ learningRate: 0.05 })],
])('compile with %s', (_, optimizer) => {
  const make = (from?: TwoTowerModel): TwoTowerModel => {
    const tower = (): Tower => new Tower([new Embedding(6, 8)]);
    const { queryTower = tower(), candidateTower = tower() } = from ?? {};
    const features = { queryFeatures: 'user', candidateFeatures: 'item' };
    const model = new TwoTowerModel({ queryTower, candidateTower, ...features, threads: 1 });
    model.compile({ optimizer: optimizer() });
    return model;
  };
  const DATA = [
    { user: [0, 1, 2, 3], item: [3, 2, 1, 0] },
    { user: [1, 2, 5], item: [2, 5, 1] },
  ];
  const weights = ({ queryTower, candidateTower }: TwoTowerModel) =>
    [queryTower, candidateTower].map(({ features }) => features[0]!.embedding.getWeights());

  it('starts the slots afresh and keeps the weights', async () => {
    await using model = make();
    await using plain = make();
    await using taken = make();
    for (const each of [model, plain, taken]) await each.fit(DATA, { epochs: 2 });
    const before = weights(model);
    model.compile({ optimizer: optimizer() });
    expect(weights(model)).toEqual(before);
    // A model of the same towers has slots of its own.
    await using fresh = make(taken);
    for (const each of [model, plain, fresh]) await each.fit(DATA, { epochs: 2 });
    expect(weights(model)).toEqual(weights(fresh));
    expect(weights(model)).not.toEqual(weights(plain));
  });

  it('starts afresh after another optimiser, too', async () => {
    await using model = make();
    await using other = make();
    model.compile({ optimizer: new Adam() });
    model.compile({ optimizer: new Adagrad() });
    model.compile({ optimizer: optimizer() });
    expect(await model.fit(DATA)).toEqual(await other.fit(DATA));
    const slowly = { optimizer: new Adam({ learningRate: 1e-30 }) };
    for (const each of [model, other]) {
      each.compile(each === model ? slowly : { optimizer: new Adagrad({ learningRate: 1e-30 }) });
      await each.fit(DATA);
      each.compile({ optimizer: optimizer() });
    }
    expect(await model.fit(DATA)).toEqual(await other.fit(DATA));
    expect(weights(model)).toEqual(weights(other));
  });

  it('waits for the batch in work', async () => {
    await using model = make();
    await using other = make();
    await model.fit(DATA, { onProgress: ({ batch }) => batch === 1 && model.compile({ optimizer: optimizer() }) });
    await other.fit(DATA.slice(0, 1));
    other.compile({ optimizer: optimizer() });
    await other.fit(DATA.slice(1));
    expect(weights(model)).toEqual(weights(other));
    // The batch in work goes on by the slots that it began with.
    let compiled = false;
    const data = (function* () {
      yield DATA[0]!;
    })();
    const work = model.fit(data);
    setImmediate(() => {
      model.compile({ optimizer: optimizer() });
      compiled = true;
    });
    await work;
    expect(compiled).toBe(true);
    await other.fit(DATA.slice(0, 1));
    expect(weights(model)).toEqual(weights(other));
  });
});
