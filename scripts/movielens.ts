// The main job: TensorFlow Recommenders' tutorial "Efficient serving", step by step.
//   npm start                                       on data/movielens
//   npm run movielens -- --data DIR                 on any of GroupLens's data sets
//   npm start -- --full                             brute-force evaluation over the whole test set
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BruteForce, type Dataset, FactorizedTopK, load, ScaNN, type TopK } from '../src/recommender/index.ts';
import { directorySize } from './directory-size.ts';
import { median, megabytes, seconds, table } from './measure.ts';
import { type Interaction, loadSplit, popularity, popularityAccuracy } from './movielens/data.ts';
import { grow, latencies, recall, rowsOf } from './movielens/grown.ts';
import { makeModel, RECOMMENDED, type Settings, TUTORIAL } from './movielens/models.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: fileURLToPath(new URL('../data/movielens', import.meta.url)) },
    epochs: { type: 'string', default: '3' },
    user: { type: 'string', default: '42' },
    full: { type: 'boolean', default: false },
  },
});
const KS = [1, 5, 10, 50, 100];
const BATCH = 8192;
/** Interactions that are evaluated by brute force over the grown set, unless it is to be all of them. */
const SUBSET = 1000;
const epochs = Number(values.epochs);
const count = (n: number): string => n.toLocaleString('en');
const step = (title: string, explanation: string): void => console.log(`\n== ${title}\n${explanation}\n`);
const accuracyAt = (logs: Record<string, number>, k: number): number =>
  logs[`factorized_top_k/top_${k}_categorical_accuracy`]!;
const percent = (fraction: number): string => `${(100 * fraction).toFixed(2)} %`;

// The data
const split = await loadSplit(values.data);
const { users, titles, train, test, trainSize, testSize } = split;
step(
  'The data',
  `${count(split.source.ratings.length)} ratings by ${count(users.length)} users of ${count(titles.length)} movies. Each counts as "has seen"; the stars are not used.\n` +
    `Shuffled with seed 42 and split: ${count(trainSize)} to train on, ${count(testSize)} to test with.`,
);

// Training
async function trained(name: string, settings: Settings) {
  const made = await makeModel(split, settings);
  const elapsed = await seconds(() => made.model.fit(train.batch(settings.batchSize), { epochs, verbose: 1 }));
  const logs = await made.model.evaluate(test.batch(BATCH));
  console.log(`${name}: ${epochs} epochs in ${elapsed.toFixed(1)} s\n`);
  return { ...made, logs };
}
step(
  'Training',
  'Two towers, one embedding of 32 numbers per user and one per movie, so that the dot product is high where a user has seen a\n' +
    "movie. First with the tutorial's settings: Adagrad, learning rate 0.1, batches of 8,192. Then with ours: batches of 1,024,\n" +
    'temperature 2, logits corrected for how often a movie comes up as a negative, which otherwise punishes popular ones.',
);
const tutorial = await trained("the tutorial's settings", TUTORIAL);
const recommended = await trained('our settings', RECOMMENDED);
const popular = await popularityAccuracy(await popularity(train), test, KS);
console.log('How often the movie of a test rating is among the first k of all movies (FactorizedTopK):');
console.log(
  table([
    ['', ...KS.map((k) => `top-${k}`), "last batch's loss", 'mean loss'],
    ...[["tutorial's settings", tutorial.logs] as const, ['our settings', recommended.logs] as const].map(
      ([name, logs]) => [
        name,
        ...KS.map((k) => percent(accuracyAt(logs, k))),
        logs.loss!.toFixed(0),
        logs.mean_loss!.toFixed(3),
      ],
    ),
    ['most popular to all', ...popular.map(percent), '', ''],
  ]),
);
await recommended.model.close();
await recommended.metrics.close();

// Brute force
const { queryTower: userModel, candidateTower: movieModel } = tutorial.model;
const bruteForce = await new BruteForce({ queryModel: userModel }).indexFromDataset(tutorial.movies);
const top = async (layer: TopK): Promise<string> => (await layer.call([values.user], 3))[1][0]!.join(' | ');
step('Brute force', `Every movie scored for user ${values.user}, by the model of the tutorial's settings.`);
console.log(`Top recommendations: ${await top(bruteForce)}`);
await bruteForce.close();

// Many more candidates
const grown = grow(titles, await movieModel.embed(titles));
step(
  'Millions of candidates',
  `The set grown to ${count(grown.size)}: the real movies, and ${grown.copies} copies of each with every number multiplied by a random\n` +
    'one between 0 and 1, and without a title.',
);
const bruteForceLots = await new BruteForce({ queryModel: userModel, k: 10 }).indexFromDataset(grown.candidates);
console.log(`Top recommendations by brute force: ${await top(bruteForceLots)}`);
const layerOf = async (numLeaves: number, numLeavesToSearch: number, numReorderingCandidates: number) => {
  const layer = new ScaNN({ queryModel: userModel, shards: 1, numLeaves, numLeavesToSearch, numReorderingCandidates });
  const elapsed = await seconds(() => layer.indexFromDataset(grown.candidates));
  console.log(`ScaNN with ${count(numLeaves)} leaves built in ${elapsed.toFixed(1)} s: ${await top(layer)}`);
  return layer;
};
const [scann100, scann1000] = [await layerOf(100, 30, 500), await layerOf(1000, 100, 1000)];

// Saving
const layers = { 100: scann100, 1000: scann1000 };
const onOneThread: Record<number, TopK | ScaNN> = {};
const directory = await mkdtemp(join(tmpdir(), 'scannery-movielens-'));
try {
  step(
    'Saving and loading',
    'One artefact holds the user model, its vocabulary, the index and the titles. It is loaded with one worker thread.',
  );
  for (const [numLeaves, layer] of Object.entries(layers)) {
    const path = join(directory, numLeaves);
    const before = await layer.call([values.user]);
    const saveSeconds = await seconds(() => layer.save(path));
    let loaded!: Awaited<ReturnType<typeof load>>;
    const loadSeconds = await seconds(async () => {
      loaded = await load(path, { threads: 1 });
    });
    const same = JSON.stringify(await loaded.call([values.user])) === JSON.stringify(before);
    console.log(
      `${count(Number(numLeaves))} leaves: saved in ${saveSeconds.toFixed(2)} s (${megabytes(await directorySize(path))}), ` +
        `loaded in ${loadSeconds.toFixed(2)} s: ${same ? 'the same titles and scores as before' : 'DIFFERENT TITLES OR SCORES'}`,
    );
    console.log(`Top recommendations: ${await top(loaded)}`);
    if (!same) process.exitCode = 1;
    onOneThread[Number(numLeaves)] = loaded;
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}

// Latency and recall
const SETTINGS = [
  [100, 30, 500],
  [100, 30, 1000],
  [1000, 100, 1000],
  [1000, 70, 400],
  [1000, 40, 150],
] as const;
const testUsers = await test.map((rating) => rating.user_id).toArray();
const distinct = [...new Set(testUsers)];
step(
  'Recall and latency',
  `recall@10: how many of the 10 best that brute force finds ScaNN finds too, over the users of all ${count(testSize)} test ratings.\n` +
    'Rows are compared, not titles, since those of the copies are all alike. p50: median over users, one at a time, from the id to\n' +
    'the titles, taking turns with brute force, which has all cores; by ScaNN with all cores, and with one worker thread, which\n' +
    "leaves a core to the caller. ScaNN has one shard, as a query takes so little. The last setting is not the tutorial's.",
);
const truth = await rowsOf(bruteForceLots, distinct, { k: 10 });
const lines = [['leaves', 'searched', 'reordered', 'recall@10', 'p50 ms', 'p50 ms, 1 thread', 'times brute force']];
const exactTimes: number[] = [];
for (const [numLeaves, numLeavesToSearch, numReorderingCandidates] of SETTINGS) {
  const options = { k: 10, numLeavesToSearch, numReorderingCandidates };
  const times = [];
  for (const layer of [layers[numLeaves], onOneThread[numLeaves]!]) {
    times.push(await latencies(bruteForceLots, layer, distinct, options));
  }
  exactTimes.push(...times.map(({ slow }) => slow));
  lines.push([
    ...[numLeaves, numLeavesToSearch, numReorderingCandidates].map(count),
    recall(await rowsOf(layers[numLeaves], distinct, options), truth, testUsers).toFixed(4),
    ...times.map(({ fast }) => fast.toFixed(3)),
    times.map(({ slow, fast }) => (slow / fast).toFixed(0)).join(' / '),
  ]);
}
lines.push(['brute force', '', '', '1.0000', median(exactTimes).toFixed(3), '', '1']);
console.log(table(lines));
for (const layer of Object.values(onOneThread)) await layer.close();

// Evaluation
async function evaluate(layer: TopK, ratings: Dataset<Interaction>): Promise<{ elapsed: number; accuracy: number }> {
  tutorial.model.task.factorizedMetrics = new FactorizedTopK({ candidates: layer });
  let logs!: Record<string, number>;
  const elapsed = await seconds(async () => {
    logs = await tutorial.model.evaluate(ratings.batch(BATCH));
  });
  return { elapsed, accuracy: accuracyAt(logs, 100) };
}
const subset = values.full ? testSize : Math.min(SUBSET, testSize);
step(
  'Evaluating with either',
  `FactorizedTopK over the grown set, by brute force and by ScaNN (1,000 leaves, 100 searched, 1,000 reordered), on\n` +
    (values.full
      ? `all ${count(testSize)} test ratings. `
      : `the first ${count(subset)} of the ${count(testSize)} test ratings: by brute force all would take minutes (--full has it do so).\n`) +
    'Each rating is searched for, whether or not its user has come before.',
);
const exact = await evaluate(bruteForceLots, test.take(subset));
const approximate = await evaluate(scann1000, test.take(subset));
const whole = values.full ? approximate : await evaluate(scann1000, test);
console.log(
  table([
    ['', 'ratings', 'seconds', 'top-100 accuracy'],
    ['brute force', count(subset), exact.elapsed.toFixed(2), percent(exact.accuracy)],
    ['ScaNN', count(subset), approximate.elapsed.toFixed(2), percent(approximate.accuracy)],
    ...(values.full ? [] : [['ScaNN', count(testSize), whole.elapsed.toFixed(2), percent(whole.accuracy)]]),
  ]),
);
console.log(`ScaNN is ${(exact.elapsed / approximate.elapsed).toFixed(0)} times faster on the same ratings.`);
for (const layer of [bruteForceLots, scann100, scann1000]) await layer.close();
await tutorial.metrics.close();
await tutorial.model.close();
