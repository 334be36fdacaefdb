import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findKnobs, type Knobs, paretoFrontier, recallOf } from '../../src/coordinator/tune.ts';
import { type BuildOptions, Index } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { Random } from '../support/random.ts';

const DIMENSIONS = 12;
const SIZE = 6000;

/** Vectors around centres, so that leaves mean something, and queries of the same kind. */
function clustered(count: number, seed: number): Float32Array {
  const centres = new Random(99).normals(60, DIMENSIONS);
  const random = new Random(seed);
  const out = random.normals(count, DIMENSIONS);
  for (let i = 0; i < count; i++) {
    const centre = random.int(0, 59) * DIMENSIONS;
    for (let j = 0; j < DIMENSIONS; j++)
      out[i * DIMENSIONS + j] = centres[centre + j]! + 0.6 * out[i * DIMENSIONS + j]!;
  }
  return out;
}
const vectors = clustered(SIZE, 1);
const queries = clustered(300, 2);
const unseen = clustered(300, 3);
const OPTIONS: BuildOptions = {
  ...{ dimensions: DIMENSIONS, metric: 'squared_l2', threads: 2 },
  ...{ tree: { numLeaves: 60 }, hashing: { dimensionsPerBlock: 2 } },
};

const result = (...scores: number[]) => ({ ids: scores.map((_, i) => i), scores: Float32Array.from(scores) });

describe('recallOf', () => {
  it('counts what is as near as the k-th, whichever it is', () => {
    const truth = [result(1, 2, 2), result(5, 6, 7)];
    expect(recallOf(truth, truth, true)).toBe(1);
    expect(recallOf([result(1, 2, 2), result(5, 6, 8)], truth, true)).toBeCloseTo(5 / 6);
    expect(recallOf([result(), result(8, 9, 10)], truth, true)).toBe(0);
    expect(recallOf([result(9, 8, 1)], [result(9, 8, 7)], false)).toBeCloseTo(2 / 3);
  });

  it('is 1 when there is nothing to find', () => {
    expect(recallOf([], [], true)).toBe(1);
    expect(recallOf([result()], [result()], false)).toBe(1);
  });
});

it('paretoFrontier keeps what nothing else beats, by ascending recall', () => {
  const point = (recall: number, microsecondsPerQuery: number) => ({
    ...{ numLeavesToSearch: 1, numReorderingCandidates: 1, recall, microsecondsPerQuery },
  });
  const [a, b, c, d] = [point(0.9, 10), point(0.95, 20), point(0.94, 30), point(0.99, 50)];
  expect(paretoFrontier([d, c, b, a])).toEqual([a, b, d]);
  expect(paretoFrontier([])).toEqual([]);
});

it.each([
  ['the right way', 1],
  ['the wrong way round', -1],
])('findKnobs takes no more of both knobs than the target needs when the clock goes %s', async (_, sign) => {
  const truth = [result(...new Array<number>(1000).fill(1))];
  const recall = ({ numLeavesToSearch: l, numReorderingCandidates: c }: Knobs) => (1 - 2 / (l + 2)) * (1 - 3 / (c + 3));
  const { best } = await findKnobs(
    {
      ...{ k: 10, size: 10_000, lanes: 10_000, numLeaves: 100, reorders: true, truth, ascending: false },
      ...{ signal: undefined, onStep: () => {} },
      search: async (knobs) => ({
        results: [result(...new Array<number>(Math.round(1000 * recall(knobs))).fill(1))],
        microseconds: 1e6 + sign * (10 * knobs.numLeavesToSearch + knobs.numReorderingCandidates),
      }),
    },
    0.9,
  );
  expect(best.recall).toBeGreaterThanOrEqual(0.9);
  expect(best.recall).toBeLessThan(0.905);
});

describe('an index', () => {
  let index: Index;
  beforeAll(async () => {
    index = await Index.build({ vectors }, OPTIONS);
  });
  afterAll(() => index.close());

  it('measures the recall that counting gives', async () => {
    const setting = { k: 5, numLeavesToSearch: 2, numReorderingCandidates: 10 };
    const truth = await index.searchBatch(queries, { k: 5, exact: true });
    const found = await index.searchBatch(queries, setting);
    const hits = truth.reduce((sum, { ids }, i) => sum + ids.filter((id) => found[i]!.ids.includes(id)).length, 0);
    expect(await index.measureRecall({ queries, ...setting })).toBeCloseTo(hits / (5 * 300), 10);
    expect(await index.measureRecall({ queries, k: 5, numLeavesToSearch: 60, numReorderingCandidates: SIZE })).toBe(1);
  });

  it.each([0.8, 0.9, 0.97, 1])(
    'tunes to a recall of %d, also on queries that it has not seen',
    async (targetRecall) => {
      const steps: number[] = [];
      const tuned = await index.tune({ queries, targetRecall, onProgress: (tried) => steps.push(tried) });
      expect(tuned).toMatchObject({ k: 10, queries: 300 });
      expect(tuned.recall).toBeGreaterThanOrEqual(targetRecall);
      expect(index.stats().config.defaults).toEqual({
        ...{ k: 10, numLeavesToSearch: tuned.numLeavesToSearch },
        numReorderingCandidates: tuned.numReorderingCandidates,
      });
      expect(await index.measureRecall({ queries })).toBe(tuned.recall);
      expect(Math.abs((await index.measureRecall({ queries: unseen })) - tuned.recall)).toBeLessThan(0.03);
      expect(steps).toEqual(steps.map((_, i) => i + 1));
      const { frontier } = tuned;
      for (let i = 1; i < frontier.length; i++) {
        expect(frontier[i]!.recall).toBeGreaterThan(frontier[i - 1]!.recall);
        expect(frontier[i]!.microsecondsPerQuery).toBeGreaterThan(frontier[i - 1]!.microsecondsPerQuery);
      }
      expect(frontier.some(({ recall }) => recall >= targetRecall)).toBe(true);
    },
  );

  it('needs no more than its own vectors', async () => {
    const tuned = await index.tune({ targetRecall: 0.9, maxQueries: 200 });
    expect(tuned.queries).toBe(200);
    expect(tuned.recall).toBeGreaterThanOrEqual(0.9);
    expect(await index.measureRecall({ maxQueries: 200 })).toBe(tuned.recall);
    expect(await index.measureRecall({ maxQueries: 200, seed: 7 })).not.toBe(
      await index.measureRecall({ maxQueries: 150 }),
    );
  });

  it('keeps the choice in its files', async () => {
    const { numLeavesToSearch, numReorderingCandidates } = await index.tune({ queries, targetRecall: 0.9, k: 3 });
    const directory = temporaryDirectory();
    await index.save(directory);
    await using opened = await Index.open(directory, { threads: 1 });
    expect(opened.stats().config.defaults).toEqual({ k: 3, numLeavesToSearch, numReorderingCandidates });
    expect(await opened.searchBatch(unseen)).toEqual(await index.searchBatch(unseen));
  });

  it('answers queries meanwhile', async () => {
    const tuning = index.tune({ queries, targetRecall: 0.95 });
    const answers = await Promise.all(Array.from({ length: 50 }, () => index.search(queries.subarray(0, DIMENSIONS))));
    expect(answers.every(({ ids }) => ids.length > 0)).toBe(true);
    expect((await tuning).recall).toBeGreaterThanOrEqual(0.95);
  });

  it('takes at most so many of the queries, evenly', async () => {
    expect((await index.tune({ queries, maxQueries: 100 })).queries).toBe(100);
    const every3rd = Array.from({ length: 100 }, (_, i) =>
      queries.subarray(3 * i * DIMENSIONS, (3 * i + 1) * DIMENSIONS),
    );
    const options = { k: 4, numLeavesToSearch: 1, numReorderingCandidates: 8 };
    const [all, some] = [{ queries, maxQueries: 100 }, { queries: every3rd }];
    expect(await index.measureRecall({ ...all, ...options })).toBe(await index.measureRecall({ ...some, ...options }));
  });

  it.each<[string, object, object]>([
    ['a target of 0', { targetRecall: 0 }, { code: 'SCANNERY_INVALID_OPTION', option: 'targetRecall' }],
    ['a target above 1', { targetRecall: 1.01 }, { code: 'SCANNERY_INVALID_OPTION', option: 'targetRecall' }],
    ['queries of a wrong type', { queries: 'all' }, { code: 'SCANNERY_INVALID_OPTION', option: 'queries' }],
    ['a query with NaN', { queries: [[Number.NaN]] }, { code: 'SCANNERY_INVALID_VECTOR' }],
    ['flat queries of another length', { queries: new Float32Array(13) }, { code: 'SCANNERY_INVALID_VECTOR' }],
    ['no queries at all to take', { maxQueries: 0 }, { code: 'SCANNERY_INVALID_OPTION', option: 'maxQueries' }],
    ['an unknown option', { leaves: 1 }, { code: 'SCANNERY_INVALID_OPTION', option: 'leaves' }],
    ['an aborted signal', { signal: AbortSignal.abort() }, { code: 'SCANNERY_ABORTED' }],
  ])('refuses %s, and keeps its defaults', async (_, options, error) => {
    const { defaults } = index.stats().config;
    expect(await failureOf(index.tune(options))).toMatchObject(error);
    expect(index.stats().config.defaults).toEqual(defaults);
  });

  it('can be stopped while it tries settings', async () => {
    const { defaults } = index.stats().config;
    const controller = new AbortController();
    const onProgress = (tried: number): void => {
      if (tried === 3) controller.abort();
    };
    const tuning = index.tune({ queries, onProgress, signal: controller.signal });
    expect(await failureOf(tuning)).toMatchObject({ code: 'SCANNERY_ABORTED' });
    const error = new Error('mine');
    const throwing = index.tune({
      queries,
      onProgress: () => {
        throw error;
      },
    });
    await expect(throwing).rejects.toBe(error);
    expect(index.stats().config.defaults).toEqual(defaults);
  });
});

describe('indexes of other kinds', () => {
  it.each<[string, BuildOptions]>([
    ['without tree and hashing', { tree: false, hashing: false }],
    ['without a tree', { tree: false, hashing: {} }],
    ['without hashing', { tree: { numLeaves: 30 }, hashing: false }],
    ['with int8 vectors', { tree: { numLeaves: 30 }, hashing: {}, reordering: { vectors: 'int8' } }],
    ['with bfloat16 vectors', { tree: { numLeaves: 30 }, hashing: {}, reordering: { vectors: 'bfloat16' } }],
  ])('%s tune and measure', async (_, options) => {
    await using index = await Index.build(
      { vectors: vectors.subarray(0, 2000 * DIMENSIONS) },
      { ...OPTIONS, metric: 'cosine', ...options },
    );
    const tuned = await index.tune({ queries, targetRecall: 0.95 });
    expect(tuned.recall).toBeGreaterThanOrEqual(0.95);
    expect(await index.measureRecall()).toBeGreaterThan(0.8);
  });

  it('without stored vectors cannot be measured', async () => {
    await using index = await Index.build({ vectors }, { ...OPTIONS, reordering: false });
    for (const call of [index.tune(), index.measureRecall(), index.tune({ queries })]) {
      expect(await failureOf(call)).toMatchObject({ code: 'SCANNERY_NOT_SUPPORTED' });
    }
  });

  it('of nothing are perfect', async () => {
    await using index = await Index.build({ vectors: [] }, { dimensions: 3 });
    expect(await index.measureRecall()).toBe(1);
    expect((await index.tune()).recall).toBe(1);
  });

  it('that are closed refuse', async () => {
    const index = await Index.build({ vectors: [[1, 2]] });
    await index.close();
    expect(await failureOf(index.tune())).toMatchObject({ code: 'SCANNERY_CLOSED' });
    expect(await failureOf(index.measureRecall())).toMatchObject({ code: 'SCANNERY_CLOSED' });
  });
});

it('a build can end with tuning', async () => {
  const phases = new Set<string>();
  const options: BuildOptions = { ...OPTIONS, targetRecall: 0.9, onProgress: ({ phase }) => phases.add(phase) };
  await using index = await Index.build({ vectors }, options);
  expect(phases.has('tune')).toBe(true);
  const recall = await index.measureRecall();
  expect(recall).toBeGreaterThanOrEqual(0.9);
  expect(recall).toBeLessThan(0.97);
  expect(await failureOf(Index.build({ vectors }, { ...OPTIONS, targetRecall: 2 }))).toMatchObject({
    ...{ code: 'SCANNERY_INVALID_OPTION', option: 'targetRecall' },
  });
});
