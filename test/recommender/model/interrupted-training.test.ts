import { expect, it, vi } from 'vitest';
import { Threads } from '../../../src/coordinator/threads.ts';
import { Adagrad, Embedding, type Logs, Tower, TwoTowerModel } from '../../../src/recommender/index.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';

const SIZE = 50;
const random = new Random(3);
const column = (rows: number): number[] => Array.from({ length: rows }, () => random.int(0, SIZE - 1));
const BATCH = { user: column(200), item: column(200) };

function make(threads = 1): TwoTowerModel {
  const tower = (): Tower => new Tower([new Embedding(SIZE, 8)]);
  const columns = { queryFeatures: 'user', candidateFeatures: 'item', threads };
  const model = new TwoTowerModel({ queryTower: tower(), candidateTower: tower(), ...columns });
  model.compile({ optimizer: new Adagrad({ learningRate: 0.1 }) });
  return model;
}

it('onEpochEnd may evaluate, embed, save nothing and fit no further', async () => {
  await using model = make();
  const evaluated: Logs[] = [];
  const { epoch } = await model.fit([BATCH], {
    epochs: 3,
    onEpochEnd: async () => {
      evaluated.push(await model.evaluate([BATCH]));
    },
  });
  expect(epoch).toEqual([1, 2, 3]);
  const losses = evaluated.map((logs) => logs.loss!);
  expect(losses).toEqual([...losses].sort((a, b) => b - a));
  expect(evaluated[2]).toEqual(await model.evaluate([BATCH]));
});

it('what onEpochEnd starts without awaiting it ends before the next epoch', async () => {
  await using model = make();
  const order: string[] = [];
  await model.fit([BATCH], {
    epochs: 2,
    onProgress: ({ epoch }) => order.push(`epoch ${epoch}`),
    onEpochEnd: (epoch) => {
      void model.evaluate([BATCH]).then(() => order.push(`evaluated ${epoch}`));
    },
  });
  expect(order).toEqual(['epoch 1', 'evaluated 1', 'epoch 2', 'evaluated 2']);
});

it('an error of onEpochEnd ends training and leaves the model usable', async () => {
  await using model = make();
  const error = new Error('mine');
  const fitting = model.fit([BATCH], {
    onEpochEnd: () => {
      throw error;
    },
  });
  await expect(fitting).rejects.toBe(error);
  expect((await model.fit([BATCH])).epoch).toEqual([1]);
});

it('onEpochEnd may close the model: training then fails', async () => {
  const model = make();
  const fitting = model.fit([BATCH], { epochs: 2, onEpochEnd: () => model.close() });
  expect(await failureOf(fitting)).toMatchObject({ code: 'SCANNERY_CLOSED' });
  expect(await model.queryTower.embed([1])).toHaveLength(8);
});

it('a worker that dies fails the training, and the next one goes on with new threads', async () => {
  const model = make(2);
  const phases = vi.spyOn(Threads.prototype, 'runPhase');
  try {
    let killed = false;
    const fitting = model.fit([BATCH], {
      epochs: 100_000,
      onEpochEnd: async () => {
        if (killed) return;
        killed = true;
        const [threads] = phases.mock.contexts as Threads[];
        // Not awaited: the thread ends somewhere in a later step.
        void threads!.workers[0]!.terminate();
      },
    });
    const outcome = await Promise.race([failureOf(fitting), until(5000)]);
    if (outcome === undefined) throw new Error('training went on as if nothing had happened, or hung');
    expect(outcome).toMatchObject({ code: 'SCANNERY_WORKER_FAILED' });
    const { history } = await model.fit([BATCH], { epochs: 2 });
    expect(history.loss!.every(Number.isFinite)).toBe(true);
  } finally {
    phases.mockRestore();
    await model.close();
  }
});

const until = (milliseconds: number): Promise<undefined> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds, undefined).unref());
