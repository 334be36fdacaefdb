import { afterEach, expect, it, vi } from 'vitest';
import { Threads } from '../../src/coordinator/threads.ts';
import {
  Adagrad,
  Adam,
  Dense,
  Embedding,
  Retrieval,
  Streaming,
  Tower,
  TwoTowerModel,
} from '../../src/recommender/index.ts';
import { InlineThreads } from '../support/inline-build.ts';
import { Random } from '../support/random.ts';

// What worker threads do is done here in this thread as well, where it can be looked into, and comes out the same.

const ROWS = 1100;
const SIZE = 40;
const random = new Random(5);
const column = (): number[] => Array.from({ length: ROWS }, () => random.int(0, SIZE - 1));
const BATCH = { user: column(), item: column(), age: column() };

function makeModel(optimizer: Adagrad | Adam): TwoTowerModel {
  const model = new TwoTowerModel({
    queryTower: new Tower({ user: [new Embedding(SIZE, 8)], age: [new Embedding(SIZE, 3)] }, [
      new Dense(12, { activation: 'relu' }),
      new Dense(6),
    ]),
    candidateTower: new Tower([new Embedding(SIZE, 6)]),
    ...{ candidateFeatures: 'item', candidateIds: 'item', threads: 2 },
    task: new Retrieval({ removeAccidentalHits: true, numHardNegatives: 20, temperature: 0.5 }),
  });
  model.compile({ optimizer });
  return model;
}

afterEach(() => {
  vi.restoreAllMocks();
});

function inThisThread(): InlineThreads {
  const inline = new InlineThreads();
  vi.spyOn(Threads.prototype, 'runPhase').mockImplementation((task) => inline.runPhase(task));
  return inline;
}

it.each<[string, () => Adagrad | Adam]>([
  ['Adagrad', () => new Adagrad({ learningRate: 0.1 })],
  ['Adam', () => new Adam({ learningRate: 0.01 })],
])('training with %s gives the same weights and losses', async (_, optimizer) => {
  const outcome = async () => {
    await using model = makeModel(optimizer());
    const { history } = await model.fit([BATCH], { epochs: 3 });
    const { loss } = await model.evaluate([BATCH]);
    return [history.loss, loss, await model.queryTower.embed(BATCH), await model.candidateTower.embed(BATCH.item)];
  };
  const byWorkers = await outcome();
  const inline = inThisThread();
  expect(await outcome()).toEqual(byWorkers);
  expect(new Set(inline.tasks.map((task) => task.kind))).toEqual(new Set(['forward', 'softmax', 'backward', 'update']));
});

it('streaming gives the same answers', async () => {
  const batches = Array.from({ length: 5 }, () => random.normals(300, 7));
  const queries = random.normals(30, 7);
  const outcome = async () => {
    await using layer = await new Streaming({ dimensions: 7, threads: 2, k: 12 }).indexFromDataset(batches);
    return layer.call(queries);
  };
  const byWorkers = await outcome();
  const inline = inThisThread();
  expect(await outcome()).toEqual(byWorkers);
  expect(inline.tasks.some((task) => task.kind === 'stream')).toBe(true);
});
