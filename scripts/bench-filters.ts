// What filters cost and what they find: selectivities beside no filter, and beside an exact search of an index of the matches alone.
//   npm run bench:filters
//   npm run bench:filters -- --threads 2 --queries 500
import { parseArgs } from 'node:util';
import { type Filter, Index, type SearchOptions, type SearchResult } from '../src/index.ts';
import { createProgress, loadGlove } from './datasets/index.ts';
import { median, quantile, recall, table } from './measure.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    queries: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    limit: { type: 'string' },
  },
});
const threads = Number(values.threads);
const rounds = Number(values.rounds);

const K = 10;
const SETTINGS = [
  { numLeavesToSearch: 24, numReorderingCandidates: 80 },
  { numLeavesToSearch: 60, numReorderingCandidates: 120 },
];
const SELECTIVITIES = [0.001, 0.01, 0.03, 0.1, 0.3, 0.9];

const progress = createProgress();
const limit = values.limit === undefined ? {} : { limit: Number(values.limit) };
const dataset = await loadGlove({ heldOut: Number(values.queries), ...limit, progress: (p) => progress.update(p) });
progress.finish();
const { dimensions, vectors, queries } = dataset;
const size = vectors.length / dimensions;
const numQueries = queries.length / dimensions;
const row = (i: number): Float32Array => vectors.subarray(i * dimensions, (i + 1) * dimensions);
const queryAt = (i: number): Float32Array => queries.subarray(i * dimensions, (i + 1) * dimensions);

/** A number in [0, 1) that has nothing to do with the vector. */
const luckOf = (i: number): number => (Math.imul(i + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
const attributes = Array.from({ length: size }, (_, i) => ({
  luck: luckOf(i),
  group: `g${Math.floor(luckOf(i) * 1000)}`,
}));
const metric = 'cosine';
const index = await Index.build({ vectors, attributes }, { dimensions, metric, threads });
console.log(`Node ${process.versions.node}; ${size} GloVe vectors x ${dimensions}, ${threads} thread(s), k ${K}`);

/** A filter of numbers, and one of tokens, that let a part of the vectors through. */
const filtersOf = (part: number): Record<string, Filter> => ({
  range: { range: { luck: { lt: part } } },
  tokens: { allow: { group: Array.from({ length: Math.round(part * 1000) }, (_, i) => `g${i}`) } },
});

for (const setting of SETTINGS) {
  const unfiltered = await search(setting);
  const plain = await index.searchBatch(queries, { k: K, exact: true });
  const plainRecall = recall(unfiltered.found, plain);
  const lines = [
    [
      'filter',
      'passes',
      'strategy',
      'recall@10',
      'p50 us',
      'p99 us',
      'new p50',
      'matches p50',
      'beyond us',
      'batch QPS',
    ],
    ['none', '', '', plainRecall.toFixed(4), us(unfiltered.p50), us(unfiltered.p99), '', '', '', await batch(setting)],
  ];
  for (const part of SELECTIVITIES) {
    const matches = await exactOfMatches(part);
    for (const [kind, filter] of Object.entries(filtersOf(part))) {
      const options = { ...setting, filter };
      const truth = await index.searchBatch(queries, { k: K, exact: true, filter });
      const { found, p50, p99 } = await search(options);
      // Ranges that end elsewhere each time, so that nothing is known of them.
      const fresh =
        kind === 'range' ? await search(setting, (i) => ({ range: { luck: { lt: part + i * 1e-9 } } })) : null;
      const strategy = (await index.explain(queryAt(0), { k: K, ...options })).filter!.strategy;
      lines.push([
        ...[kind, `${(100 * part).toFixed(1)} %`, strategy, recall(found, truth).toFixed(4), us(p50), us(p99)],
        ...[fresh === null ? '' : us(fresh.p50), us(matches), us((fresh?.p50 ?? p50) - matches), await batch(options)],
      ]);
    }
  }
  console.log(
    `\n${setting.numLeavesToSearch} leaves, ${setting.numReorderingCandidates} candidates:\n\n${table(lines)}`,
  );
}
await index.close();

/** One query after the other; medians over rounds. */
async function search(
  options: SearchOptions,
  filterOf?: (i: number) => Filter,
): Promise<{ found: SearchResult[]; p50: number; p99: number }> {
  const found: SearchResult[] = [];
  const [p50s, p99s]: [number[], number[]] = [[], []];
  for (let round = 0; round <= rounds; round++) {
    const took: number[] = [];
    for (let i = 0; i < numQueries; i++) {
      const filter = filterOf === undefined ? {} : { filter: filterOf(round * numQueries + i) };
      const started = performance.now();
      found[i] = await index.search(queryAt(i), { k: K, ...options, ...filter });
      took.push(1000 * (performance.now() - started));
    }
    if (round === 0) continue;
    p50s.push(quantile(took, 0.5));
    p99s.push(quantile(took, 0.99));
  }
  return { found, p50: median(p50s), p99: median(p99s) };
}

async function batch(options: SearchOptions): Promise<string> {
  const qps: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const started = performance.now();
    await index.searchBatch(queries, { k: K, ...options });
    if (round > 0) qps.push((1000 * numQueries) / (performance.now() - started));
  }
  return median(qps).toFixed(0);
}

/** Median latency, in microseconds, of exact searches of an index that holds nothing but the matches. */
async function exactOfMatches(part: number): Promise<number> {
  const matching = Array.from({ length: size }, (_, i) => i).filter((i) => luckOf(i) < part);
  const own = new Float32Array(matching.length * dimensions);
  for (const [i, match] of matching.entries()) own.set(row(match), i * dimensions);
  await using exact = await Index.build({ vectors: own }, { dimensions, metric, threads, tree: false, hashing: false });
  const took: number[] = [];
  for (let i = 0; i < Math.min(numQueries, 300); i++) {
    const started = performance.now();
    await exact.search(queryAt(i), { k: K });
    took.push(1000 * (performance.now() - started));
  }
  return quantile(took, 0.5);
}

function us(microseconds: number): string {
  return microseconds.toFixed(0);
}
