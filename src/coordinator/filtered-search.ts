import { MODE_CODES, MODE_EXACT } from '../protocol/control-layout.ts';
import type { SearchOptions } from '../protocol/options.ts';
import type { IndexData } from './build.ts';
import type { QuerySource } from './call.ts';
import type { Contents } from './contents.ts';
import { Crowd } from './crowding.ts';
import type { RowLists } from './filter-steps.ts';
import type { CompiledFilter } from './filters.ts';
import { chooseRequest, runRequest } from './run-request.ts';
import type { FoundRows } from './search-work.ts';
import type { Serving } from './serving.ts';
import type { Request, Telling } from './slots.ts';
import { throwIfAborted } from './threads.ts';
import type { Explanation, SearchResult } from './types.ts';

/** An index that is searched with filters. */
export interface FilteredIndex {
  readonly data: IndexData;
  readonly serving: Serving;
  readonly contents: Contents;
}

/** What scoring a stored vector costs, picked out by a filter, in scans of a code. */
const EXACT_COST = 5;
/** Leaves searched grow with the filter's selectivity to this power: what is left is spread over more of them. */
const SPREAD = 0.3;

/** Whether options narrow down what may be found. */
export function isFiltered({ filter, allowIds, excludeIds, crowding }: SearchOptions): boolean {
  return filter !== undefined || allowIds !== undefined || excludeIds !== undefined || crowding !== undefined;
}

/** Answers queries of which only some vectors may be found. As long as k of them match, k come back. */
export async function searchFiltered(
  index: FilteredIndex,
  source: QuerySource,
  options: Readonly<SearchOptions>,
  told: Telling,
): Promise<SearchResult[]> {
  const { contents, data } = index;
  const { snapshot, ...lists } = await contents.rowLists(options);
  // Only now, for while lists were looked up there may have been writes, with values that were not known before. What is written
  // since is not in the snapshot, so it does no harm that its values are known.
  const compiled = contents.filters.compile(options.filter ?? {});
  const crowd = options.crowding && new Crowd(data, options.crowding);
  const wanted = { ...chooseRequest(data, options), snapshot, ...told };
  if (crowd === undefined) return findAll(index, source, wanted, compiled, lists, options.signal);
  const find = (some: QuerySource, request: Request, filter: CompiledFilter): Promise<FoundRows[]> =>
    findAll(index, some, request, filter, lists, options.signal);
  return crowd.search(source, wanted, { find, filters: contents.filters, filter: compiled });
}

/** Answers queries with a filter: by the matches alone where they are few, otherwise by a scan that passes over all else. */
async function findAll(
  { data, serving }: FilteredIndex,
  source: QuerySource,
  wanted: Request,
  compiled: CompiledFilter,
  lists: RowLists,
  signal: AbortSignal | undefined,
): Promise<FoundRows[]> {
  const matches = Math.ceil(
    Math.min(compiled.fraction * data.rows.count, lists.allowed?.length ?? Number.POSITIVE_INFINITY),
  );
  throwIfAborted(signal);
  const every = exhaustive(data, wanted);
  const request = requestFor(data, wanted, every, matches);
  const filter = serving.placeFilter(compiled, lists);
  try {
    const found: FoundRows[] = await runRequest(data, serving, source, { ...request, filter }, signal);
    // The leaves that were searched held too few: what there is can be found only by looking at all of it.
    const short = request === every ? [] : [...found.keys()].filter((i) => found[i]!.ids.length < wanted.k);
    if (short.length > 0) {
      const some = { count: short.length, row: (i: number) => source.row(short[i]!) };
      const whole: FoundRows[] = await runRequest(data, serving, some, { ...every, filter }, signal);
      for (const [i, at] of short.entries()) found[at] = whole[i]!;
    }
    if (!wanted.explain) return found;
    return found.map((one, i) => explained(one, { matches, isMasked: request !== every && !short.includes(i) }));
  } finally {
    filter.release();
  }
}

/** The request that costs least. */
function requestFor(data: IndexData, wanted: Request, every: Request, matches: number): Request {
  if (wanted.mode === MODE_EXACT) return every;
  const { rows, numLeaves, lanesPerVector } = data;
  const fraction = Math.min(1, matches / Math.max(1, rows.count));
  const leaves = Math.ceil(wanted.numLeavesToSearch * fraction ** -SPREAD);
  if (leaves >= numLeaves) return every;
  const codes = (rows.count * lanesPerVector * leaves) / numLeaves;
  if (wanted.mode !== MODE_CODES && matches * EXACT_COST < codes) return every;
  return { ...wanted, numLeavesToSearch: leaves };
}

/** The request that misses nothing: exact, or of all leaves where there are only codes. */
function exhaustive(data: IndexData, wanted: Request): Request {
  if (wanted.mode === MODE_CODES) return { ...wanted, numLeavesToSearch: data.numLeaves };
  return { ...wanted, mode: MODE_EXACT, limit: wanted.k, numLeavesToSearch: 0 };
}

function explained(
  found: FoundRows,
  { matches, isMasked }: { readonly matches: number; readonly isMasked: boolean },
): FoundRows {
  const filter: Explanation['filter'] = {
    strategy: isMasked ? 'masked scan' : 'matches only',
    estimatedMatches: matches,
  };
  return { ...found, filter } as FoundRows;
}
