import type { RecallOptions, TuneOptions } from '../protocol/options.ts';
import type { IndexData } from './build.ts';
import type { QuerySource } from './call.ts';
import { rowSource } from './inputs.ts';
import { chooseRequest, runRequest } from './run-request.ts';
import type { Serving } from './serving.ts';
import { needsVectors, perturbedVectors } from './stored-vectors.ts';
import { findKnobs, recallOf } from './tune.ts';
import type { IndexConfig, SearchResult, TuneResult } from './types.ts';

/** An index that is measured. */
export interface Measured {
  readonly data: IndexData;
  readonly serving: Serving;
}

/** Recall@k of a setting against an exact search. 1 for an index of nothing. */
export async function measureRecall(index: Measured, options: RecallOptions): Promise<number> {
  const { data, serving } = index;
  const { k, numLeavesToSearch, numReorderingCandidates, signal } = options;
  const source = sampleQueries(data, options);
  const truth = await exactAnswers(index, source, k, signal);
  const request = chooseRequest(data, { k, numLeavesToSearch, numReorderingCandidates });
  return recallOf(await runRequest(data, serving, source, request, signal), truth, data.metric === 'squared_l2');
}

/** Finds the cheapest setting that reaches the target. */
export async function tuneIndex(index: Measured, options: TuneOptions): Promise<TuneResult> {
  const { data, serving } = index;
  const { signal, targetRecall, onProgress } = options;
  const k = Math.max(1, Math.min(data.rows.live, options.k ?? data.config.defaults.k));
  const source = sampleQueries(data, options);
  const truth = await exactAnswers(index, source, k, signal);
  const { counters } = serving.dispatcher;
  let tried = 0;
  const { best, frontier } = await findKnobs(
    {
      ...{
        k,
        truth,
        signal,
        size: data.rows.live,
        lanes: data.rows.count * data.lanesPerVector,
        numLeaves: Math.max(1, data.numLeaves),
      },
      reorders: data.config.hashing !== false,
      ascending: data.metric === 'squared_l2',
      search: async (knobs) => {
        const before = counters.kernelMicroseconds;
        const results = await runRequest(data, serving, source, chooseRequest(data, { k, ...knobs }), signal);
        const microseconds = (counters.kernelMicroseconds - before) / Math.max(1, source.count);
        return { results, microseconds };
      },
      onStep: () => onProgress?.(++tried),
    },
    targetRecall!,
  );
  return { ...best, k, queries: source.count, frontier };
}

/** The index with what tuning chose as what its searches use. */
export function withDefaults(
  data: IndexData,
  { k, numLeavesToSearch, numReorderingCandidates }: IndexConfig['defaults'],
): IndexData {
  const defaults = { k, numLeavesToSearch, numReorderingCandidates };
  return { ...data, config: { ...data.config, defaults } };
}

function exactAnswers(
  { data, serving }: Measured,
  source: QuerySource,
  k: number | undefined,
  signal: AbortSignal | undefined,
): Promise<SearchResult[]> {
  return runRequest(data, serving, source, chooseRequest(data, { k, exact: true }), signal);
}

/** The queries to measure with: those given, or as many of them as are wanted; or made-up ones. */
function sampleQueries(data: IndexData, { queries, maxQueries, seed }: RecallOptions): QuerySource {
  if (queries === undefined) {
    if (data.config.reordering === false) {
      throw needsVectors('recall is measured against exact search, which');
    }
    return rowSource(
      data.rows.live === 0 ? [] : perturbedVectors(data, maxQueries!, seed!),
      data.dimensions,
      'queries',
    );
  }
  const all = rowSource(queries, data.dimensions, 'queries');
  const count = Math.min(all.count, maxQueries!);
  return { count, row: (i) => all.row(Math.floor((i * all.count) / count)) };
}
