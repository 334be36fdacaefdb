import { describe, expect, it } from 'vitest';
import { FactorizedTopK } from '../../../src/recommender/layers/factorized-top-k.ts';
import { BatchTopKAccuracy, Retrieval } from '../../../src/recommender/model/retrieval-task.ts';
import { failureOf } from '../../support/failures.ts';

describe('Retrieval', () => {
  it('has defaults', () => {
    expect(new Retrieval()).toMatchObject({
      ...{ temperature: 1, numHardNegatives: undefined, removeAccidentalHits: false },
      ...{ batchMetrics: [], factorizedMetrics: null },
    });
  });

  it('keeps what it is given', async () => {
    await using metric = new FactorizedTopK({ candidates: [Float32Array.of(1)] as never });
    const batchMetrics = [new BatchTopKAccuracy({ k: 1 })];
    const options = {
      metrics: metric,
      batchMetrics,
      temperature: 0.1,
      numHardNegatives: 3,
      removeAccidentalHits: true,
    };
    const task = new Retrieval(options);
    batchMetrics.pop();
    expect(task).toMatchObject({ temperature: 0.1, numHardNegatives: 3, removeAccidentalHits: true });
    expect(task.batchMetrics.map(({ k }) => k)).toEqual([1]);
    expect(task.factorizedMetrics).toBe(metric);
    expect(new Retrieval({ metrics: null, batchMetrics: undefined }).factorizedMetrics).toBeNull();
  });

  it.each([
    ['temperature', [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1', null]],
    ['numHardNegatives', [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null]],
    ['removeAccidentalHits', [1, 'true', null]],
    ['metrics', ['x', {}, [], new BatchTopKAccuracy()]],
    ['batchMetrics', [null, {}, new BatchTopKAccuracy(), 'abc']],
    ['whatever', [1]],
  ])('refuses a bad %s', async (option, values) => {
    for (const value of values) {
      const error = await failureOf(() => new Retrieval({ [option]: value }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
      expect(error.value).toBe(value);
    }
  });

  it('names the place of a batch metric that is none', async () => {
    const error = await failureOf(() => new Retrieval({ batchMetrics: [new BatchTopKAccuracy(), { k: 1 } as never] }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'batchMetrics[1]' });
  });

  it('wants an object', async () => {
    for (const value of [null, 3, 'x', []]) {
      const error = await failureOf(() => new Retrieval(value as never));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'options', value });
    }
  });
});

describe('BatchTopKAccuracy', () => {
  it('is named after its k, unless it has a name', () => {
    expect(new BatchTopKAccuracy()).toMatchObject({ k: 5, name: 'batch_top_5_categorical_accuracy' });
    expect(new BatchTopKAccuracy({ k: 10 }).name).toBe('batch_top_10_categorical_accuracy');
    expect(new BatchTopKAccuracy({ k: 1, name: 'hits' }).name).toBe('hits');
  });

  it.each([
    ['k', [0, -1, 1.5, '5', null, Number.NaN]],
    ['name', ['', 5, null]],
    ['K', [5]],
  ])('refuses a bad %s', async (option, values) => {
    for (const value of values) {
      const error = await failureOf(() => new BatchTopKAccuracy({ [option]: value }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
      expect(error.value).toBe(value);
    }
  });

  it('counts those with fewer than k logits above their own', () => {
    const metric = new BatchTopKAccuracy({ k: 2 });
    expect(metric.result()).toBe(0);
    metric.update([0, 1, 2, 3], null);
    expect(metric.result()).toBe(0.5);
    metric.update(Uint32Array.of(0, 0, 0, 0), null);
    expect(metric.result()).toBe(0.75);
    metric.resetStates();
    expect(metric.result()).toBe(0);
    metric.update([5], null);
    expect(metric.result()).toBe(0);
  });

  it('weighs them', () => {
    const metric = new BatchTopKAccuracy({ k: 1 });
    metric.update([0, 1], [3, 1]);
    expect(metric.result()).toBe(0.75);
    metric.resetStates();
    metric.update([0, 1], [0, 0]);
    expect(metric.result()).toBe(0);
  });
});
