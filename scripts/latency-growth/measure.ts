import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Explanation, Index, type SearchOptions } from '../../src/index.ts';
import { type Mixture, type MixtureOptions, mixture } from '../datasets/index.ts';
import { median, quantile } from '../measure.ts';
import { chooseSetting } from './setting.ts';

/** Queries before each turn, which bring the index back into the processor's caches. */
const WARM_UP = 100;

export interface GrowthOptions extends MixtureOptions {
  readonly sizes: readonly number[];
  readonly recall: number;
  readonly k: number;
  readonly queries: number;
  readonly tuningQueries: number;
  readonly rounds: number;
  readonly threads: number;
  readonly buildThreads: number;
  readonly shards: number;
}

/** One round over one index; all times in microseconds of a search. */
export interface Round {
  readonly p50: number;
  readonly p99: number;
  readonly mean: number;
  /** Time in the kernels of the workers, all stages together, and of each stage: medians, which do not add up to the bit. */
  readonly workerP50: number;
  readonly stages: Readonly<Record<'prepare' | 'scan' | 'reorder' | 'merge', number>>;
}

export interface SizeResult {
  readonly n: number;
  readonly clusters: number;
  readonly leaves: number;
  readonly leavesToSearch: number;
  readonly candidates: number;
  /** Over the queries that are timed. */
  readonly recall: number;
  /** Over the queries that the setting was chosen with. */
  readonly tunedRecall: number;
  readonly codesScanned: number;
  /** Of the build alone: making up the vectors, tuning and saving are left out. */
  readonly buildSeconds: number;
  readonly bytes: number;
  /** Medians of the rounds. */
  readonly typical: Round;
  readonly rounds: readonly Round[];
}

export interface GrowthResult {
  readonly options: GrowthOptions;
  readonly kernels: string;
  readonly sizes: readonly SizeResult[];
}

interface Opened extends Omit<SizeResult, 'codesScanned' | 'typical' | 'rounds'> {
  readonly index: Index;
  readonly search: SearchOptions;
  /** The queries that are timed, each f32 [dimensions]. */
  readonly asked: readonly Float32Array[];
}

/** Builds an index of every size, keeps them all open, and times single searches over them in turns. */
export async function measureGrowth(options: GrowthOptions, log: (line: string) => void): Promise<GrowthResult> {
  const folder = await mkdtemp(join(tmpdir(), 'scannery-growth-'));
  const opened: Opened[] = [];
  try {
    for (const n of options.sizes) opened.push(await prepare(n, options, join(folder, String(n)), log));
    const rounds: Round[][] = opened.map(() => []);
    const codes = opened.map(() => 0);
    for (let round = 0; round <= options.rounds; round++) {
      for (let turn = 0; turn < opened.length; turn++) {
        // Each round starts elsewhere, so that no size always follows the same stretch of another's noise.
        const at = (turn + round) % opened.length;
        const { codesScanned, ...measured } = await measureOnce(opened[at]!);
        codes[at] = codesScanned;
        if (round > 0) rounds[at]!.push(measured);
      }
      log(round === 0 ? 'warmed up' : `round ${round} of ${options.rounds}`);
    }
    return {
      options,
      kernels: opened[0]!.index.stats().kernels,
      sizes: opened.map(({ index: _index, search: _search, asked: _asked, ...rest }, i) => ({
        ...rest,
        codesScanned: codes[i]!,
        typical: typicalRound(rounds[i]!),
        rounds: rounds[i]!,
      })),
    };
  } finally {
    for (const { index } of opened) await index.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Builds with all the threads there are, tunes, and opens the index again with those that are to search: the answers are the
 * same. Tree and hashing are on at every size, as they are by default from 100,000 vectors on, with their defaults.
 */
async function prepare(
  n: number,
  options: GrowthOptions,
  folder: string,
  log: (line: string) => void,
): Promise<Opened> {
  const { dimensions, k, recall: target, tuningQueries, queries, shards, seed } = options;
  const data = mixture(n, options);
  const held = data.queries(tuningQueries + queries);
  const timed = held.subarray(tuningQueries * dimensions);
  const source = stream(data);
  const started = performance.now();
  const built = await Index.build(source.chunks(), {
    ...{ dimensions, metric: 'squared_l2', shards, threads: options.buildThreads, seed },
    ...{ tree: {}, hashing: {} },
  });
  const buildSeconds = (performance.now() - started) / 1000 - source.seconds();
  let chosen: Pick<Opened, 'leavesToSearch' | 'candidates' | 'recall' | 'tunedRecall' | 'search'>;
  try {
    const setting = await chooseSetting(built, held.subarray(0, tuningQueries * dimensions), { k, target });
    const { numLeavesToSearch, numReorderingCandidates } = setting;
    const search = { k, numLeavesToSearch, numReorderingCandidates };
    const recall = await built.measureRecall({ ...search, queries: timed, maxQueries: queries });
    const knobs = { leavesToSearch: numLeavesToSearch, candidates: numReorderingCandidates };
    chosen = { ...knobs, recall, tunedRecall: setting.recall, search };
    await built.save(folder);
  } finally {
    await built.close();
  }
  const index = await Index.open(folder, { threads: options.threads });
  await rm(folder, { recursive: true, force: true });
  const { numLeaves: leaves, bytes } = index.stats();
  log(
    `${n} vectors: built in ${buildSeconds.toFixed(1)} s, ${chosen.leavesToSearch} of ${leaves} leaves and ` +
      `${chosen.candidates} candidates for recall@${k} ${chosen.recall.toFixed(3)}`,
  );
  const asked = Array.from({ length: queries }, (_, i) => timed.slice(i * dimensions, (i + 1) * dimensions));
  return { n, clusters: data.clusters, leaves, buildSeconds, bytes, ...chosen, index, asked };
}

/** The chunks one after another, and the time that making them up took. */
function stream(data: Mixture) {
  let seconds = 0;
  return {
    seconds: () => seconds,
    async *chunks() {
      const chunks = data.chunks();
      for (;;) {
        const started = performance.now();
        const next = chunks.next();
        seconds += (performance.now() - started) / 1000;
        if (next.done) return;
        yield { vectors: next.value };
      }
    },
  };
}

/** Times the queries one by one; then asks them again for the time in the workers, as accounting would add to the former. */
async function measureOnce({ index, search, asked }: Opened): Promise<Round & { codesScanned: number }> {
  for (let i = 0; i < WARM_UP; i++) await index.search(asked[i % asked.length]!, search);
  const times = new Array<number>(asked.length);
  const { codesScanned: before } = index.stats().queries;
  for (const [i, query] of asked.entries()) {
    const started = performance.now();
    await index.search(query, search);
    times[i] = (performance.now() - started) * 1000;
  }
  const codesScanned = (index.stats().queries.codesScanned - before) / asked.length;
  const explained: Explanation['microseconds'][] = [];
  for (const query of asked) explained.push((await index.explain(query, search)).microseconds);
  const typical = (stage: keyof Explanation['microseconds']): number => median(explained.map((times) => times[stage]));
  return {
    ...{ p50: median(times), p99: quantile(times, 0.99), mean: meanOf(times), workerP50: typical('total') },
    stages: {
      ...{ prepare: typical('prepare'), scan: typical('scan'), reorder: typical('reorder'), merge: typical('merge') },
    },
    codesScanned,
  };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The median of each figure by itself. */
export function typicalRound(rounds: readonly Round[]): Round {
  const of = (figure: (round: Round) => number): number => median(rounds.map(figure));
  return {
    ...{ p50: of(({ p50 }) => p50), p99: of(({ p99 }) => p99), mean: of(({ mean }) => mean) },
    workerP50: of(({ workerP50 }) => workerP50),
    stages: {
      ...{ prepare: of(({ stages }) => stages.prepare), scan: of(({ stages }) => stages.scan) },
      ...{ reorder: of(({ stages }) => stages.reorder), merge: of(({ stages }) => stages.merge) },
    },
  };
}
