import { invalid } from '../protocol/check.ts';
import { resolveSearchOptions, type SearchOptions } from '../protocol/options.ts';
import type { QuerySource } from './call.ts';
import { announced, isHeard } from './channels.ts';
import type { StageTimes } from './events.ts';
import { type FilteredIndex, isFiltered, searchFiltered } from './filtered-search.ts';
import { isVector, rowSource } from './inputs.ts';
import { chooseRequest, runRequest } from './run-request.ts';
import type { Telling } from './slots.ts';
import { throwIfAborted } from './threads.ts';
import type { Query, QueryBatch, SearchResult } from './types.ts';

const NO_OPTIONS: SearchOptions = Object.freeze({});

/** An index as calls find it: what it consists of now, and for calls of several steps, until they end. */
export interface OpenIndex {
  /** What users know it as. */
  readonly owner: object;
  open(): FilteredIndex;
  use<T>(work: (index: FilteredIndex) => Promise<T>): Promise<T>;
}

/** Answers one query, as `Index.search` and `Index.explain` were given it. */
export async function searchOne(
  index: OpenIndex,
  query: Query,
  options: SearchOptions | undefined,
  explain: boolean,
): Promise<SearchResult> {
  index.open();
  const given = readOptions(options);
  if (!isVector(query)) throw invalid('query', query, 'an array or typed array of numbers');
  const source = { count: 1, row: () => query };
  const [result] = await search(index, source, given, explain);
  return result!;
}

/** Answers queries as `Index.searchBatch` was given them. */
export async function searchMany(
  index: OpenIndex,
  queries: QueryBatch,
  options: SearchOptions | undefined,
): Promise<SearchResult[]> {
  const { data } = index.open();
  const given = readOptions(options);
  const source = rowSource(queries, data.dimensions, 'queries');
  return source.count === 0 ? [] : search(index, source, given, false);
}

function readOptions(options: SearchOptions | undefined): Readonly<SearchOptions> {
  const given = options === undefined ? NO_OPTIONS : resolveSearchOptions(options);
  throwIfAborted(given.signal);
  return given;
}

/** Answers queries, and tells those who listen. */
function search(
  index: OpenIndex,
  source: QuerySource,
  given: Readonly<SearchOptions>,
  explain: boolean,
): Promise<SearchResult[]> {
  if (!isHeard('scannery:search')) return answer(index, source, given, { explain });
  const stages: StageTimes = { prepare: 0, scan: 0, reorder: 0, merge: 0 };
  const k = given.k ?? index.open().data.config.defaults.k;
  const content = { index: index.owner, queries: source.count, k, stages };
  return announced(
    'scannery:search',
    () => content,
    () => answer(index, source, given, { explain, stages }),
  );
}

function answer(
  index: OpenIndex,
  source: QuerySource,
  given: Readonly<SearchOptions>,
  told: Telling,
): Promise<SearchResult[]> {
  if (isFiltered(given)) return index.use((parts) => searchFiltered(parts, source, given, told));
  const { data, serving } = index.open();
  return runRequest(data, serving, source, { ...chooseRequest(data, given), ...told }, given.signal);
}
