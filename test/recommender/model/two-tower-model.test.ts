import { describe, expect, it, vi } from 'vitest';
import { FactorizedTopK } from '../../../src/recommender/layers/factorized-top-k.ts';
import { Dense } from '../../../src/recommender/model/dense.ts';
import { Embedding } from '../../../src/recommender/model/embedding.ts';
import type { Logs, TwoTowerModelOptions } from '../../../src/recommender/model/model-options.ts';
import { Adagrad, Adam } from '../../../src/recommender/model/optimizers.ts';
import type { TrainingProgress } from '../../../src/recommender/model/progress-bar.ts';
import { BatchTopKAccuracy, Retrieval } from '../../../src/recommender/model/retrieval-task.ts';
import { Tower } from '../../../src/recommender/model/tower.ts';
import { TwoTowerModel } from '../../../src/recommender/model/two-tower-model.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';
import { embed, lossOf, weightsOf } from '../../support/reference-model.ts';

const SIZE = 12;
const simple = (dimensions = 8): Tower => new Tower([new Embedding(SIZE, dimensions)]);

function make(options: Partial<TwoTowerModelOptions> = {}, optimizer?: Adagrad | Adam): TwoTowerModel {
  const model = new TwoTowerModel({
    ...{ queryTower: simple(), candidateTower: simple(), queryFeatures: 'user', candidateFeatures: 'item' },
    ...{ threads: 1, ...options },
  });
  model.compile(optimizer === undefined ? undefined : { optimizer });
  return model;
}

const weights = (model: TwoTowerModel) => [model.queryTower, model.candidateTower].map(weightsOf);

/** Everybody's favourite item has their own number. */
function batch(rows: number, seed = rows): { user: number[]; item: number[]; weight: number[] } {
  const random = new Random(seed);
  const user = random.shuffle(Array.from({ length: rows }, (_, i) => i % SIZE));
  return { user, item: [...user], weight: user.map(() => random.float()) };
}
const DATA = [batch(12, 1), batch(12, 2), batch(7, 3)];
const accuracy = () => new Retrieval({ batchMetrics: [new BatchTopKAccuracy({ k: 1, name: 'top' })] });
const LOGS = ['loss', 'regularization_loss', 'total_loss', 'mean_loss', 'top'];

describe('the constructor', () => {
  const tower = simple();
  it.each<[string, object, string]>([
    ['no query tower', { queryTower: undefined }, 'queryTower'],
    ['a candidate tower that is none', { candidateTower: {} }, 'candidateTower'],
    ['other dimensions', { candidateTower: simple(9) }, 'candidateTower'],
    ['one tower for both', { queryTower: tower, candidateTower: tower }, 'candidateTower'],
    ['no column for the query tower', { queryFeatures: undefined }, 'queryFeatures'],
    ['no column for the candidate tower', { candidateFeatures: undefined }, 'candidateFeatures'],
    ['a selector of a wrong type', { sampleWeight: [1, 2] }, 'sampleWeight'],
    ['a selector that is null', { candidateIds: null }, 'candidateIds'],
    ['a task that is none', { task: { temperature: 1 } }, 'task'],
    ['too few threads', { threads: 0 }, 'threads'],
    ['too many threads', { threads: 65 }, 'threads'],
    ['a bad seed', { seed: -1 }, 'seed'],
    ['an unknown option', { learningRate: 0.1 }, 'learningRate'],
  ])('refuses %s', async (_, options, option) => {
    expect(await failureOf(() => make(options))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
  });

  it('refuses towers that share a layer', async () => {
    const shared = new Dense(8);
    const towers = [0, 1].map(() => new Tower([new Embedding(3, 4), shared]));
    const error = await failureOf(() => make({ queryTower: towers[0]!, candidateTower: towers[1]! }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'candidateTower', value: shared });
  });
});

describe('fit', () => {
  it('learns, and tells so epoch by epoch', async () => {
    await using model = make({ task: accuracy() }, new Adagrad({ learningRate: 0.5 }));
    const { epoch, history } = await model.fit(DATA, { epochs: 12, validationData: DATA.slice(1) });
    expect(epoch).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(Object.keys(history)).toEqual([...LOGS, ...LOGS.map((name) => `val_${name}`)]);
    for (const figures of Object.values(history)) expect(figures).toHaveLength(12);
    expect(history.mean_loss![11]!).toBeLessThan(history.mean_loss![0]! / 4);
    expect(history.top![0]!).toBeLessThan(0.6);
    expect([history.top![11], history.val_top![11]]).toEqual([1, 1]);
    expect(history.total_loss).toEqual(history.loss);
    expect(new Set(history.regularization_loss)).toEqual(new Set([0]));
    const evaluated = await model.evaluate(DATA.slice(1));
    for (const name of LOGS) expect(history[`val_${name}`]![11]).toBe(evaluated[name]);
  });

  it('takes data of any kind that can be gone through again', async () => {
    const again = {
      [Symbol.asyncIterator]: async function* () {
        yield* DATA;
      },
    };
    await using model = make();
    await using other = make();
    expect(await model.fit(again, { epochs: 2 })).toEqual(await other.fit(new Set(DATA), { epochs: 2 }));
    const once = DATA.values();
    expect(await failureOf(other.fit(once, { epochs: 2 }))).toMatchObject({ option: 'data' });
  });

  it('needs an optimiser, data and good options', async () => {
    const options = {
      queryTower: simple(),
      candidateTower: simple(),
      queryFeatures: 'user',
      candidateFeatures: 'item',
    };
    await using model = new TwoTowerModel({ ...options, threads: 1 });
    expect(await failureOf(model.fit(DATA))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'optimizer' });
    for (const optimizer of [null, 'adam', {}]) {
      expect(await failureOf(() => model.compile({ optimizer } as never))).toMatchObject({ option: 'optimizer' });
    }
    expect(await failureOf(() => model.compile({ optimiser: new Adam() } as never))).toMatchObject({
      option: 'optimiser',
    });
    expect(await failureOf(() => model.compile(null as never))).toMatchObject({ option: 'options' });
    model.compile();
    for (const data of [[], undefined, null, 3, {}]) {
      expect(await failureOf(model.fit(data as never))).toMatchObject({
        code: 'SCANNERY_INVALID_OPTION',
        option: 'data',
      });
      expect(await failureOf(model.evaluate(data as never))).toMatchObject({ option: 'data' });
    }
    const bad = { epochs: [0, -1, 1.5, '2'], verbose: [2, '1', true], onProgress: [1], onEpochEnd: [{}], signal: [{}] };
    for (const [option, values] of Object.entries({ ...bad, validationData: [3], shuffle: [true] })) {
      for (const value of values) {
        const error = await failureOf(model.fit(DATA, { [option]: value }));
        expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
      }
    }
    expect(await failureOf(model.evaluate(DATA, { epochs: 1 } as never))).toMatchObject({ option: 'epochs' });
  });

  it('reports after each batch', async () => {
    await using model = make({ task: accuracy() });
    const seen: TrainingProgress[] = [];
    const ends: [number, Logs][] = [];
    const callbacks = {
      onProgress: (p: TrainingProgress) => seen.push(p),
      onEpochEnd: (...end: [number, Logs]) => ends.push(end),
    };
    const { history } = await model.fit(DATA, { epochs: 2, validationData: DATA, ...callbacks });
    const places = seen.map(({ epoch, epochs, batch, batches }) => [epoch, epochs, batch, batches]);
    const [all, none] = [3, undefined];
    expect(places).toEqual([
      [1, 2, 1, none],
      [1, 2, 2, none],
      [1, 2, 3, none],
      [2, 2, 1, all],
      [2, 2, 2, all],
      [2, 2, 3, all],
    ]);
    for (const { seconds, logs } of seen) expect([seconds >= 0, Object.keys(logs)]).toEqual([true, LOGS]);
    expect(seen[2]!.logs.mean_loss).toBe(history.mean_loss![0]);
    expect(ends.map(([epoch]) => epoch)).toEqual([1, 2]);
    expect(ends[1]![1]).toEqual(Object.fromEntries(Object.entries(history).map(([name, values]) => [name, values[1]])));
  });

  it('passes on what a callback or the data throws, and can be called again', async () => {
    await using model = make();
    await using other = make();
    const boom = new RangeError('boom');
    const raise = () => {
      throw boom;
    };
    await expect(model.fit(DATA, { onProgress: raise })).rejects.toBe(boom);
    await other.fit(DATA.slice(0, 1));
    expect(weights(model)).toEqual(weights(other));
    await expect(model.fit(DATA, { onEpochEnd: async () => raise() })).rejects.toBe(boom);
    await expect(
      model.fit(
        (function* () {
          yield DATA[0]!;
          raise();
        })(),
      ),
    ).rejects.toBe(boom);
    await other.fit([...DATA, DATA[0]!]);
    expect(await model.fit(DATA)).toEqual(await other.fit(DATA));
  });

  it('ends early when onEpochEnd says false, or promises it', async () => {
    await using model = make();
    expect((await model.fit(DATA, { epochs: 9, onEpochEnd: (epoch) => epoch < 3 })).epoch).toEqual([1, 2, 3]);
    expect((await model.fit(DATA, { epochs: 9, onEpochEnd: async () => false })).epoch).toEqual([1]);
    expect((await model.fit(DATA, { epochs: 2, onEpochEnd: () => 0 })).epoch).toEqual([1, 2]);
  });

  it('ends at a signal, with the weights of the batches that were done', async () => {
    await using model = make();
    await using other = make();
    const before = weights(model);
    expect(await failureOf(model.fit(DATA, { signal: AbortSignal.abort('why') }))).toMatchObject({
      code: 'SCANNERY_ABORTED',
      cause: 'why',
    });
    expect((await failureOf(model.evaluate(DATA, { signal: AbortSignal.abort() }))).code).toBe('SCANNERY_ABORTED');
    expect(weights(model)).toEqual(before);
    const controller = new AbortController();
    const work = model.fit(DATA, { epochs: 5, signal: controller.signal, onProgress: () => controller.abort() });
    expect((await failureOf(work)).code).toBe('SCANNERY_ABORTED');
    await other.fit(DATA.slice(0, 1));
    expect(weights(model)).toEqual(weights(other));
    expect(await model.fit(DATA)).toEqual(await other.fit(DATA));
  });

  it('writes a line per epoch on standard error when it is verbose', async () => {
    await using model = make();
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      await model.fit(DATA, { epochs: 2, verbose: 1, validationData: DATA });
      const text = write.mock.calls.map(([written]) => String(written)).join('');
      expect(text).toMatch(/Epoch 1\/2 3\/3 .* - loss: .* - val_loss: [\s\S]*Epoch 2\/2 3\/3 .*\n$/);
      write.mockClear();
      await model.fit(DATA, { verbose: 0 });
      expect(write).not.toHaveBeenCalled();
    } finally {
      write.mockRestore();
    }
  });
});

describe('evaluate', () => {
  it('tells the loss of the last batch, the mean over all, and the metrics, and learns nothing', async () => {
    await using model = make({ task: accuracy() });
    const [q, c] = weights(model);
    const losses = DATA.map(({ user, item }) =>
      lossOf(embed(model.queryTower, q!, user), embed(model.candidateTower, c!, item), model.task),
    );
    const logs = await model.evaluate(DATA);
    expect(Object.keys(logs)).toEqual(LOGS);
    expect(logs.loss).toBeCloseTo(losses[2]!, 4);
    expect(logs.mean_loss).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / 31, 4);
    expect(await model.evaluate(DATA)).toEqual(logs);
    expect(weights(model)).toEqual([q, c]);
  });

  it('takes means by weight', async () => {
    await using model = make({ task: accuracy(), sampleWeight: 'weight' });
    await using plain = make({ task: accuracy() });
    const twos = DATA.map((given) => ({ ...given, weight: given.user.map(() => 2) }));
    const [heavy, light] = [await model.evaluate(twos), await plain.evaluate(DATA)];
    expect(heavy.loss).toBeCloseTo(2 * light.loss!, 4);
    expect([heavy.mean_loss, heavy.top]).toEqual([expect.closeTo(light.mean_loss!, 5), light.top]);
    const none = await model.evaluate([{ ...DATA[0]!, weight: DATA[0]!.user.map(() => 0) }]);
    expect([none.loss, none.mean_loss, none.top]).toEqual([0, 0, 0]);
  });

  it('measures over all candidates, afresh each time', async () => {
    await using model = make({}, new Adagrad({ learningRate: 0.5 }));
    await model.fit(DATA, { epochs: 12 });
    const items = await model.candidateTower.embed(Array.from({ length: SIZE }, (_, i) => i));
    const candidates = [Array.from({ length: SIZE }, (_, i) => [...items.subarray(8 * i, 8 * i + 8)])];
    await using metric = new FactorizedTopK({ candidates, ks: [1, 3] });
    const names = [1, 3].map((k) => `factorized_top_k/top_${k}_categorical_accuracy`);
    model.task.factorizedMetrics = metric;
    const wrong = await model.evaluate([{ user: [0, 1, 2], item: [3, 4, 5] }]);
    expect(wrong[names[0]!]).toBe(0);
    const logs = await model.evaluate(DATA);
    expect(Object.keys(logs)).toEqual([...names, ...LOGS.slice(0, 4)]);
    expect([logs[names[0]!], logs[names[1]!]]).toEqual([1, 1]);
    expect(await model.evaluate(DATA)).toEqual(logs);
  });
});

describe('calls at once', () => {
  it('take turns', async () => {
    await using model = make();
    await using other = make();
    const calls = [model.fit(DATA), model.evaluate(DATA), model.fit([{}]), model.fit(DATA), model.evaluate(DATA)];
    const together = await Promise.allSettled(calls);
    const apart: unknown[] = [await other.fit(DATA), await other.evaluate(DATA)];
    apart.push(await other.fit(DATA), await other.evaluate(DATA));
    expect(together.filter(({ status }) => status === 'fulfilled')).toEqual(
      apart.map((value) => ({ status: 'fulfilled', value })),
    );
    expect(together[2]).toMatchObject({ status: 'rejected', reason: { option: 'batch' } });
  });

  it('are waited for by close, after which only towers go on', async () => {
    const model = make();
    const order: string[] = [];
    const works = [model.fit(DATA, { epochs: 3 }), model.evaluate(DATA)];
    for (const work of works) work.then(() => order.push('done'));
    const late = model.close().then(() => order.push('closed'));
    expect((await failureOf(model.fit(DATA))).code).toBe('SCANNERY_CLOSED');
    await late;
    expect(order).toEqual(['done', 'done', 'closed']);
    expect((await failureOf(model.evaluate(DATA))).code).toBe('SCANNERY_CLOSED');
    await model.close();
    const user = DATA[0]!.user;
    const found = await model.queryTower.embed(user);
    expect([...found]).toEqual(embed(model.queryTower, weights(model)[0]!, user).flat());
  });

  it('may be none before close', async () => {
    const model = make();
    await Promise.all([model.close(), model[Symbol.asyncDispose]()]);
    expect((await failureOf(model.fit(DATA))).code).toBe('SCANNERY_CLOSED');
  });
});
