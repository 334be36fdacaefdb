import type { Index, SearchResult } from '../../src/index.ts';
import { recall } from '../measure.ts';

/** Numbers of leaves that are tried, as multiples of what `tune` chose: fewer leaves want more candidates. */
const LEAF_FACTORS = [0.6, 0.7, 0.8, 0.9, 1, 1.15, 1.3, 1.5];
/** Candidates at the most, as a multiple of k. */
const MOST_CANDIDATES = 100;
const ROUNDS = 5;
/** Times closer than this, as a ratio, are not told apart. */
const CLOSE = 1.1;

export interface Setting {
  readonly numLeavesToSearch: number;
  readonly numReorderingCandidates: number;
  /** Over the queries that it was chosen with. */
  readonly recall: number;
}

/** The least whole number of `least` .. `most` for which `holds`, which stays true once it is; undefined if for none. */
export async function leastThat(
  least: number,
  most: number,
  holds: (value: number) => Promise<boolean>,
): Promise<number | undefined> {
  if (most < least || !(await holds(most))) return undefined;
  let [low, high] = [least - 1, most];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The fastest setting whose recall is the target, and hardly more. `tune` finds about how many leaves that takes; but it may
 * settle for more candidates than needed, where the times of two settings differ by chance, and sizes are to be compared at equal
 * recall. So for each of some numbers of leaves the least number of candidates is found, and these settings are timed in turns.
 */
export async function chooseSetting(
  index: Index,
  queries: Float32Array,
  { k, target }: { readonly k: number; readonly target: number },
): Promise<Setting> {
  const maxQueries = queries.length / index.dimensions;
  const tuned = await index.tune({ queries, maxQueries, targetRecall: target, k });
  const truth: SearchResult[] = await index.searchBatch(queries, { k, exact: true });
  const most = Math.min(index.size, MOST_CANDIDATES * k);
  const { numLeaves } = index.stats();
  const counts = LEAF_FACTORS.map((factor) => Math.round(factor * tuned.numLeavesToSearch));
  const settings: Setting[] = [];
  for (const leaves of new Set(counts.map((count) => Math.min(numLeaves, Math.max(1, count))))) {
    const recalls = new Map<number, number>();
    const candidates = await leastThat(k, most, async (numReorderingCandidates) => {
      const found = await index.searchBatch(queries, { k, numLeavesToSearch: leaves, numReorderingCandidates });
      recalls.set(numReorderingCandidates, recall(found, truth));
      return recalls.get(numReorderingCandidates)! >= target;
    });
    if (candidates === undefined) continue;
    const reached = recalls.get(candidates)!;
    settings.push({ numLeavesToSearch: leaves, numReorderingCandidates: candidates, recall: reached });
  }
  // Recalls of 1 may take more candidates than are tried here.
  return settings.length > 0 ? fastest(index, queries, k, settings) : tuned;
}

async function fastest(index: Index, queries: Float32Array, k: number, settings: readonly Setting[]): Promise<Setting> {
  // The least of the times: whatever else the machine does can only add to them.
  const times = settings.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { numLeavesToSearch, numReorderingCandidates }] of settings.entries()) {
      const before = index.stats().queries.kernelMicroseconds;
      await index.searchBatch(queries, { k, numLeavesToSearch, numReorderingCandidates });
      times[i] = Math.min(times[i]!, index.stats().queries.kernelMicroseconds - before);
    }
  }
  // Near the best the time hardly depends on the setting: of those, always that with the fewest leaves.
  const least = Math.min(...times);
  return settings
    .filter((_, i) => times[i]! <= CLOSE * least)
    .reduce((best, setting) => (setting.numLeavesToSearch < best.numLeavesToSearch ? setting : best));
}
