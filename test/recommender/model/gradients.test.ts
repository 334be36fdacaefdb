import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/protocol/random.ts';
import { Dense } from '../../../src/recommender/model/dense.ts';
import { Embedding } from '../../../src/recommender/model/embedding.ts';
import { Adagrad, Adam } from '../../../src/recommender/model/optimizers.ts';
import { Retrieval } from '../../../src/recommender/model/retrieval-task.ts';
import { StringLookup } from '../../../src/recommender/model/string-lookup.ts';
import { Tower } from '../../../src/recommender/model/tower.ts';
import { TwoTowerModel } from '../../../src/recommender/model/two-tower-model.ts';
import {
  embed,
  type LossExtras,
  lossOf,
  namedArrays,
  type TowerWeights,
  weightsOf,
} from '../../support/reference-model.ts';

// Adagrad's first step from an accumulator of 1 moves a weight by g / sqrt(1 + g^2), so the step tells the gradient.
const fromStep = (step: number): number => step / Math.sqrt(1 - step * step);

const USERS = ['ann', 'bob', 'cid', 'dora', 'eve', 'fred', 'gina'];
const ITEMS = Array.from({ length: 12 }, (_, i) => `item ${i}`);
const CITIES = ['Rome', 'Oslo'];
const lookup = (vocabulary: readonly string[]): StringLookup => new StringLookup({ vocabulary });

interface Case {
  readonly rows: number;
  readonly query: () => Tower;
  readonly candidate: () => Tower;
  readonly task?: ConstructorParameters<typeof Retrieval>[0];
  readonly weighted?: boolean;
  readonly corrected?: boolean;
}

const simple = (vocabulary: readonly string[], size: number) => (): Tower =>
  new Tower([lookup(vocabulary), new Embedding(vocabulary.length + 1, size)]);
const deep = (names: readonly [string, string], size: number) => (): Tower =>
  new Tower(
    {
      [names[0]]: [lookup(names[0] === 'user' ? USERS : ITEMS), new Embedding(14, 5)],
      [names[1]]: names[1] === 'city' ? [lookup(CITIES), new Embedding(3, 9)] : [new Embedding(4, 3)],
    },
    [new Dense(17, { activation: 'relu' }), new Dense(size, { useBias: names[0] === 'user' })],
  );

const CASES: Record<string, Case> = {
  'embeddings of 8 numbers': { rows: 20, query: simple(USERS, 8), candidate: simple(ITEMS, 8) },
  'embeddings of 3 numbers, one example': { rows: 1, query: simple(USERS, 3), candidate: simple(ITEMS, 3) },
  'a batch of several chunks and slabs': { rows: 601, query: simple(USERS, 32), candidate: simple(ITEMS, 32) },
  temperature: { rows: 17, query: simple(USERS, 8), candidate: simple(ITEMS, 8), task: { temperature: 0.05 } },
  'sampling probabilities': { rows: 33, query: simple(USERS, 8), candidate: simple(ITEMS, 8), corrected: true },
  'sample weights': { rows: 19, query: simple(USERS, 8), candidate: simple(ITEMS, 8), weighted: true },
  'accidental hits': {
    ...{ rows: 40, query: simple(USERS, 8), candidate: simple(ITEMS, 8) },
    task: { removeAccidentalHits: true },
  },
  'hard negatives': {
    ...{ rows: 40, query: simple(USERS, 8), candidate: simple(ITEMS, 8) },
    task: { numHardNegatives: 5, removeAccidentalHits: true },
  },
  'features side by side under dense layers': {
    ...{ rows: 50, query: deep(['user', 'city'], 7), candidate: deep(['item', 'decade'], 7) },
  },
  everything: {
    ...{ rows: 530, query: deep(['user', 'city'], 12), candidate: deep(['item', 'decade'], 12) },
    task: { temperature: 0.5, removeAccidentalHits: true, numHardNegatives: 20 },
    ...{ weighted: true, corrected: true },
  },
};

interface Batch {
  readonly features: Record<string, (string | number)[]>;
  readonly extras: LossExtras;
}

function makeBatch({ rows, weighted, corrected }: Case): Batch {
  const random = new Random(rows);
  const column = <T>(pick: () => T): T[] => Array.from({ length: rows }, pick);
  const item = column(() => ITEMS[random.below(ITEMS.length)]!);
  const features: Record<string, (string | number)[]> = {
    user: column(() => [...USERS, 'somebody else'][random.below(USERS.length + 1)]!),
    city: column(() => CITIES[random.below(2)]!),
    item,
    decade: column(() => random.below(4)),
  };
  const sampleWeight = weighted ? column(() => Math.fround(random.uniform() * 2)) : undefined;
  const probabilities = corrected ? column(() => 0.01 + 0.9 * random.uniform()) : undefined;
  if (sampleWeight !== undefined) features.weight = sampleWeight;
  if (probabilities !== undefined) features.probability = probabilities;
  return { features, extras: { ids: item, sampleWeight, probabilities } };
}

function makeModel({ query, candidate, task, weighted, corrected }: Case): TwoTowerModel {
  const [queryTower, candidateTower] = [query(), candidate()];
  return new TwoTowerModel({
    ...{ queryTower, candidateTower, task: new Retrieval(task), threads: 2, candidateIds: 'item' },
    ...(queryTower.features[0]!.name === null ? { queryFeatures: 'user', candidateFeatures: 'item' } : {}),
    ...(weighted ? { sampleWeight: 'weight' } : {}),
    ...(corrected ? { candidateSamplingProbability: 'probability' } : {}),
  });
}

function referenceLoss(model: TwoTowerModel, weights: readonly TowerWeights[], { features, extras }: Batch): number {
  const only = (tower: Tower, name: string) => (tower.features[0]!.name === null ? features[name]! : features);
  const q = embed(model.queryTower, weights[0]!, only(model.queryTower, 'user') as never);
  const c = embed(model.candidateTower, weights[1]!, only(model.candidateTower, 'item') as never);
  return lossOf(q, c, model.task, extras);
}

describe.each(Object.entries(CASES))('%s', (_, given) => {
  it('has the loss of the formula, and gradients that finite differences confirm', async () => {
    const batch = makeBatch(given);
    await using model = makeModel(given);
    const towers = [model.queryTower, model.candidateTower];
    const before = towers.map(weightsOf);
    model.compile({ optimizer: new Adagrad({ learningRate: 1, initialAccumulatorValue: 1, epsilon: 1e-30 }) });
    const { history } = await model.fit([batch.features]);
    const loss = referenceLoss(model, before, batch);
    expect(Math.abs(history.loss![0]! - loss)).toBeLessThanOrEqual(1e-5 * (1 + loss));
    const after = towers.map(weightsOf);

    const random = new Random(7);
    for (const side of [0, 1]) {
      for (const [a, [name, values]] of namedArrays(before[side]!).entries()) {
        const moved = namedArrays(after[side]!)[a]![1];
        for (let n = 0; n < (given.rows > 500 ? 2 : 6); n++) {
          const i = random.below(values.length);
          const held = values[i]!;
          const step = 1e-6;
          values[i] = held + step;
          const above = referenceLoss(model, before, batch);
          values[i] = held - step;
          const below = referenceLoss(model, before, batch);
          values[i] = held;
          const expected = (above - below) / (2 * step);
          const fixed = name.startsWith('bias') && !towers[side]!.layers[Number(name.slice(5))]!.useBias;
          const found = fromStep(held - moved[i]!);
          const tolerance = 2e-3 * Math.abs(expected) + 2e-5 * given.rows ** 0.5 + 1e-6;
          expect(Math.abs(found - (fixed ? 0 : expected)), `${name}[${i}] of tower ${side}`).toBeLessThan(tolerance);
        }
      }
    }
  });
});

describe('optimisers', () => {
  const oneStep = async (optimizer: Adagrad | Adam, steps: number) => {
    await using model = makeModel(CASES['embeddings of 8 numbers']!);
    const { features } = makeBatch(CASES['embeddings of 8 numbers']!);
    const gradients: Float64Array[] = [];
    const weights: Float64Array[] = [];
    // Gradients of each step, told by a model that follows along with known steps.
    model.compile({ optimizer });
    weights.push(weightsOf(model.queryTower).tables[0]!);
    for (let i = 0; i < steps; i++) {
      gradients.push(await gradientOf(model));
      await model.fit([features]);
      weights.push(weightsOf(model.queryTower).tables[0]!);
    }
    return { gradients, weights };
  };

  /** The gradient of the query table, by finite differences of the formula. */
  async function gradientOf(model: TwoTowerModel): Promise<Float64Array> {
    const batch = makeBatch(CASES['embeddings of 8 numbers']!);
    const weights = [model.queryTower, model.candidateTower].map(weightsOf);
    const table = weights[0]!.tables[0]!;
    return table.map((held, i) => {
      table[i] = held + 1e-4;
      const above = referenceLoss(model, weights, batch);
      table[i] = held - 1e-4;
      const below = referenceLoss(model, weights, batch);
      table[i] = held;
      return (above - below) / 2e-4;
    });
  }

  it('Adagrad divides by the root of the summed squares, from 0.1', async () => {
    const { gradients, weights } = await oneStep(new Adagrad({ learningRate: 0.1 }), 3);
    const sums = gradients[0]!.map(() => 0.1);
    for (let t = 0; t < 3; t++) {
      for (const [i, g] of gradients[t]!.entries()) {
        sums[i]! += g * g;
        const expected = weights[t]![i]! - (0.1 * g) / Math.sqrt(sums[i]! + 1e-7);
        expect(Math.abs(weights[t + 1]![i]! - expected), `step ${t}, weight ${i}`).toBeLessThan(2e-5);
      }
    }
  });

  it('Adam follows corrected moments, also of rows that no example looked up', async () => {
    const { gradients, weights } = await oneStep(new Adam({ learningRate: 0.01, beta1: 0.8, beta2: 0.9 }), 3);
    const m = gradients[0]!.map(() => 0);
    const v = gradients[0]!.map(() => 0);
    for (let t = 0; t < 3; t++) {
      const alpha = (0.01 * Math.sqrt(1 - 0.9 ** (t + 1))) / (1 - 0.8 ** (t + 1));
      for (const [i, g] of gradients[t]!.entries()) {
        m[i]! += (g - m[i]!) * 0.2;
        v[i]! += (g * g - v[i]!) * 0.1;
        if (Math.abs(g) < 1e-4 && g !== 0) continue; // the step's direction is all rounding there
        const expected = weights[t]![i]! - (alpha * m[i]!) / (Math.sqrt(v[i]!) + 1e-7);
        expect(Math.abs(weights[t + 1]![i]! - expected), `step ${t}, weight ${i}`).toBeLessThan(1e-4);
      }
    }
  });
});
