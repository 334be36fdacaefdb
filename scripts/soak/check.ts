import { isDeepStrictEqual } from 'node:util';
import type { Id, SearchResult, StoredVector } from '../../src/index.ts';
import { Answers, type Question } from './answer.ts';
import { crowdOf } from './matching.ts';
import type { Model, Sight } from './model.ts';

/** Scores of vectors of length 1 are of magnitude 1 or less, and differ by rounding alone. */
const NEAR = 1e-5;

/** What is wrong with an answer; or, if nothing is, how many it should have found and how many of these it has. */
export type Verdict =
  | { readonly wrong: string }
  | { readonly wrong?: undefined; readonly wanted: number; readonly hits: number };

/** Looks for a state of which a search's answer is. An answer is of one state as a whole. */
export function checkSearch(model: Model, question: Question, sight: Sight, found: SearchResult): Verdict {
  const answers = new Answers(model, question, sight);
  const problems: string[] = [];
  // Most answers are of the state in which the call was made.
  for (let state = sight.first; state <= sight.last; state++) {
    const wanted = answers.in(state);
    const problem = differs(model, question, found, wanted, answers.passes, state);
    if (problem === undefined) {
      const least = (wanted.at(-1)?.score ?? 0) - NEAR;
      return { wanted: wanted.length, hits: found.scores.filter((score) => score >= least).length };
    }
    problems.push(problem);
  }
  return { wrong: `${describe(question)}: ${told(problems, sight)}` };
}

function differs(
  model: Model,
  { query, options }: Question,
  { ids, scores }: SearchResult,
  wanted: readonly { readonly score: number }[],
  passes: (place: number) => boolean,
  state: number,
): string | undefined {
  if (ids.length !== wanted.length || scores.length !== ids.length) {
    return `${ids.length} found, with ${scores.length} scores, where ${wanted.length} were due`;
  }
  if (new Set(ids).size !== ids.length) return `an id was found twice among ${ids.map(shown).join(', ')}`;
  const counts = new Map<string, number>();
  for (const [i, id] of ids.entries()) {
    const place = model.at(id, state);
    if (place === undefined) return `${shown(id)} was found, which is not there`;
    if (!passes(place)) return `${shown(id)} was found, which should not pass`;
    const vector = model.vectorAt(place);
    const own = vector.reduce((sum, value, d) => sum + value * query[d]!, 0);
    if (!isNear(scores[i]!, own)) return `${shown(id)} was found with a score of ${scores[i]}, not ${own}`;
    if (i > 0 && scores[i]! > scores[i - 1]!) return `${shown(id)} comes behind what is worse`;
    // Whatever ties with it may be in its place.
    if (options.exact === true && !isNear(own, wanted[i]!.score)) {
      return `${shown(id)} is at place ${i} with ${own}, where ${wanted[i]!.score} was due`;
    }
    const crowd = options.crowding && crowdOf(model.attributes[place]!, options.crowding);
    if (crowd === undefined) continue;
    counts.set(crowd, (counts.get(crowd) ?? 0) + 1);
    if (counts.get(crowd)! > options.crowding!.max) return `too many were found with ${crowd}`;
  }
  return undefined;
}

/** What is wrong with what `get` said of an id, or undefined. */
export function checkGet(model: Model, id: Id, sight: Sight, found: StoredVector | undefined): string | undefined {
  return inSomeState(sight, `get of ${shown(id)}`, (state) => storedDiffers(model, id, model.at(id, state), found));
}

/** What is wrong with what `has` said of an id, or undefined. */
export function checkHas(model: Model, id: Id, sight: Sight, found: boolean): string | undefined {
  return inSomeState(sight, `has of ${shown(id)}`, (state) =>
    found === (model.at(id, state) !== undefined) ? undefined : `it said ${found}`,
  );
}

/** How what an index has of an id is not the version at a place, or undefined. */
export function storedDiffers(
  model: Model,
  id: Id,
  place: number | undefined,
  found: StoredVector | undefined,
): string | undefined {
  if (place === undefined) return found === undefined ? undefined : `${shown(id)} is there`;
  if (found === undefined) return `${shown(id)} is missing`;
  if (found.id !== id) return `${shown(id)} is called ${shown(found.id)}`;
  const vector = model.vectorAt(place);
  const isSame = found.vector.length === vector.length && vector.every((value, d) => isNear(found.vector[d]!, value));
  if (!isSame) return `${shown(id)} has another vector`;
  const [own, wanted] = [found.attributes ?? {}, model.attributes[place]!];
  if (isDeepStrictEqual({ ...own }, wanted)) return undefined;
  return `${shown(id)} has the attributes ${JSON.stringify(own)}, not ${JSON.stringify(wanted)}`;
}

function inSomeState(sight: Sight, what: string, problemIn: (state: number) => string | undefined): string | undefined {
  const problems: string[] = [];
  for (let state = sight.first; state <= sight.last; state++) {
    const problem = problemIn(state);
    if (problem === undefined) return undefined;
    problems.push(problem);
  }
  return `${what}: ${told(problems, sight)}`;
}

/** Why an answer is of none of the states. */
function told(problems: readonly string[], { first, last }: Sight): string {
  const each = [...new Set(problems)].slice(0, 4).join('; or ');
  return `of no state from ${first} to ${last}: ${each}`;
}

function describe({ options }: Question): string {
  const { filter, allowIds, excludeIds, ...others } = options;
  const lists = [allowIds && `${allowIds.length} ids allowed`, excludeIds && `${excludeIds.length} excluded`];
  const parts = [JSON.stringify(others), filter && JSON.stringify(filter), ...lists];
  return `search, ${parts.filter(Boolean).join(', ')}`;
}

const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= NEAR;

export const shown = (id: Id): string => (typeof id === 'string' ? `'${id}'` : String(id));
