import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';

const vectors = new Float32Array(40).fill(1);
/** Options of the wrong type on purpose. */
const build = (options: unknown): Promise<Index> => Index.build({ vectors }, options as { dimensions: number });
const nested = (path: string, value: unknown): unknown =>
  path.split('.').reduceRight((inner, name) => ({ [name]: inner }), value);

const NOT_COUNTS = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3', 2n, null, {}, []];
const NOT_BOOLEANS = [0, 1, 'true', null, {}];
const NOT_FUNCTIONS = [true, 'f', null, {}];
const NOT_SIGNALS = [true, null, {}, new EventTarget()];

const BAD_BUILD: Record<string, readonly unknown[]> = {
  dimensions: [...NOT_COUNTS, 4097],
  metric: ['euclidean', 1, null, '', 'DOT_PRODUCT'],
  shards: [...NOT_COUNTS, 1025],
  threads: [...NOT_COUNTS, 65],
  seed: [-1, 1.5, Number.NaN, 2 ** 32, '1', null],
  maxInFlight: [...NOT_COUNTS, 31, 65_537],
  onProgress: NOT_FUNCTIONS,
  signal: NOT_SIGNALS,
  tree: [true, 1, 'auto', null, []],
  'tree.numLeaves': [...NOT_COUNTS, 1_000_001],
  'tree.trainingSampleSize': [...NOT_COUNTS, 2 ** 24 + 1],
  'tree.trainingIterations': [-1, 1.5, Number.NaN, 1001, '3', null],
  'tree.spherical': NOT_BOOLEANS,
  'tree.minPartitionSize': NOT_COUNTS,
  'tree.seeding': ['k-means++', 0, null],
  'tree.soarLambda': [-1, -1e-9, 101, 100.001, Number.NaN, Number.POSITIVE_INFINITY, 'x', '1', true, 2n, {}, []],
  hashing: [true, 1, null, []],
  'hashing.dimensionsPerBlock': [...NOT_COUNTS, 17],
  'hashing.anisotropicQuantizationThreshold': [-0.1, 1, 2, Number.NaN, Number.POSITIVE_INFINITY, '0.2', null],
  'hashing.trainingSampleSize': [...NOT_COUNTS, 2 ** 24 + 1],
  'hashing.trainingIterations': [-1, 1.5, Number.NaN, 1001, '3', null],
  reordering: [true, 1, 'int8', null],
  'reordering.vectors': ['float64', 8, null],
  defaults: [false, 1, null, []],
  'defaults.k': NOT_COUNTS,
  'defaults.numLeavesToSearch': NOT_COUNTS,
  'defaults.numReorderingCandidates': NOT_COUNTS,
};

const BAD_SEARCH: Record<string, readonly unknown[]> = {
  k: [...NOT_COUNTS, 2 ** 31],
  numLeavesToSearch: [...NOT_COUNTS, 2 ** 31],
  numReorderingCandidates: [...NOT_COUNTS, 2 ** 31],
  exact: NOT_BOOLEANS,
  signal: NOT_SIGNALS,
};

const BAD_OPEN: Record<string, readonly unknown[]> = {
  threads: [...NOT_COUNTS, 65],
  maxInFlight: [...NOT_COUNTS, 31, 65_537],
  verifyChecksums: NOT_BOOLEANS,
  signal: NOT_SIGNALS,
};

/** How a value must show in a message. */
const shown = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : typeof value === 'object' && value ? 'object' : String(value);

async function expectInvalid(option: string, value: unknown, work: () => Promise<unknown>): Promise<void> {
  const error = await failureOf(work);
  expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
  expect(error.message).toContain(option);
  expect(error.message).toContain(shown(value));
}

describe('build', () => {
  it.each(Object.keys(BAD_BUILD))('refuses bad values of %s', async (option) => {
    for (const value of BAD_BUILD[option]!) await expectInvalid(option, value, () => build(nested(option, value)));
  });

  it.each(['dimension', 'K', 'tree.leaves', 'hashing.bits', 'reordering.codec', 'defaults.limit'])(
    'refuses the unknown option %s',
    async (option) => {
      const error = await failureOf(build(nested(option, 5)));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value: 5 });
      expect(error.message).toContain(`unknown option ${option}`);
    },
  );

  it.each([null, 1, 'x', []])('refuses options that are %o', async (options) => {
    await expectInvalid('options', options, () => build(options));
  });

  it('refuses to store neither vectors nor codes', async () => {
    const error = await failureOf(build({ dimensions: 4, hashing: false, reordering: false }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'reordering', value: false });
  });

  it.each([{}, { tree: {} }])('needs dimensions for a flat array, with options %o', async (options) => {
    expect(await failureOf(build(options))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'dimensions' });
  });

  it.each([[], [{ vectors: [] }]])('needs dimensions for an index without vectors', async (...input) => {
    const error = await failureOf(Index.build(input));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'dimensions' });
  });

  it.each([null, 5, 'text', {}])('refuses an input that is %o', async (input) => {
    const error = await failureOf(() => Index.build(input as never, { dimensions: 4 }));
    expect(error.code).toBe('SCANNERY_INVALID_OPTION');
    expect(['input', 'vectors']).toContain(error.option);
  });

  it.each([null, 5, 'text', new Uint8Array(8), {}, new Set([1])])('refuses vectors that are %o', async (bad) => {
    const error = await failureOf(Index.build({ vectors: bad } as never, { dimensions: 4 }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'vectors', value: bad });
  });

  it('refuses ids that are no array', async () => {
    const error = await failureOf(Index.build({ vectors, ids: 'abc' } as never, { dimensions: 4 }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'ids', value: 'abc' });
  });

  it('refuses a chunk of a stream that is no object', async () => {
    const error = await failureOf(Index.build([5] as never, { dimensions: 4 }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'vectors', value: 5 });
  });

  it('takes undefined for the default of every option', async () => {
    const options = Object.fromEntries(Object.keys(BAD_BUILD).map((name) => [name.split('.')[0]!, undefined]));
    await using index = await build({ ...options, dimensions: 4, threads: 1 });
    expect(index.stats()).toMatchObject({ size: 10, metric: 'dot_product', config: { tree: false, hashing: false } });
  });
});

describe('search', () => {
  let index: Index;
  beforeAll(async () => {
    index = await build({ dimensions: 4, threads: 1 });
  });
  afterAll(() => index.close());

  it.each(Object.keys(BAD_SEARCH))('refuses bad values of %s, alone and in a batch', async (option) => {
    for (const value of BAD_SEARCH[option]!) {
      await expectInvalid(option, value, () => index.search([1, 2, 3, 4], { [option]: value }));
      await expectInvalid(option, value, () => index.searchBatch([[1, 2, 3, 4]], { [option]: value }));
    }
  });

  it('refuses unknown options', async () => {
    const error = await failureOf(index.search([1, 2, 3, 4], { limit: 3 } as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'limit', value: 3 });
  });

  it.each([null, undefined, 5, '1234', {}, new DataView(new ArrayBuffer(16))])(
    'refuses a query that is %o',
    async (query) => {
      const error = await failureOf(index.search(query as never));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'query' });
      const inBatch = await failureOf(index.searchBatch([[1, 2, 3, 4], query] as never));
      expect(inBatch).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'queries[1]' });
    },
  );

  it.each([null, 5, '1234', {}, new Uint8Array(4)])('refuses a batch that is %o', async (queries) => {
    const error = await failureOf(index.searchBatch(queries as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'queries', value: queries });
  });

  it('refuses a bad directory to save into', async () => {
    for (const value of ['', 5, null, undefined])
      await expectInvalid('directory', value, () => index.save(value as never));
  });
});

describe('open', () => {
  it.each(Object.keys(BAD_OPEN))('refuses bad values of %s', async (option) => {
    for (const value of BAD_OPEN[option]!) {
      await expectInvalid(option, value, () => Index.open('/nowhere', { [option]: value }));
    }
  });

  it('refuses unknown options', async () => {
    const error = await failureOf(Index.open('/nowhere', { shards: 3 } as never));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'shards', value: 3 });
  });

  it('refuses a bad directory', async () => {
    for (const value of ['', 5, null, undefined])
      await expectInvalid('directory', value, () => Index.open(value as never));
  });
});
