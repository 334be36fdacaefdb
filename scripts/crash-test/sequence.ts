import type { BuildOptions, Id } from '../../src/index.ts';
import { Random } from '../../test/support/random.ts';
import { CONFIGS } from '../../test/support/vectors.ts';
import type { Operation } from './content.ts';

// An endless sequence of calls, of which each follows from a seed and its number, so that writer and judge agree on it.

export const DIMENSIONS = 12;
/** Vectors that an index has at first. */
export const SIZE = 300;
const MANY = 9000;

const { tree, hashing } = CONFIGS['tree and hashing'];
export const BUILDS: readonly BuildOptions[] = [
  { tree, hashing },
  { tree, hashing, metric: 'squared_l2' },
  { tree: { ...tree, soarLambda: 1 }, hashing },
  CONFIGS['tree only'],
  CONFIGS.exact,
];

/** Numbers, texts and big numbers side by side. */
export function nameOf(n: number): Id {
  if (n % 3 === 0) return n;
  return n % 3 === 1 ? `id ${n}` : BigInt(n) * 10_000_000_007n;
}

export function operationAt(seed: number, number: number): Operation {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
  const some = (most: number): Id[] => {
    const ids = Array.from({ length: random.int(1, most) }, () => nameOf(random.int(0, 2 * SIZE)));
    return [...new Set(ids)];
  };
  const upsert = (ids: readonly Id[]): Operation => {
    return { kind: 'upsert', ids, vectors: random.normals(ids.length, DIMENSIONS) };
  };
  const chance = random.float();
  if (chance < 0.01) return { kind: 'save' };
  if (chance < 0.013) return { kind: 'rebalance' };
  // Either of these spans several frames of the log.
  if (chance < 0.016) return upsert(Array.from({ length: MANY }, (_, i) => `one of many ${i}`));
  if (chance < 0.04) return upsert(Array.from({ length: 4 }, (_, i) => `${i} ${'long '.repeat(20_000)}`));
  if (chance < 0.3) return { kind: 'delete', ids: some(6) };
  return upsert(some(5));
}
