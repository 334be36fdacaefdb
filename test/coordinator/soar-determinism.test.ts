import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type BuildOptions, Index, METRICS } from '../../src/index.ts';
import { fingerprint, temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { bits, clustered, type Data, rowAt } from '../support/vectors.ts';

const directory = temporaryDirectory();
const dimensions = 6;
const tree = { numLeaves: 12, trainingSampleSize: 1000, trainingIterations: 4, soarLambda: 1.2 };
const hashing = { trainingSampleSize: 1000, trainingIterations: 4 };

// Half of the vectors, and of the queries, hold few whole numbers: sums are exact, so that many tie at every boundary.
const random = new Random(3);
const data: Data = {
  ...{ count: 1500, dimensions },
  vectors: Float32Array.of(...random.integers(700, dimensions, dimensions, 2), ...clustered(800, dimensions).vectors),
};
const queries = Float32Array.of(...random.integers(20, dimensions, dimensions, 1), ...random.normals(20, dimensions));

const before = process.env.SCANNERY_KERNELS;
afterEach(() => {
  if (before === undefined) delete process.env.SCANNERY_KERNELS;
  else process.env.SCANNERY_KERNELS = before;
});

async function answers(index: Index): Promise<unknown[]> {
  const found = [];
  for (const [k, numReorderingCandidates, numLeavesToSearch] of [
    [5, 7, 3],
    [5, 13, 3],
    [1, 1, 1],
    [60, 200, 5],
    [700, 700, 12],
  ] as const) {
    const options = { k, numReorderingCandidates, numLeavesToSearch };
    found.push(...(await index.searchBatch(queries, options)));
    found.push(await index.search(rowAt({ dimensions, vectors: queries }, 21), options));
  }
  return found.map(bits);
}

const CONFIGS: [name: string, options: BuildOptions][] = [
  ['hashed', { hashing }],
  ['hashed, int8', { hashing, reordering: { vectors: 'int8' } }],
  ['codes', { hashing, reordering: false }],
  ['tree', { hashing: false }],
];

const COMBINATIONS = CONFIGS.flatMap(([name, options]) =>
  METRICS.filter((metric) => name === 'hashed' || metric === 'squared_l2').map(
    (metric) => [name, metric, options] as const,
  ),
);

it.each(COMBINATIONS)(
  '%s gives the same bits under %s with spilled vectors, whatever the shards and threads',
  async (_, metric, options) => {
    let base: unknown;
    for (const shards of [1, 2, 3, 8]) {
      for (const threads of [1, 2]) {
        await using index = await Index.build(data, { dimensions, tree, metric, ...options, shards, threads });
        const found = await answers(index);
        base ??= found;
        expect(found, `${shards} shards, ${threads} threads`).toEqual(base);
      }
    }
  },
);

it.each(METRICS)('scalar kernels spill, save and answer as simd ones do, under %s', async (metric) => {
  for (const [name, options] of CONFIGS) {
    const made = [];
    for (const tier of ['simd', 'scalar'] as const) {
      process.env.SCANNERY_KERNELS = tier;
      const path = join(directory, `${name}-${metric}-${tier}`);
      await using index = await Index.build(data, { dimensions, tree, metric, ...options, shards: 2, threads: 2 });
      expect(index.stats().kernels).toBe(tier);
      await index.save(path);
      made.push({ files: fingerprint(path), found: await answers(index) });
    }
    expect(made[1]).toEqual(made[0]);
  }
});

it('saves the same bytes whatever the threads', async () => {
  const saved = [];
  for (const threads of [1, 2]) {
    const path = join(directory, `threads-${threads}`);
    await using index = await Index.build(data, { dimensions, tree, hashing, shards: 3, threads });
    await index.save(path);
    saved.push(fingerprint(path));
  }
  expect(saved[1]).toEqual(saved[0]);
});
