import { MODE_EXACT, MODE_HASHED } from '../protocol/control-layout.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { SearchOptions } from '../protocol/options.ts';
import { NOTHING_EXPLAINED } from './answers.ts';
import { type IndexData, searchMode } from './build.ts';
import { type QuerySource, vectorShape, writeQuery } from './call.ts';
import type { Serving } from './serving.ts';
import type { Request } from './slots.ts';
import type { SearchResult } from './types.ts';

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
