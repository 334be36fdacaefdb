import type { Crowding, Id, SearchOptions, SearchResult } from '../../src/index.ts';
import { crowdOf } from './matching.ts';
import type { Model, Sight } from './model.ts';

/** A query, and what is asked of its answer. */
export interface Question {
  /** Of length 1. */
  readonly query: Float32Array;
  readonly options: SearchOptions & { readonly k: number };
}

interface Candidate {
  readonly place: number;
  readonly score: number;
}

/** The exact answers of every state that an answer may be of, from one scan. */
export class Answers {
  /** Whether a version may be found, if it is valid. */
  readonly passes: (place: number) => boolean;
  readonly #model: Model;
  readonly #options: Question['options'];
  /** The best of what is valid in all of the states, best first. */
  readonly #steady: readonly Candidate[];
  /** What is valid in some of them. */
  readonly #passing: readonly Candidate[];

  constructor(model: Model, { query, options }: Question, { first, last }: Sight) {
    this.#model = model;
    this.#options = options;
    this.passes = passing(model, options);
    const { k, crowding } = options;
    const { from, to, vectors, dimensions, end } = model;
    let steady: Candidate[] = [];
    const some: Candidate[] = [];
    for (let place = 0; place < end; place++) {
      if (!(from[place]! <= last && to[place]! > first && this.passes(place))) continue;
      let score = 0;
      for (let d = 0, at = place * dimensions; d < dimensions; d++, at++) score += vectors[at]! * query[d]!;
      if (from[place]! > first || to[place]! <= last) some.push({ place, score });
      else if (crowding !== undefined) steady.push({ place, score });
      else insert(steady, { place, score }, k);
    }
    // Picking the best with so many of each value at the most is greedy: what is not among the best of some is not among the best of
    // more.
    if (crowding !== undefined) steady = best(model, steady, k, crowding);
    this.#steady = steady;
    this.#passing = some;
  }

  /** The best of a state, best first. */
  in(state: number): readonly Candidate[] {
    const here = this.#passing.filter(({ place }) => this.#model.isValid(place, state));
    if (here.length === 0) return this.#steady;
    return best(this.#model, [...this.#steady, ...here], this.#options.k, this.#options.crowding);
  }
}

/** The answer that an index without a fault gives in a state. */
export function answerIn(model: Model, question: Question, state: number): SearchResult {
  const found = new Answers(model, question, { first: state, last: state }).in(state);
  return {
    ids: found.map(({ place }) => model.ids[place]!),
    scores: Float32Array.from(found, ({ score }) => score),
  };
}

function passing(model: Model, { filter, allowIds, excludeIds }: Question['options']): (place: number) => boolean {
  const judge = filter && model.judge(filter);
  const allowed = allowIds && new Set<Id>(Array.from(allowIds));
  const excluded = excludeIds && new Set<Id>(Array.from(excludeIds));
  if (judge === undefined && allowed === undefined && excluded === undefined) return () => true;
  return (place) =>
    (judge === undefined || judge(place)) &&
    (allowed === undefined || allowed.has(model.ids[place]!)) &&
    !excluded?.has(model.ids[place]!);
}

/** Puts a candidate among the best k, which are sorted. */
function insert(sorted: Candidate[], candidate: Candidate, k: number): void {
  if (sorted.length === k && candidate.score <= sorted[k - 1]!.score) return;
  let at = sorted.length;
  while (at > 0 && sorted[at - 1]!.score < candidate.score) at--;
  sorted.splice(at, 0, candidate);
  if (sorted.length > k) sorted.pop();
}

function best(model: Model, of: readonly Candidate[], k: number, crowding: Crowding | undefined): Candidate[] {
  const sorted = [...of].sort((a, b) => b.score - a.score);
  if (crowding === undefined) return sorted.slice(0, k);
  const counts = new Map<string, number>();
  const picked: Candidate[] = [];
  for (const candidate of sorted) {
    if (picked.length === k) break;
    const crowd = crowdOf(model.attributes[candidate.place]!, crowding);
    const count = crowd === undefined ? 0 : (counts.get(crowd) ?? 0);
    if (count >= crowding.max) continue;
    if (crowd !== undefined) counts.set(crowd, count + 1);
    picked.push(candidate);
  }
  return picked;
}
