import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type BuildOptions, type Id, Index, METRICS, type Metric, type OpenOptions } from '../../src/index.ts';
import { copyUnlocked, temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered, naiveScore } from '../support/vectors.ts';

// Random sequences of writes, against a plain map of what should be there.

const RUNS = Number(process.env.SCANNERY_PROPERTY_RUNS ?? 12);
const [size, dimensions] = [150, 5];
const base = temporaryDirectory();
const { tree, hashing } = CONFIGS['tree and hashing'];
const BUILDS: readonly BuildOptions[] = [
  CONFIGS.exact,
  CONFIGS['tree only'],
  { tree, hashing },
  { tree: { ...tree, soarLambda: 1 }, hashing },
];

type Operation =
  | { readonly kind: 'upsert' | 'delete'; readonly ids: readonly number[]; readonly seed: number }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'crash' };

const id = fc.integer({ min: 0, max: 250 });
const ids = fc.uniqueArray(id, { maxLength: 120 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('upsert' as const), ids, seed: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), ids, seed: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' as const }) },
);
/** How writes are kept: by saving alone, or in a log, with checkpoints at this length. */
const keeping = fc.constantFrom<OpenOptions>(
  {},
  { durability: 'always', checkpointBytes: 1500 },
  { durability: 'always', checkpointBytes: 100_000 },
);

/** An id as it is given: numbers and texts side by side. */
const nameOf = (n: number): Id => (n % 3 === 0 ? n : `id ${n}`);

async function check(
  index: Index,
  model: ReadonlyMap<Id, Float32Array>,
  metric: Metric,
  query: Float32Array,
): Promise<void> {
  expect(index.size).toBe(model.size);
  const scores = [...model.values()].map((vector) => naiveScore(metric, vector, query));
  scores.sort((a, b) => (metric === 'squared_l2' ? a - b : b - a));
  for (const exact of [true, false]) {
    const every = { numLeavesToSearch: 12, numReorderingCandidates: 10_000 };
    const found = await index.search(query, { k: 40, exact, ...every });
    expect(found.ids.length).toBe(Math.min(40, model.size));
    expect(new Set(found.ids).size).toBe(found.ids.length);
    for (const [i, name] of found.ids.entries()) {
      expect(found.scores[i]).toBeCloseTo(scores[i]!, 3);
      expect(naiveScore(metric, model.get(name)!, query)).toBeCloseTo(scores[i]!, 3);
    }
  }
}

it('is what a map of vectors would be, whatever is written and whenever it is saved or its process dies', {
  timeout: 30_000 + RUNS * 3000,
}, async () => {
  let number = 0;
  await fc.assert(
    fc.asyncProperty(
      ...[
        fc.array(operation, { minLength: 1, maxLength: 14 }),
        fc.constantFrom(...BUILDS),
        fc.constantFrom(...METRICS),
        keeping,
      ],
      async (operations, build, metric, keep) => {
        let directory = join(base, `run ${number++}`);
        const { vectors } = clustered(size, dimensions, 3);
        const names = Array.from({ length: size }, (_, i) => nameOf(i));
        const model = new Map(names.map((name, i) => [name, vectors.subarray(i * dimensions, (i + 1) * dimensions)]));
        let index = await Index.build({ ids: names, vectors }, { ...build, metric, dimensions, threads: 1, shards: 2 });
        const open = (): Promise<Index> => Index.open(directory, { threads: 1, ...keep });
        const isKept = keep.durability !== undefined;
        if (isKept) {
          await index.save(directory);
          await index.close();
          index = await open();
        }
        try {
          for (const [step, next] of operations.entries()) {
            if (next.kind === 'reopen') {
              if (!isKept) await index.save(directory);
              await index.close();
              index = await open();
            } else if (next.kind === 'crash') {
              if (!isKept) continue;
              // A checkpoint that is under way ends before this does, so that the copy is of one moment.
              await index.delete([]);
              directory = copyUnlocked(directory, `${directory}, ${step}`);
              await index.close();
              index = await open();
            } else {
              const given = next.ids.map(nameOf);
              const known = given.filter((name) => model.has(name)).length;
              if (next.kind === 'delete') {
                expect(await index.delete(given)).toEqual({ deleted: known, unknown: given.length - known });
                for (const name of given) model.delete(name);
              } else {
                const fresh = new Random(next.seed).normals(given.length, dimensions);
                const result = await index.upsert({ ids: given, vectors: fresh });
                expect(result).toEqual({ inserted: given.length - known, updated: known });
                for (const [i, name] of given.entries()) {
                  model.set(name, fresh.subarray(i * dimensions, (i + 1) * dimensions));
                }
              }
            }
            await check(index, model, metric, new Random(step).normals(1, dimensions));
          }
          const left: Id[] = [];
          for await (const name of index.ids()) left.push(name);
          expect(new Set(left)).toEqual(new Set(model.keys()));
        } finally {
          await index.close();
        }
      },
    ),
    { numRuns: RUNS, seed: 20, endOnFailure: true },
  );
});
