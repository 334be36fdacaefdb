// What writes cost: searches while vectors are replaced, and an index half of whose vectors were replaced beside one built afresh.
//   npm run bench:writes
//   npm run bench:writes -- --rate 4000 --writes 1000 --threads 1
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Id, Index, type SearchResult } from '../src/index.ts';
import { createProgress, loadGlove } from './datasets/index.ts';
import { drive, type Load, type RunResult } from './load-test/driver.ts';
import { concurrently, median, megabytes, quantile, recall, seconds, table } from './measure.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    rate: { type: 'string', default: '2000' },
    writes: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    limit: { type: 'string' },
  },
});
const threads = Number(values.threads);
const rounds = Number(values.rounds);
const writesPerSecond = Number(values.writes);

const K = 10;
const SETTINGS = ['24/80', '40/100', '60/120', '82/150', '120/200'].map((name) => {
  const [numLeavesToSearch, numReorderingCandidates] = name.split('/').map(Number) as [number, number];
  return { name, options: { k: K, numLeavesToSearch, numReorderingCandidates } };
});
/** Upserts into an index with a log that are made one after another, and calls that are made at once. */
const LOGGED = 2000;
const AT_ONCE = 64;
/** Vectors per call once the rest is replaced. */
const BULK = 1000;

const progress = createProgress();
const limit = values.limit === undefined ? {} : { limit: Number(values.limit) };
const dataset = await loadGlove({ heldOut: 2000, ...limit, progress: (p) => progress.update(p) });
progress.finish();
const { dimensions, vectors, queries } = dataset;
const numQueries = queries.length / dimensions;
// Two thirds are there at first, of which every other one is replaced by one of the last third.
const replacements = Math.floor(vectors.length / dimensions / 3);
const size = 2 * replacements;
const row = (i: number): Float32Array => vectors.subarray(i * dimensions, (i + 1) * dimensions);
const queryAt = (i: number): Float32Array => queries.subarray(i * dimensions, (i + 1) * dimensions);
// Rebalanced when it is measured, not by itself.
const build = { dimensions, metric: 'cosine', threads, rebalanceAt: false } as const;

const index = await Index.build({ vectors: vectors.subarray(0, size * dimensions) }, build);
console.log(
  `Node ${process.versions.node}; ${size} GloVe vectors x ${dimensions}, ${threads} thread(s); ` +
    `${values.rate} searches a second, ${writesPerSecond} upserts of one vector a second\n`,
);
const load: Load = {
  ...{ rate: Number(values.rate), duration: Number(values.seconds) * 1000, warmUp: 1000, drain: 5000 },
  ...{ maxOutstanding: 4096, pace: 'spin', seed: 1 },
};
let next = 0;
const quiet: RunResult[] = [];
const busy: RunResult[] = [];
const written: RunResult[] = [];
for (let round = 0; round < rounds; round++) {
  quiet.push(await searchesAlone(round));
  const [searches, writes] = await Promise.all([searchesAlone(round), upserts(round)]);
  busy.push(searches);
  written.push(writes);
}
const percentiles = [50, 90, 99, 99.9];
const at = (runs: readonly RunResult[], p: number): number => median(runs.map(({ latency }) => latency.at(p)));
const milliseconds = (value: number): string => value.toFixed(3);
console.log(
  table([
    ['latency in ms, medians of rounds', ...percentiles.map((p) => `p${p}`), 'a second'],
    ...(
      [
        ['searches alone', quiet],
        ['searches beside writes', busy],
        ['writes', written],
      ] as const
    ).map(([name, runs]) => [
      name,
      ...percentiles.map((p) => milliseconds(at(runs, p))),
      median(runs.map(({ achievedRate }) => achievedRate)).toFixed(0),
    ]),
    ['ratio, of one round', ...percentiles.map((p) => ratioAt(p).toFixed(2)), ''],
  ]),
);
for (const run of [...quiet, ...busy, ...written]) {
  if (Object.keys(run.errors).length > 0 || run.unanswered > 0)
    throw new Error(`Failed: ${JSON.stringify(run.errors)}`);
}

const left = replacements - next;
const bulk = await seconds(async () => {
  while (next < replacements) {
    const count = Math.min(BULK, replacements - next);
    const ids = Array.from({ length: count }, (_, i) => 2 * (next + i));
    await index.upsert({
      ids,
      vectors: vectors.subarray((size + next) * dimensions, (size + next + count) * dimensions),
    });
    next += count;
  }
});
console.log(`\n${left} vectors replaced in calls of ${BULK}: ${(left / bulk).toFixed(0)} a second`);

const now = new Float32Array(size * dimensions);
for (let i = 0; i < size; i++) now.set(row(i % 2 === 0 ? size + i / 2 : i), i * dimensions);
const fresh = await Index.build({ vectors: now }, build);
await compare(`After half of the vectors were replaced (${index.stats().deleted} deleted ones take room)`);
const during: RunResult[] = [];
let going = true;
const searching = (async () => {
  while (going) during.push(await searchesAlone(during.length, 2000));
})();
const rebalancing = await seconds(() => index.rebalance());
going = false;
await searching;
const beside = percentiles.map((p) => `p${p} ${milliseconds(at(during, p))} ms`).join(', ');
console.log(`\nrebalance: ${rebalancing.toFixed(1)} s; searches beside it ${beside}`);
await compare('Rebalanced');
await index.close();
await logged(fresh);
await fresh.close();

function searchesAlone(seed: number, duration = load.duration): Promise<RunResult> {
  const search = async (i: number): Promise<void> => {
    await index.search(queryAt(i));
  };
  return drive({ search, close: async () => {} }, numQueries, { ...load, duration, seed });
}

/** Replaces one vector after the other; beyond the last one it begins anew with the same. */
function upserts(seed: number): Promise<RunResult> {
  const upsert = async (): Promise<void> => {
    const i = next++ % replacements;
    await index.upsert({ ids: [2 * i], vectors: row(size + i) });
  };
  return drive({ search: upsert, close: async () => {} }, 1, { ...load, rate: writesPerSecond, pace: 'timer', seed });
}

/** Upserts of one vector each into a copy that keeps a log: one after another, and many at once. */
async function logged(source: Index): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'scannery-bench-'));
  try {
    await source.save(directory);
    const lines = [['durability', 'p50 ms', 'p99 ms', '1 at once, a second', `${AT_ONCE} at once, a second`]];
    for (const durability of [undefined, 'none', 'interval', 'always'] as const) {
      await using copy = await Index.open(directory, {
        threads,
        rebalanceAt: false,
        ...(durability && { durability }),
      });
      const upsert = (i: number): Promise<unknown> => copy.upsert({ ids: [i % size], vectors: row(i % size) });
      await concurrently(200, 1, upsert);
      const took: number[] = [];
      for (let i = 0; i < LOGGED; i++) took.push(1000 * (await seconds(() => upsert(i))));
      const together = await seconds(() => concurrently(10 * LOGGED, AT_ONCE, upsert));
      const alone = took.reduce((sum, one) => sum + one, 0) / 1000;
      lines.push([
        ...[durability ?? 'no log', quantile(took, 0.5).toFixed(3), quantile(took, 0.99).toFixed(3)],
        ...[(LOGGED / alone).toFixed(0), ((10 * LOGGED) / together).toFixed(0)],
      ]);
    }
    console.log(`\nUpserts of one vector, kept in a log:\n\n${table(lines)}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function ratioAt(p: number): number {
  return median(busy.map(({ latency }, round) => latency.at(p) / quiet[round]!.latency.at(p)));
}

/** Both indexes hold the same vectors by the same ids; they take turns. */
async function compare(title: string): Promise<void> {
  const truth = await fresh.searchBatch(queries, { k: K, exact: true });
  const check = await index.searchBatch(queries.subarray(0, 50 * dimensions), { k: K, exact: true });
  if (recall(check, truth.slice(0, 50)) < 1) throw new Error('The indexes do not hold the same vectors.');
  const lines = [['leaves / candidates', 'recall@10', 'afresh', 'less', 'QPS', 'afresh', 'ratio']];
  for (const { name, options } of SETTINGS) {
    const qps: [number[], number[]] = [[], []];
    const found: SearchResult[][] = [];
    for (let turn = 0; turn <= rounds; turn++) {
      for (const [which, one] of [index, fresh].entries()) {
        const elapsed = await seconds(async () => {
          found[which] = await one.searchBatch(queries, options);
        });
        if (turn > 0) qps[which]!.push(numQueries / elapsed);
      }
    }
    const [live, built] = found.map((results) => recall(results, truth)) as [number, number];
    const ratio = median(qps[0].map((value, turn) => value / qps[1][turn]!));
    lines.push([
      ...[name, live.toFixed(4), built.toFixed(4), (built - live).toFixed(4)],
      ...[median(qps[0]).toFixed(0), median(qps[1]).toFixed(0), ratio.toFixed(2)],
    ]);
  }
  const [live, built] = [index.stats().bytes, fresh.stats().bytes];
  console.log(`\n${title}:\n\n${table(lines)}`);
  console.log(`\nmemory ${megabytes(live)}, built afresh ${megabytes(built)}: ${(live / built).toFixed(2)} times`);
  const ids: Id[] = [];
  for await (const id of index.ids()) ids.push(id);
  if (ids.length !== size) throw new Error(`There are ${ids.length} ids.`);
}
