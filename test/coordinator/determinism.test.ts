import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type BuildOptions, Index } from '../../src/index.ts';
import { filesIn, fingerprint, temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, type ConfigName, clustered, type Data, rowAt } from '../support/vectors.ts';

const directory = temporaryDirectory();
const NAMES = ['exact', 'hashing only', 'tree and hashing'] as const satisfies ConfigName[];
const dimensions = 6;

// Half of the vectors, and of the queries, hold few whole numbers: sums are exact, so that many tie at every boundary.
const random = new Random(3);
const whole = random.integers(700, dimensions, dimensions, 2);
const data: Data = {
  ...{ count: 1500, dimensions },
  vectors: Float32Array.of(...whole, ...clustered(800, dimensions).vectors),
};
const queries = Float32Array.of(...random.integers(20, dimensions, dimensions, 1), ...random.normals(20, dimensions));

const SMALL = { k: 5, numReorderingCandidates: 7, numLeavesToSearch: 3 };

async function answers(options: BuildOptions): Promise<unknown> {
  await using index = await Index.build(data, { dimensions, ...options });
  const few = await index.searchBatch(queries, SMALL);
  const many = await index.searchBatch(queries, { k: 40, numReorderingCandidates: 60, numLeavesToSearch: 8 });
  const alone = await index.search(queries.subarray(0, dimensions), SMALL);
  return [...few, ...many, alone].map(bits);
}

it.each([
  ['exact', 'squared_l2'],
  ['hashing only', 'dot_product'],
  ['tree and hashing', 'dot_product'],
  ['tree and hashing', 'squared_l2'],
] as const)('%s gives the same bits under %s, whatever the shards and threads', async (name, metric) => {
  let base: unknown;
  for (const shards of [1, 2, 3, 8]) {
    for (const threads of [1, 2]) {
      const found = await answers({ ...CONFIGS[name], metric, shards, threads });
      base ??= found;
      expect(found, `${shards} shards, ${threads} threads`).toEqual(base);
    }
  }
});

describe.each(NAMES)('%s', (name) => {
  it.each([1, 3])('saves the same bytes whatever the threads, in %i shards', async (shards) => {
    const saved = [];
    for (const threads of [1, 2]) {
      const path = join(directory, `${name}-${shards}-${threads}-${saved.length}`);
      await using index = await Index.build(data, { dimensions, ...CONFIGS[name], shards, threads });
      await index.save(path);
      saved.push(fingerprint(path));
    }
    expect(Object.keys(saved[0]!)).toHaveLength(2 + (name.startsWith('tree') ? 1 : shards));
    expect(saved[1]).toEqual(saved[0]);
  });
});

it('gives each answer the same whether it is asked alone, in a batch or among others', async () => {
  await using index = await Index.build(data, { dimensions, ...CONFIGS['tree and hashing'], shards: 3, threads: 2 });
  const batch = await index.searchBatch(queries, SMALL);
  for (let round = 0; round < 20; round++) {
    const together = await Promise.all(
      batch.map((_, i) => index.search(rowAt({ dimensions, vectors: queries }, i), SMALL)),
    );
    expect(together.map(bits)).toEqual(batch.map(bits));
  }
});

it('differs when the seed differs', async () => {
  const paths = [];
  for (const seed of [1, 2]) {
    const path = join(directory, `seed-${seed}`);
    mkdirSync(path);
    await using index = await Index.build(data, {
      dimensions,
      ...CONFIGS['tree and hashing'],
      seed,
      shards: 1,
      threads: 1,
    });
    await index.save(path);
    paths.push(path);
  }
  const [one, two] = paths.map(fingerprint) as [Record<string, string>, Record<string, string>];
  expect(filesIn(paths[0]!)).toEqual(filesIn(paths[1]!));
  expect(two['generation-000001/index.scannery']).not.toBe(one['generation-000001/index.scannery']);
  expect(two['generation-000001/shard-0000.scannery']).not.toBe(one['generation-000001/shard-0000.scannery']);
});

describe('SCANNERY_KERNELS', () => {
  const before = process.env.SCANNERY_KERNELS;
  afterEach(() => {
    if (before === undefined) delete process.env.SCANNERY_KERNELS;
    else process.env.SCANNERY_KERNELS = before;
  });

  it.each(['dot_product', 'cosine', 'squared_l2'] as const)(
    'scalar gives the same files and answers as simd, under %s',
    async (metric) => {
      const made = [];
      for (const tier of ['simd', 'scalar'] as const) {
        process.env.SCANNERY_KERNELS = tier;
        const path = join(directory, `${metric}-${tier}`);
        const options = { dimensions, metric, ...CONFIGS['tree and hashing'], shards: 2, threads: 2 };
        await using index = await Index.build(data, options);
        expect(index.stats().kernels).toBe(tier);
        await index.save(path);
        const found = await index.searchBatch(queries, { k: 10, numReorderingCandidates: 20, numLeavesToSearch: 4 });
        made.push({ files: fingerprint(path), found: found.map(bits) });
      }
      expect(made[1]).toEqual(made[0]);
    },
  );

  it('is read again when an index is opened, which then answers the same', async () => {
    const path = join(directory, 'kernels-open');
    await using built = await Index.build(data, { dimensions, ...CONFIGS['tree and hashing'] });
    await built.save(path);
    process.env.SCANNERY_KERNELS = 'scalar';
    await using opened = await Index.open(path);
    expect(opened.stats().kernels).toBe('scalar');
    expect((await opened.searchBatch(queries)).map(bits)).toEqual((await built.searchBatch(queries)).map(bits));
  });

  it('refuses a name that it does not know', async () => {
    process.env.SCANNERY_KERNELS = 'fast';
    const error = await Index.build(data, { dimensions }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'SCANNERY_KERNELS', value: 'fast' });
  });
});
