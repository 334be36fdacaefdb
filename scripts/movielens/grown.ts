import { Dataset, type ScaNN, type TopK } from '../../src/recommender/index.ts';
import { createRandom } from '../datasets/index.ts';
import { median } from '../measure.ts';

/** Candidates that the set is grown to, about: the tutorial's 1,664 titles, a thousand times. */
const GROWN_SIZE = 1_665_000;
const SEED = 42;

/** The real candidates, and after them copies with every number multiplied by a uniform one of [0, 1), and without a title. */
export interface Grown {
  readonly size: number;
  readonly copies: number;
  readonly candidates: Dataset<[string[], Float32Array]>;
}

export function grow(titles: readonly string[], embeddings: Float32Array): Grown {
  const copies = Math.max(1, Math.floor(GROWN_SIZE / titles.length));
  const untitled = titles.map(() => '');
  const candidates = Dataset.from(function* (): Generator<[string[], Float32Array]> {
    const random = createRandom(SEED);
    yield [[...titles], embeddings];
    for (let copy = 0; copy < copies; copy++) yield [untitled, embeddings.map((value) => value * random.uniform())];
  });
  return { size: titles.length * (copies + 1), copies, candidates };
}

export interface SearchSettings {
  readonly k: number;
  readonly numLeavesToSearch?: number;
  readonly numReorderingCandidates?: number;
}

const ROUNDS = 5;
const SLOW_PER_ROUND = 8;
const WARM_PER_ROUND = 30;
const FAST_PER_ROUND = 120;

/** Medians, in milliseconds, of asking either layer for one user at a time; the two take turns. */
export async function latencies(
  slow: TopK,
  fast: TopK | ScaNN,
  users: readonly string[],
  settings: SearchSettings,
): Promise<{ slow: number; fast: number }> {
  let next = 0;
  const ask = async (layer: TopK | ScaNN, options: SearchSettings, count: number): Promise<number[]> => {
    const samples: number[] = [];
    for (let i = 0; i < count; i++) {
      const user = users[next++ % users.length]!;
      const started = performance.now();
      await layer.call([user], options);
      samples.push(performance.now() - started);
    }
    return samples;
  };
  const samples: { slow: number[]; fast: number[] } = { slow: [], fast: [] };
  for (let round = 0; round < ROUNDS; round++) {
    samples.slow.push(...(await ask(slow, { k: settings.k }, SLOW_PER_ROUND)));
    await ask(fast, settings, WARM_PER_ROUND);
    samples.fast.push(...(await ask(fast, settings, FAST_PER_ROUND)));
  }
  return { slow: median(samples.slow), fast: median(samples.fast) };
}

/**
 * Fraction of the true rows that were found, each user counted as often as given. Rows, not titles, are compared: the copies'
 * titles are all the same.
 */
export function recall(
  found: ReadonlyMap<string, readonly number[]>,
  truth: ReadonlyMap<string, readonly number[]>,
  users: readonly string[],
): number {
  let hits = 0;
  let wanted = 0;
  for (const user of users) {
    const rows = new Set(found.get(user));
    const expected = truth.get(user)!;
    wanted += expected.length;
    for (const row of expected) if (rows.has(row)) hits++;
  }
  return hits / wanted;
}

/** The rows that a layer finds for each user. */
export async function rowsOf(
  layer: TopK | ScaNN,
  users: readonly string[],
  options: SearchSettings,
): Promise<Map<string, readonly number[]>> {
  const [, rows] = await layer.callPositions(users, options);
  return new Map(users.map((user, i) => [user, rows[i]!]));
}
