import { throwIfAborted } from './threads.ts';
import type { FrontierPoint, SearchResult } from './types.ts';

/** A setting of the two knobs. */
export interface Knobs {
  readonly numLeavesToSearch: number;
  readonly numReorderingCandidates: number;
}

/** What tuning needs of an index. */
export interface TunedIndex {
  readonly k: number;
  readonly size: number;
  /** Lanes of all vectors in the leaves: as many candidates stand for every vector. */
  readonly lanes: number;
  /** 1 without a tree. */
  readonly numLeaves: number;
  /** Whether candidates are reordered; otherwise only leaves can be chosen. */
  readonly reorders: boolean;
  /** Answers to all queries, and the microseconds in kernels per query. */
  search(knobs: Knobs): Promise<{ results: SearchResult[]; microseconds: number }>;
  readonly truth: readonly SearchResult[];
  readonly ascending: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onStep: () => void;
}

/** Multiples of the least number of leaves that are tried: more leaves want fewer candidates. */
const LEAF_FACTORS = [1, 1.1, 1.25, 1.45, 1.7, 2];
/** Candidates at the most, as a multiple of k. */
const MOST_CANDIDATES = 100;
/** Knobs closer than this, relative, are not told apart. */
const CLOSE = 0.03;

/** Fraction of each true list that was found: scores that reach that of the k-th true neighbour count, so ties do. */
export function recallOf(found: readonly SearchResult[], truth: readonly SearchResult[], ascending: boolean): number {
  let hits = 0;
  let wanted = 0;
  for (const [i, { scores }] of truth.entries()) {
    wanted += scores.length;
    const last = scores.at(-1)!;
    let reached = 0;
    for (const score of found[i]!.scores) if (ascending ? score <= last : score >= last) reached++;
    hits += Math.min(reached, scores.length);
  }
  return wanted === 0 ? 1 : hits / wanted;
}

/**
 * Finds the cheapest setting that reaches a recall. Recall only grows with either knob, so with the most candidates the least
 * number of leaves is found by bisection, and for it and some more the least number of candidates.
 */
export async function findKnobs(
  index: TunedIndex,
  target: number,
): Promise<{ best: FrontierPoint; frontier: FrontierPoint[] }> {
  const search = new KnobSearch(index, target);
  return search.run();
}

class KnobSearch {
  readonly #index: TunedIndex;
  readonly #target: number;
  /** Candidates are looked for between these. */
  readonly #fewest: number;
  readonly #most: number;
  readonly #points = new Map<string, FrontierPoint>();

  constructor(index: TunedIndex, target: number) {
    this.#index = index;
    this.#target = target;
    const { k, size, reorders } = index;
    this.#fewest = Math.min(size, k);
    this.#most = reorders ? Math.min(size, MOST_CANDIDATES * k) : this.#fewest;
  }

  async run(): Promise<{ best: FrontierPoint; frontier: FrontierPoint[] }> {
    const least = await this.#leastLeaves();
    for (const factor of LEAF_FACTORS) {
      const leaves = Math.min(this.#index.numLeaves, Math.round(least * factor));
      await this.#leastCandidates(leaves);
    }
    const reaching = leanest([...this.#points.values()].filter(({ recall }) => recall >= this.#target));
    const cheapest = (some: FrontierPoint[]): FrontierPoint =>
      some.reduce((best, point) => (point.microsecondsPerQuery < best.microsecondsPerQuery ? point : best));
    // When even all leaves and the most candidates tried do not reach it, all vectors as candidates do: recall is then 1.
    const best = reaching.length > 0 ? cheapest(reaching) : await this.#try(this.#index.numLeaves, this.#index.lanes);
    return { best, frontier: paretoFrontier([...this.#points.values()]) };
  }

  /** The least number of leaves that reaches the target with the most candidates. */
  async #leastLeaves(): Promise<number> {
    const { numLeaves } = this.#index;
    const most = this.#most;
    // Doubling first: a search of all leaves costs many times what the answer does.
    let high = 1;
    while (high < numLeaves && !(await this.#reaches(high, most))) high = Math.min(numLeaves, high * 2);
    let low = Math.floor(high / 2);
    while (high - low > Math.max(1, high * CLOSE)) {
      const middle = Math.round((low + high) / 2);
      if (await this.#reaches(middle, most)) high = middle;
      else low = middle;
    }
    return high;
  }

  /** Tries candidates for a number of leaves until it is known where the target is reached. */
  async #leastCandidates(leaves: number): Promise<void> {
    let high = this.#most;
    if (!(await this.#reaches(leaves, high))) return;
    let low = this.#fewest - 1;
    while (high - low > Math.max(1, high * CLOSE)) {
      // Recall grows with the logarithm of the candidates, about.
      const middle = Math.min(high - 1, Math.max(low + 1, Math.round(Math.sqrt(Math.max(1, low) * high))));
      if (await this.#reaches(leaves, middle)) high = middle;
      else low = middle;
    }
  }

  async #reaches(leaves: number, candidates: number): Promise<boolean> {
    return (await this.#try(leaves, candidates)).recall >= this.#target;
  }

  async #try(numLeavesToSearch: number, numReorderingCandidates: number): Promise<FrontierPoint> {
    const name = `${numLeavesToSearch}/${numReorderingCandidates}`;
    const known = this.#points.get(name);
    if (known !== undefined) return known;
    throwIfAborted(this.#index.signal);
    const { results, microseconds } = await this.#index.search({ numLeavesToSearch, numReorderingCandidates });
    const recall = recallOf(results, this.#index.truth, this.#index.ascending);
    const point = { numLeavesToSearch, numReorderingCandidates, recall, microsecondsPerQuery: microseconds };
    this.#points.set(name, point);
    this.#index.onStep();
    return point;
  }
}

/**
 * Without the points that have no less of either knob than another: those cost more, even where the clock of a busy machine says
 * otherwise.
 */
function leanest(points: readonly FrontierPoint[]): FrontierPoint[] {
  const within = (a: FrontierPoint, b: FrontierPoint): boolean =>
    a.numLeavesToSearch <= b.numLeavesToSearch && a.numReorderingCandidates <= b.numReorderingCandidates;
  return points.filter((point) => !points.some((other) => other !== point && within(other, point)));
}

/** The points that no other beats in both recall and cost, by ascending recall. */
export function paretoFrontier(points: readonly FrontierPoint[]): FrontierPoint[] {
  const sorted = [...points].sort((a, b) => b.recall - a.recall || a.microsecondsPerQuery - b.microsecondsPerQuery);
  const frontier: FrontierPoint[] = [];
  for (const point of sorted) {
    const last = frontier.at(-1);
    if (last === undefined || point.microsecondsPerQuery < last.microsecondsPerQuery) frontier.push(point);
  }
  return frontier.reverse();
}
