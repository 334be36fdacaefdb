import { describe, expect, it, vi } from 'vitest';
import { Random as WeightRandom } from '../../../src/protocol/random.ts';
import { Dense } from '../../../src/recommender/model/dense.ts';
import { Embedding } from '../../../src/recommender/model/embedding.ts';
import type { FeatureColumn, Features } from '../../../src/recommender/model/features.ts';
import { StringLookup } from '../../../src/recommender/model/string-lookup.ts';
import { Tower } from '../../../src/recommender/model/tower.ts';
import { TwoTowerModel } from '../../../src/recommender/model/two-tower-model.ts';
import { WeightMemory } from '../../../src/recommender/model/weights.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';
import { embed, weightsOf } from '../../support/reference-model.ts';

const WORDS = Array.from({ length: 30 }, (_, i) => `word ${i}`);
const lookup = () => new StringLookup({ vocabulary: WORDS });
const strings = (dimensions: number, ...layers: Dense[]): Tower =>
  new Tower([lookup(), new Embedding(31, dimensions), ...layers]);
const mixed = (): Tower =>
  new Tower({ word: [lookup(), new Embedding(31, 5)], age: [new Embedding(7, 9)] }, [
    new Dense(17, { activation: 'relu' }),
    new Dense(6),
  ]);

const wordColumn = (rows: number, seed = rows): string[] => {
  const random = new Random(seed);
  return Array.from({ length: rows }, () => `word ${random.int(0, 35)}`);
};
const mixedBatch = (rows: number) => {
  const random = new Random(rows + 1);
  return { word: wordColumn(rows), age: Array.from({ length: rows }, () => random.int(0, 6)) };
};

async function expectReference(tower: Tower, batch: Features): Promise<void> {
  const found = await tower.embed(batch);
  const expected = embed(tower, weightsOf(tower), batch).flat();
  expect(found).toHaveLength(expected.length);
  const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  expect(worst).toBeLessThan(1e-6);
}

describe('initial weights', () => {
  it('of embeddings are uniform in [-0.05, 0.05)', async () => {
    const embedding = new Embedding(500, 20);
    expect(embedding.getWeights()).toBeNull();
    await new Tower([embedding]).embed([]);
    const weights = embedding.getWeights()!;
    expect(weights).toHaveLength(10_000);
    expect(weights.every((w) => w >= -Math.fround(0.05) && w <= Math.fround(0.05))).toBe(true);
    for (let tenth = 0; tenth < 10; tenth++) {
      const count = weights.filter((w) => Math.floor((w + 0.05) * 100) === tenth).length;
      expect(Math.abs(count - 1000), `tenth ${tenth}`).toBeLessThan(150);
    }
  });

  it("of dense layers have Glorot's range, with a bias of zero", async () => {
    const layers = [new Dense(100, { activation: 'relu' }), new Dense(50, { useBias: false })];
    expect(layers[0]!.getWeights()).toBeNull();
    await new Tower([new Embedding(4, 21), ...layers]).embed([]);
    for (const [i, inputs] of [21, 100].entries()) {
      const [weights, bias] = layers[i]!.getWeights()!;
      const range = Math.sqrt(6 / (inputs + layers[i]!.units));
      expect(weights).toHaveLength(inputs * layers[i]!.units);
      for (const extreme of [Math.max(...weights), -Math.min(...weights)]) {
        expect(Math.abs(extreme / range - 0.995)).toBeLessThan(0.0051);
      }
      expect(bias.every((b) => b === 0)).toBe(true);
    }
  });

  it('are the same for the same seed, and others for another', () => {
    const weights = (seed?: number) => {
      const tower = mixed();
      tower.build(new WeightMemory(), seed === undefined ? undefined : new WeightRandom(seed));
      return weightsOf(tower);
    };
    expect(weights(5)).toEqual(weights(5));
    expect(weights()).toEqual(weights());
    expect(weights(6)).not.toEqual(weights(5));
  });

  it('are told as copies', async () => {
    const tower = strings(8, new Dense(8));
    const before = await tower.embed(WORDS);
    for (const array of [tower.features[0]!.embedding.getWeights()!, ...tower.layers[0]!.getWeights()!]) array.fill(9);
    expect(await tower.embed(WORDS)).toEqual(before);
  });
});

describe('embed', () => {
  it.each([0, 1, 7, 8, 9, 511, 513, 1023, 1024, 1025, 2049, 3000])('equals the formulas for %i rows', async (rows) => {
    await expectReference(strings(8), wordColumn(rows));
    await expectReference(mixed(), mixedBatch(rows));
  });

  it.each([1, 3, 4, 5, 8, 12, 16, 31, 33])('equals the formulas for %i dimensions', async (dimensions) => {
    await expectReference(strings(dimensions), wordColumn(21));
    await expectReference(strings(dimensions, new Dense(dimensions + 1, { activation: 'relu' })), wordColumn(21));
  });

  it('puts several features side by side, without dense layers', async () => {
    const tower = new Tower({ word: [lookup(), new Embedding(31, 8)], age: [new Embedding(7, 16)] });
    expect(tower.dimensions).toBe(24);
    await expectReference(tower, mixedBatch(50));
  });

  it('gives all strings outside the vocabulary the first embedding', async () => {
    const tower = strings(3);
    const found = await tower.embed(['nobody', 'word 0', '', 'word 29']);
    const table = tower.features[0]!.embedding.getWeights()!;
    const row = (i: number) => [...table.subarray(3 * i, 3 * i + 3)];
    expect([...found]).toEqual([...row(0), ...row(1), ...row(0), ...row(30)]);
  });

  it('takes columns in any order, and leaves others aside', async () => {
    const tower = mixed();
    const { word, age } = mixedBatch(20);
    expect(await tower.embed({ age, other: new Array(20).fill(null), word })).toEqual(await tower.embed({ word, age }));
  });

  it('takes numbers in any kind of array', async () => {
    const tower = new Tower([new Embedding(5, 3)]);
    const expected = await tower.embed([4, 0, 2]);
    const columns: FeatureColumn[] = [Int32Array.of(4, 0, 2), Float32Array.of(4, -0, 2), Float64Array.of(4, 0, 2)];
    for (const column of [...columns, [4n, 0n, 2n]]) expect(await tower.embed(column)).toEqual(expected);
    const named = new Tower({ n: [new StringLookup({ vocabulary: ['4'] }), new Embedding(2, 3)] });
    expect(await named.embed({ n: Int32Array.of(4, 5) })).toEqual(await named.embed({ n: ['4', 'no'] }));
  });

  it('gives concurrent calls their own rows', async () => {
    const tower = mixed();
    const batches = [3000, 1, 2500, 1024, 0, 1700].map(mixedBatch);
    const together = await Promise.all(batches.map((batch) => tower.embed(batch)));
    for (const [i, batch] of batches.entries()) expect(await tower.embed(batch)).toEqual(together[i]);
  });

  it('leaves the event loop a turn between chunks of rows', async () => {
    const tower = strings(4);
    const order: string[] = [];
    const work = tower.embed(wordColumn(3000)).then(() => order.push('embedded'));
    setImmediate(() => order.push('turn'));
    await work;
    expect(order).toEqual(['turn', 'embedded']);
  });

  it('gives the same bits without SIMD', async () => {
    const best = await mixed().embed(mixedBatch(1100));
    vi.stubEnv('SCANNERY_KERNELS', 'scalar');
    try {
      expect(await mixed().embed(mixedBatch(1100))).toEqual(best);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it.each([[5], [-1], [0.5], [Number.NaN], [Number.POSITIVE_INFINITY], ['1'], [null], [undefined], [5n], [-1n]])(
    'names the row of the integer %s',
    async (value) => {
      const tower = new Tower([new Embedding(5, 3)]);
      const column = Array.from({ length: 1500 }, (_, i): unknown => (i >= 1100 ? value : i % 5));
      const error = await failureOf(tower.embed(column as never));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'features', row: 1100 });
      expect(error.value).toBe(value);
    },
  );

  it.each<[string, unknown, string, number?]>([
    ['a value is no string', { word: ['word 1', null], age: [1, 2] }, 'word', 1],
    ['a column is missing', { word: ['a'] }, 'features.age'],
    ['columns differ in length', { word: ['a', 'b'], age: [1] }, 'features.age'],
    ['a column is none', { word: 'a', age: [1] }, 'features.word'],
    ['there are no columns', {}, 'features'],
    ['the batch is one column', ['a'], 'features'],
    ['there is no batch', undefined, 'features'],
    ['the batch is null', null, 'features'],
    ['the batch is a string', 'word 1', 'features'],
  ])('fails when %s', async (_, batch, option, row) => {
    const error = await failureOf(mixed().embed(batch as Features));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, ...(row && { row }) });
  });

  it('works on after a failure', async () => {
    const tower = strings(4);
    const before = await tower.embed(WORDS);
    await failureOf(tower.embed([1, null] as never));
    expect(await failureOf(tower.embed({ word: ['a'] }))).toMatchObject({ option: 'features' });
    expect(await tower.embed(WORDS)).toEqual(before);
  });

  it('fails in the same way each time when the table does not fit', async () => {
    const tower = new Tower([new Embedding(100_000_000, 4096)]);
    for (let i = 0; i < 2; i++) expect((await failureOf(tower.embed([1]))).code).toBe('SCANNERY_OUT_OF_MEMORY');
  });
});

describe('layers', () => {
  it('tell the number of dimensions', () => {
    expect(strings(5).dimensions).toBe(5);
    expect(strings(5, new Dense(3)).dimensions).toBe(3);
    expect(new Tower([new Embedding(3, 5), new Dense(4)], [new Dense(2)]).layers.map(({ units }) => units)).toEqual([
      4, 2,
    ]);
    expect(mixed().dimensions).toBe(6);
    expect(new Tower({ age: [new Embedding(3, 5)] }).dimensions).toBe(5);
  });

  const e = (): Embedding => new Embedding(31, 8);
  const dense = new Dense(3);
  const shared = new Embedding(31, 8);
  it.each<[string, unknown, unknown, string]>([
    ['no layers', [], [], 'input'],
    ['no embedding', [lookup()], [], 'input'],
    ['an embedding before its look-up', [e(), lookup()], [], 'input'],
    ['two embeddings', [e(), e()], [], 'input'],
    ['a dense layer first', [new Dense(3), lookup(), e()], [], 'input'],
    ['a dense layer alone', [new Dense(3)], [], 'input'],
    ['an embedding after a dense layer', [e(), new Dense(3), e()], [], 'input[2]'],
    ['something else in between', [e(), new Dense(3), { units: 3 }], [], 'input[2]'],
    ['no features', {}, [], 'input'],
    ['a feature of no layers', { age: [] }, [], 'input.age'],
    ['a feature with a dense layer of its own', { age: [e(), new Dense(3)] }, [], 'input.age'],
    ['a feature that is no list', { age: e() }, [], 'input.age'],
    ['nothing', undefined, [], 'input'],
    ['null', null, [], 'input'],
    ['a string', 'abc', [], 'input'],
    ['a layer that is not dense', { age: [e()] }, [new Dense(2), e()], 'layers[1]'],
    ['layers that are no list', { age: [e()] }, new Dense(2), 'layers'],
    ['layers that are null, after a list', [e()], null, 'layers'],
    ['fewer rows than words', [lookup(), new Embedding(30, 8)], [], 'input.inputDim'],
    ['fewer rows than words of a feature', { word: [lookup(), new Embedding(1, 8)] }, [], 'input.word.inputDim'],
    ['uneven widths side by side', { a: [e()], b: [new Embedding(3, 12)] }, [], 'input.b.outputDim'],
    ['the same dense layer twice', [e(), dense, dense], [], 'input'],
    ['an embedding that two features share', { a: [shared], b: [shared] }, [new Dense(2)], 'input'],
  ])('are refused: %s', async (_, input, layers, option) => {
    const error = await failureOf(() => new Tower(input as never, layers as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
  });

  it('have sizes in range', async () => {
    for (const bad of [0, -1, 1.5, Number.NaN, '8', null, undefined, 4097]) {
      expect(await failureOf(() => new Dense(bad as number))).toMatchObject({ option: 'units', value: bad });
      expect(await failureOf(() => new Embedding(1, bad as number))).toMatchObject({ option: 'outputDim', value: bad });
      if (bad === 4097) continue;
      expect(await failureOf(() => new Embedding(bad as number, 1))).toMatchObject({ option: 'inputDim', value: bad });
    }
    expect(await failureOf(() => new Embedding(100_000_001, 1))).toMatchObject({ option: 'inputDim' });
    expect([new Dense(4096).units, new Embedding(100_000_000, 4096).outputDim]).toEqual([4096, 4096]);
  });

  it('have known options', async () => {
    expect(new Dense(2)).toMatchObject({ activation: 'linear', useBias: true });
    for (const [option, value] of Object.entries({ activation: 'tanh', useBias: 1, kernel: 3 })) {
      const error = await failureOf(() => new Dense(2, { [option]: value }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
    }
  });
});

describe('a tower that a model takes', () => {
  const model = (queryTower: Tower, candidateTower = strings(6)): TwoTowerModel =>
    new TwoTowerModel({ queryTower, candidateTower, candidateFeatures: 'word', threads: 1, seed: 7 });

  it('keeps its embeddings', async () => {
    const tower = mixed();
    const batch = mixedBatch(1200);
    const before = await tower.embed(batch);
    const during = tower.embed(batch);
    await using taken = model(tower);
    expect([await during, await tower.embed(batch)]).toEqual([before, before]);
    await taken.close();
    expect(await tower.embed(batch)).toEqual(before);
    await expectReference(tower, batch);
  });

  it('keeps them in a second model, while the first one says so instead of going on', async () => {
    const tower = mixed();
    await using first = model(tower);
    const before = await tower.embed(mixedBatch(9));
    first.compile();
    await first.fit([mixedBatch(9)]);
    const trained = await tower.embed(mixedBatch(9));
    expect(trained).not.toEqual(before);
    await using second = model(tower);
    second.compile();
    expect(await tower.embed(mixedBatch(9))).toEqual(trained);
    for (const work of [first.fit([mixedBatch(9)]), first.evaluate([mixedBatch(9)])]) {
      expect(await failureOf(work)).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'queryTower' });
    }
    expect(await tower.embed(mixedBatch(9))).toEqual(trained);
    expect((await second.fit([mixedBatch(9)])).epoch).toEqual([1]);
  });

  it('does not embed by layers that another tower has taken', async () => {
    const embedding = new Embedding(31, 8);
    const first = new Tower([embedding]);
    const values = await first.embed([3]);
    const second = new Tower([embedding]);
    expect(await second.embed([3])).toEqual(values);
    expect(await failureOf(first.embed([3]))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'tower' });
  });
});
