// Recall against queries per second on GloVe, beside our own exact scan in the same run.
//   npm run bench:glove -- --threads 1
//   npm run bench:glove -- --threads 1,2      the same, and how threads scale
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Index, type SearchOptions, type SearchResult } from '../src/index.ts';
import { createProgress, loadGlove } from './datasets/index.ts';
import { directorySize } from './directory-size.ts';
import { concurrently, eventLoopDelay, median, megabytes, quantile, recall, seconds, table } from './measure.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    shards: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    'num-leaves': { type: 'string' },
    sweep: { type: 'string', default: '24/80,40/100,50/100,60/120,82/150,120/200,250/300' },
  },
});
const threadCounts = values.threads.split(',').map(Number);
const rounds = Number(values.rounds);
const shards = values.shards === undefined ? undefined : Number(values.shards);
const numLeaves = values['num-leaves'] === undefined ? undefined : Number(values['num-leaves']);
const sweep = values.sweep.split(',').map((setting) => setting.split('/').map(Number) as [number, number]);

const K = 10;
const CONCURRENCY = 256;
const EXACT_PER_ROUND = 40;
const LATENCY_QUERIES = 300;

const progress = createProgress();
const dataset = await loadGlove({ heldOut: 2000, progress: (p) => progress.update(p) });
progress.finish();
const { dimensions, vectors, ids, queries } = dataset;
const numQueries = queries.length / dimensions;
const bytes = vectors.byteLength;
const query = (i: number): Float32Array =>
  queries.subarray((i % numQueries) * dimensions, ((i % numQueries) + 1) * dimensions);
console.log(
  `Node ${process.versions.node}; ${ids.length} vectors x ${dimensions}, ${numQueries} held-out queries, k = ${K}\n`,
);

const directory = await mkdtemp(join(tmpdir(), 'scannery-bench-'));
try {
  const buildSeconds: number[] = [];
  for (const threads of threadCounts) {
    buildSeconds.push(await build(threads));
    console.log(`build with ${threads} thread(s): ${buildSeconds.at(-1)!.toFixed(1)} s`);
  }
  if (threadCounts.length > 1) console.log(`build time ratio: ${(buildSeconds.at(-1)! / buildSeconds[0]!).toFixed(2)}`);
  await sizes();
  await frontier(threadCounts[0]!);
  if (threadCounts.length > 1) await threadScaling();
} finally {
  await rm(directory, { recursive: true, force: true });
}

/**
 * Builds, saves and closes; returns the seconds of the build alone. The figures below come from the saved index, opened with
 * the threads that they name, so it is the one of the first build that stays.
 */
async function build(threads: number): Promise<number> {
  let index!: Index;
  const elapsed = await seconds(async () => {
    index = await Index.build(
      { vectors, ids },
      {
        ...{ dimensions, metric: 'cosine', threads },
        ...(shards && { shards }),
        ...(numLeaves && { tree: { numLeaves, spherical: true } }),
      },
    );
  });
  if (threads === threadCounts[0]) await index.save(directory);
  await index.close();
  return elapsed;
}

async function sizes(): Promise<void> {
  const float32 = await directorySize(directory);
  const open: number[] = [];
  for (let round = 0; round < rounds; round++) {
    let index!: Index;
    open.push(
      await seconds(async () => {
        index = await Index.open(directory, { threads: threadCounts[0]! });
      }),
    );
    await index.close();
  }
  const compact = await Index.build(
    { vectors, ids },
    {
      dimensions,
      metric: 'cosine',
      threads: threadCounts.at(-1)!,
      reordering: { vectors: 'int8' },
      ...(shards && { shards }),
    },
  );
  const int8Directory = join(directory, 'int8');
  await compact.save(int8Directory);
  const truth = await compact.searchBatch(queries.subarray(0, 20 * dimensions), { k: K, exact: true });
  await compact.close();
  const int8 = await directorySize(int8Directory);
  console.log(
    `open, checksums verified: ${median(open).toFixed(3)} s (median of ${rounds})\n` +
      `size with float32 reordering: ${megabytes(float32)}, ${(float32 / bytes).toFixed(3)} times the vectors\n` +
      `size with int8 reordering: ${megabytes(int8)}, ${(int8 / bytes).toFixed(3)} times the vectors (${truth.length} queries answered)\n`,
  );
}

interface Row {
  readonly name: string;
  readonly options: SearchOptions;
  readonly batch: number[];
  readonly single: number[];
  readonly ratioBatch: number[];
  readonly ratioSingle: number[];
  found?: SearchResult[];
}

/** Every setting and the exact scan take turns, round after round; ratios are taken within a round. */
async function frontier(threads: number): Promise<void> {
  const index = await Index.open(directory, { threads });
  const stats = index.stats();
  console.log(
    `${threads} thread(s), ${stats.shards.length} shard(s), ${stats.numLeaves} leaves, kernels '${stats.kernels}'`,
  );
  const truth = await index.searchBatch(queries, { k: K, exact: true });
  const rows: Row[] = sweep.map(([leaves, candidates]) => ({
    name: `${leaves} / ${candidates}`,
    options: { k: K, numLeavesToSearch: leaves, numReorderingCandidates: candidates },
    ...{ batch: [], single: [], ratioBatch: [], ratioSingle: [] },
  }));
  const exact: number[] = [];
  const part = queries.subarray(0, EXACT_PER_ROUND * dimensions);
  for (let round = 0; round <= rounds; round++) {
    for (const row of rows) {
      const exactQps = EXACT_PER_ROUND / (await seconds(() => index.searchBatch(part, { k: K, exact: true })));
      const batch = await seconds(async () => {
        row.found = await index.searchBatch(queries, row.options);
      });
      const single = await seconds(() =>
        concurrently(numQueries, CONCURRENCY, (i) => index.search(query(i), row.options)),
      );
      if (round === 0) continue; // warm-up
      exact.push(exactQps);
      row.batch.push(numQueries / batch);
      row.single.push(numQueries / single);
      row.ratioBatch.push(numQueries / batch / exactQps);
      row.ratioSingle.push(numQueries / single / exactQps);
    }
  }
  const perThread = (median(exact) * bytes) / 1e9 / threads;
  console.log(
    `exact scan: ${median(exact).toFixed(1)} QPS through searchBatch, ${perThread.toFixed(1)} GB/s per thread\n`,
  );
  const lines = [
    [
      'leaves / candidates',
      'recall@10',
      'QPS batch',
      'x exact',
      `QPS search (${CONCURRENCY})`,
      'x exact',
      'kernels us',
      'p50 us',
      'overhead us',
    ],
  ];
  for (const row of rows) {
    const { kernels, p50, overhead } = await latency(index, row.options);
    lines.push([
      row.name,
      recall(row.found!, truth).toFixed(4),
      ...[row.batch, row.ratioBatch, row.single, row.ratioSingle].map((samples) => median(samples).toFixed(0)),
      ...[kernels, p50, overhead].map((us) => us.toFixed(0)),
    ]);
  }
  console.log(table(lines));
  console.log('(kernels, p50 and overhead: medians over single searches, one at a time)\n');
  const delay = await eventLoopDelay(async () => {
    for (let i = 0; i < 5; i++) await index.searchBatch(queries, { k: K });
  });
  console.log(
    `event-loop delay of the caller's thread while searchBatch runs flat out: p50 ${delay.p50.toFixed(2)} ms, ` +
      `p99 ${delay.p99.toFixed(2)} ms, max ${delay.max.toFixed(2)} ms\n`,
  );
  await index.close();
}

async function latency(
  index: Index,
  options: SearchOptions,
): Promise<{ kernels: number; p50: number; overhead: number }> {
  const kernels: number[] = [];
  const whole: number[] = [];
  const overhead: number[] = [];
  for (let i = 0; i < LATENCY_QUERIES + 50; i++) {
    const before = index.stats().queries.kernelMicroseconds;
    const elapsed = (await seconds(() => index.search(query(i), options))) * 1e6;
    if (i < 50) continue; // warm-up
    const inKernels = index.stats().queries.kernelMicroseconds - before;
    kernels.push(inKernels);
    whole.push(elapsed);
    overhead.push(elapsed - inKernels);
  }
  return { kernels: median(kernels), p50: quantile(whole, 0.5), overhead: median(overhead) };
}

/** searchBatch with each number of threads, in turns. */
async function threadScaling(): Promise<void> {
  const indexes = [];
  for (const threads of threadCounts) indexes.push(await Index.open(directory, { threads }));
  const samples: number[][] = threadCounts.map(() => []);
  for (let round = 0; round <= 2 * rounds; round++) {
    for (const [i, index] of indexes.entries()) {
      const elapsed = await seconds(() => index.searchBatch(queries, { k: K }));
      if (round > 0) samples[i]!.push(numQueries / elapsed);
    }
  }
  for (const [i, threads] of threadCounts.entries()) {
    const ratio = median(samples[i]!.map((qps, round) => qps / samples[0]![round]!));
    console.log(
      `searchBatch with ${threads} thread(s): ${median(samples[i]!).toFixed(0)} QPS, ${ratio.toFixed(2)} times ${threadCounts[0]}`,
    );
  }
  for (const index of indexes) await index.close();
}
