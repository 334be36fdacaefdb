// An index over some 340 thousand word vectors, asked, measured and opened again.
//   npm run glove -- king music
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Index, type SearchResult } from '../src/index.ts';
import { createProgress, type Dataset, loadGloveOrClustered } from './datasets/index.ts';
import { directorySize } from './directory-size.ts';
import { concurrently, megabytes, quantile, recall, seconds, table } from './measure.ts';

const HELD_OUT = 1000;
const EXACT_QUERIES = 200; // timed alone; recall is against all of them
const words = process.argv.slice(2);
const progress = createProgress();

const dataset = await loadGloveOrClustered({ heldOut: HELD_OUT, progress: (p) => progress.update(p) });
progress.finish();
const { dimensions, vectors, ids, queries } = dataset;
const count = ids.length;
for (const note of dataset.notes) console.log(note);
console.log(`${count.toLocaleString('en')} vectors of ${dimensions} dimensions, ${megabytes(vectors.byteLength)}\n`);

let index!: Index;
const buildSeconds = await seconds(async () => {
  index = await Index.build(
    { vectors, ids },
    {
      dimensions,
      metric: 'cosine',
      onProgress: ({ phase, done, total }) => progress.update({ phase, done, total: total ?? 0 }),
    },
  );
});
progress.finish();
const stats = index.stats();
console.log(
  `Built in ${buildSeconds.toFixed(1)} s on ${stats.threads} threads: ${stats.shards.length} shards, ${stats.numLeaves} leaves, ` +
    `kernels '${stats.kernels}'`,
);
const { numLeavesToSearch, numReorderingCandidates } = stats.config.defaults;
console.log(
  `A search scans ${numLeavesToSearch} leaves and rescores ${numReorderingCandidates} candidates, unless it says otherwise.\n`,
);

const asked = words.length > 0 ? words : dataset.name === 'glove' ? ['king', 'guitar', 'copenhagen'] : ids.slice(0, 3);
const answers = await nearest(index, dataset, asked);
for (const [word, result] of answers)
  console.log(`${word}: ${result.ids.map((id, i) => `${id} ${result.scores[i]!.toFixed(3)}`).join(', ')}`);

console.log('');
await index.searchBatch(queries, { k: 10 }); // warm up
const truth = await index.searchBatch(queries, { k: 10, exact: true });
const rows = [['search', 'recall@10', 'p50 ms', 'p99 ms', 'QPS, one at a time', 'QPS, 64 at once', 'QPS, batch']];
for (const exact of [true, false]) {
  const found = exact ? truth : await index.searchBatch(queries, { k: 10 });
  rows.push([exact ? 'exact' : 'approximate', recall(found, truth).toFixed(4), ...(await timings(exact))]);
}
console.log(`${table(rows)}\n(over ${HELD_OUT} held-out words; latencies one at a time)\n`);

const directory = await mkdtemp(join(tmpdir(), 'scannery-glove-'));
try {
  const saveSeconds = await seconds(() => index.save(directory));
  await index.close();
  const bytes = await directorySize(directory);
  console.log(
    `Saved in ${saveSeconds.toFixed(2)} s: ${megabytes(bytes)}, ${(bytes / vectors.byteLength).toFixed(2)} times the vectors`,
  );
  let again!: Index;
  const openSeconds = await seconds(async () => {
    again = await Index.open(directory);
  });
  const same = JSON.stringify(await nearest(again, dataset, asked)) === JSON.stringify(answers);
  console.log(`Opened again in ${openSeconds.toFixed(2)} s: ${same ? 'the same answers' : 'DIFFERENT ANSWERS'}`);
  await again.close();
  if (!same) process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** p50 and p99 in milliseconds, and queries per second three ways. */
async function timings(exact: boolean): Promise<string[]> {
  const options = { k: 10, exact };
  const query = (i: number): Float32Array =>
    queries.subarray((i % HELD_OUT) * dimensions, ((i % HELD_OUT) + 1) * dimensions);
  const few = exact ? EXACT_QUERIES : HELD_OUT;
  const latencies: number[] = [];
  for (let i = 0; i < few; i++) latencies.push((await seconds(() => index.search(query(i), options))) * 1000);
  const many = exact ? EXACT_QUERIES : 10 * HELD_OUT;
  const atOnce = await seconds(() => concurrently(many, 64, (i) => index.search(query(i), options)));
  const part = queries.subarray(0, few * dimensions);
  const batch = await seconds(() => index.searchBatch(part, options));
  const total = latencies.reduce((sum, ms) => sum + ms, 0);
  return [
    quantile(latencies, 0.5).toFixed(2),
    quantile(latencies, 0.99).toFixed(2),
    ...[(few / total) * 1000, many / atOnce, few / batch].map((qps) => qps.toFixed(0)),
  ];
}

/** The five nearest words of each word, the word itself left out. */
async function nearest(
  from: Index,
  { name, ids, queryIds }: Dataset,
  wanted: readonly string[],
): Promise<[string, SearchResult][]> {
  const found: [string, SearchResult][] = [];
  for (const word of wanted) {
    const row = ids.indexOf(word);
    const heldOut = queryIds.indexOf(word);
    if (row < 0 && heldOut < 0) {
      console.log(`'${word}' is not in the ${name} set`);
      continue;
    }
    const [source, at] = row >= 0 ? [vectors, row] : [queries, heldOut];
    const result = await from.search(source.subarray(at * dimensions, (at + 1) * dimensions), { k: 6 });
    const others = result.ids.flatMap((id, i) => (id === word ? [] : [i])).slice(0, 5);
    found.push([
      word,
      { ids: others.map((i) => result.ids[i]!), scores: Float32Array.from(others, (i) => result.scores[i]!) },
    ]);
  }
  return found;
}
