import { invalid } from '../protocol/check.ts';
import { MODE_EXACT, MODE_HASHED } from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { resolveSearchOptions, type SearchOptions } from '../protocol/options.ts';
import { NOTHING_EXPLAINED } from './answers.ts';
import { type IndexData, searchMode } from './build.ts';
import { type QuerySource, vectorShape, writeQuery } from './call.ts';
import { type FilteredIndex, isFiltered, searchFiltered } from './filtered-search.ts';
import { isVector, rowSource } from './inputs.ts';
import type { Serving } from './serving.ts';
import type { Request } from './slots.ts';
import { throwIfAborted } from './threads.ts';
import type { Query, QueryBatch, SearchResult } from './types.ts';

const NO_OPTIONS: SearchOptions = Object.freeze({});

/** An index as calls find it: what it consists of now, and for calls of several steps, until they end. */
export interface OpenIndex {
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
  const [result] = await answer(index, source, given, explain);
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
  return source.count === 0 ? [] : answer(index, source, given, false);
}

function readOptions(options: SearchOptions | undefined): Readonly<SearchOptions> {
  const given = options === undefined ? NO_OPTIONS : resolveSearchOptions(options);
  throwIfAborted(given.signal);
  return given;
}

function answer(
  index: OpenIndex,
  source: QuerySource,
  given: Readonly<SearchOptions>,
  explain: boolean,
): Promise<SearchResult[]> {
  if (isFiltered(given)) return index.use((parts) => searchFiltered(parts, source, given, explain));
  const { data, serving } = index.open();
  return runRequest(data, serving, source, { ...chooseRequest(data, given), explain }, given.signal);
}

/** Fills in what the options leave open, and keeps them within what there is. */
export function chooseRequest(data: IndexData, given: Readonly<SearchOptions>): Request {
  const { rows, numLeaves, config, lanesPerVector } = data;
  const { defaults } = config;
  const mode = searchMode(data, given.exact === true);
  if (mode === MODE_EXACT && config.reordering === false) {
    throw new ScanneryError(
      'SCANNERY_NOT_SUPPORTED',
      'exact search needs stored vectors; this index was built with reordering: false',
      { option: 'exact', value: true },
    );
  }
  const k = Math.min(given.k ?? defaults.k, Math.max(1, rows.count));
  // A spilled vector can be found twice; k different ones are needed.
  const least = mode === MODE_EXACT ? k : k * lanesPerVector;
  const candidates = given.numReorderingCandidates ?? defaults.numReorderingCandidates;
  return {
    mode,
    k,
    limit: mode === MODE_HASHED ? Math.max(least, Math.min(candidates, rows.count * lanesPerVector)) : least,
    numLeavesToSearch:
      mode === MODE_EXACT ? 0 : Math.min(numLeaves, given.numLeavesToSearch ?? defaults.numLeavesToSearch),
    snapshot: rows.snapshot,
  };
}

/** Answers queries; over an empty index, by nothing for each. */
export function runRequest(
  data: IndexData,
  serving: Serving,
  source: QuerySource,
  request: Request,
  signal: AbortSignal | undefined,
): Promise<SearchResult[]> {
  if (data.rows.count > 0) return serving.search(source, request, signal);
  // Nothing to search, but a bad query is still an error.
  const scratch = new Float32Array(data.stride);
  const shape = vectorShape(data);
  for (let i = 0; i < source.count; i++) {
    writeQuery(source.row(i), source.count === 1 ? undefined : i, shape, scratch, 0);
  }
  const told = request.explain === true ? NOTHING_EXPLAINED : {};
  const nothing = (): SearchResult => ({ ids: [], scores: new Float32Array(0), ...told });
  return Promise.resolve(Array.from({ length: source.count }, nothing));
}
