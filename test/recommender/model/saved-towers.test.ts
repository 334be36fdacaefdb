import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Adagrad, Dense, Embedding, load, StringLookup, Tower, TwoTowerModel } from '../../../src/recommender/index.ts';
import { filesIn, temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';

const ITEMS = ['x', 'y', 'z'];
const COLUMNS = { queryFeatures: 'user', candidateFeatures: 'item', threads: 1 };
const BATCH = { user: [0, 1, 2, 3], item: ['x', 'y', 'z', 'x'] };

function make(): TwoTowerModel {
  const model = new TwoTowerModel({
    ...COLUMNS,
    queryTower: new Tower([new Embedding(4, 5), new Dense(3)]),
    candidateTower: new Tower([new StringLookup({ vocabulary: ITEMS }), new Embedding(4, 3)]),
  });
  model.compile({ optimizer: new Adagrad({ learningRate: 0.5 }) });
  return model;
}
const embeddings = (model: TwoTowerModel) =>
  Promise.all([model.queryTower.embed(BATCH.user), model.candidateTower.embed([...ITEMS, 'unknown'])]);

describe('a saved model', () => {
  it('embeds as before, and can be trained on', async () => {
    const directory = temporaryDirectory();
    await using model = make();
    await model.fit([BATCH], { epochs: 3 });
    await model.save(directory);
    await using loaded = await TwoTowerModel.load(directory, COLUMNS);
    expect(await embeddings(loaded)).toEqual(await embeddings(model));
    const before = await loaded.evaluate([BATCH]);
    expect(before).toEqual(await model.evaluate([BATCH]));
    loaded.compile({ optimizer: new Adagrad({ learningRate: 0.5 }) });
    await loaded.fit([BATCH], { epochs: 3 });
    expect((await loaded.evaluate([BATCH])).loss).toBeLessThan(before.loss!);
  });

  it('is replaced by the next save', async () => {
    const directory = temporaryDirectory();
    await using model = make();
    await model.save(directory);
    await model.fit([BATCH]);
    await model.save(directory);
    await using loaded = await TwoTowerModel.load(directory, COLUMNS);
    expect(await embeddings(loaded)).toEqual(await embeddings(model));
    expect(filesIn(directory)).toHaveLength(2);
  });

  it('is refused when damaged, missing or something else', async () => {
    const directory = temporaryDirectory();
    expect(await failureOf(TwoTowerModel.load(directory, COLUMNS))).toMatchObject({ code: 'SCANNERY_NOT_FOUND' });
    await using model = make();
    await model.save(directory);
    const path = join(directory, filesIn(directory).find((name) => name.endsWith('towers.scannery'))!);
    const whole = readFileSync(path);
    const bytes = Buffer.from(whole);
    bytes[whole.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    const damaged = await failureOf(TwoTowerModel.load(directory, COLUMNS));
    expect(damaged).toMatchObject({ code: 'SCANNERY_CHECKSUM', path });
    writeFileSync(path, whole.subarray(0, 100));
    expect(await failureOf(TwoTowerModel.load(directory, COLUMNS))).toMatchObject({ code: 'SCANNERY_TRUNCATED' });
    writeFileSync(path, whole);
    expect((await failureOf(load(directory))).code).toMatch(/NOT_FOUND|TRUNCATED/);
  });

  it('cannot be saved once it is closed', async () => {
    const model = make();
    await model.close();
    expect(await failureOf(model.save(temporaryDirectory()))).toMatchObject({ code: 'SCANNERY_CLOSED' });
  });
});

describe('setWeights', () => {
  it('replaces weights before and after a tower is built', async () => {
    const embedding = new Embedding(2, 2);
    const dense = new Dense(1);
    embedding.setWeights(Float32Array.of(1, 2, 3, 4));
    dense.setWeights([Float32Array.of(10, 1), Float32Array.of(0.5)]);
    const tower = new Tower([embedding, dense]);
    expect([...(await tower.embed([0, 1]))]).toEqual([12.5, 34.5]);
    embedding.setWeights(Float32Array.of(0, 0, 1, 1));
    dense.setWeights([Float32Array.of(2, 2), Float32Array.of(0)]);
    expect([...(await tower.embed([0, 1]))]).toEqual([0, 4]);
    expect([...embedding.getWeights()!]).toEqual([0, 0, 1, 1]);
  });

  it('refuses other lengths and types', async () => {
    const embedding = new Embedding(2, 2);
    const dense = new Dense(3);
    const code = 'SCANNERY_INVALID_OPTION';
    expect(await failureOf(() => embedding.setWeights(new Float32Array(3)))).toMatchObject({ code, value: 3 });
    expect(await failureOf(() => embedding.setWeights([1, 2, 3, 4] as never))).toMatchObject({ code });
    expect(await failureOf(() => dense.setWeights([new Float32Array(6), new Float32Array(2)]))).toMatchObject({
      ...{ code, option: 'bias' },
    });
    dense.setWeights([new Float32Array(7), new Float32Array(3)]);
    expect(await failureOf(new Tower([embedding, dense]).embed([0]))).toMatchObject({ code, option: 'weights' });
  });
});
