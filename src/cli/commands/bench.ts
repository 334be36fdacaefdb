import type { Argv } from 'yargs';
import type { Index } from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { throwIfAborted, UsageError } from '../errors.ts';
import { table, whole } from '../format.ts';
import { indexArguments, parseIntegers, readQueries, withIndex } from '../open-index.ts';
import type { CommonArguments, Session } from '../session.ts';

const MOST_QUERIES = 1000;
/** Settings take turns so many times; of each number the middle one is told. */
const ROUNDS = 3;

export const options = (yargs: Argv<CommonArguments>) =>
  indexArguments(yargs)
    .options({
      queries: { type: 'string', requiresArg: true, describe: 'Real queries; otherwise vectors of the index' },
      k: { type: 'number', requiresArg: true, describe: 'Results per query' },
      leaves: { type: 'string', requiresArg: true, describe: 'Leaves to try besides the default: 10,20,40' },
      candidates: { type: 'string', requiresArg: true, describe: 'Candidates to try besides the default: 100,200' },
      seconds: {
        type: 'number',
        default: 1,
        requiresArg: true,
        describe: 'Time for each setting, one by one and in batches',
      },
    } as const)
    .example('$0 bench my-index', '')
    .example('$0 bench my-index --queries queries.npy --leaves 10,20,40 --candidates 100,200', '');

/** A setting of a search; what is left out is as the index has it. */
interface Setting {
  readonly k: number | undefined;
  readonly numLeavesToSearch: number;
  readonly numReorderingCandidates: number;
}

/** What was measured in one turn. */
interface Turn {
  readonly batchQps: number;
  readonly qps: number;
  readonly p50: number;
  readonly p99: number;
}

export async function run(args: ArgumentsOf<typeof options>, session: Session): Promise<void> {
  const { dir, threads, k } = args;
  const { signal, progress } = session;
  const leaves = parseIntegers(args.leaves, '--leaves');
  const candidates = parseIntegers(args.candidates, '--candidates');
  const given = args.queries === undefined ? undefined : await readQueries(args.queries, MOST_QUERIES);
  const [rows, stats, queries] = await withIndex(dir, { readOnly: true, threads, signal }, async (index) => {
    const { defaults, reordering } = index.stats().config;
    const settings = settingsOf(k, { leaves, candidates }, defaults);
    if (index.size === 0) throw new UsageError(`${dir} has no vectors, so there is nothing to measure`);
    if (reordering === false && given === undefined) {
      throw new UsageError(`${dir} keeps codes only, so it has no vectors to search with; name a file in --queries`);
    }
    const asked = given ?? (await sample(index));
    const turns: Turn[][] = settings.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, setting] of settings.entries()) {
        turns[i]!.push(await takeTurn(index, asked, setting, (args.seconds * 1000) / ROUNDS, signal));
        progress.update('measure', round * settings.length + i + 1, ROUNDS * settings.length);
      }
    }
    const rows = [];
    for (const [i, setting] of settings.entries()) {
      const recall = reordering === false ? null : await index.measureRecall({ queries: given, ...setting, signal });
      rows.push({ ...setting, k: k ?? defaults.k, recall, ...middle(turns[i]!) });
      progress.update('recall', i + 1, settings.length);
    }
    return [rows, index.stats(), asked.length];
  });
  progress.finish();
  await session.answer(
    () =>
      [
        `${whole(stats.size)} vectors of ${stats.dimensions} dimensions, ${stats.metric}, ${stats.threads} threads, ${queries} queries`,
        table([
          ['leaves', 'candidates', `recall@${rows[0]!.k}`, 'QPS, batches', 'QPS, one by one', 'p50 us', 'p99 us'],
          ...rows.map((row) => [
            ...[`${row.numLeavesToSearch}`, `${row.numReorderingCandidates}`, row.recall?.toFixed(4) ?? '-'],
            ...[row.batchQps, row.qps, row.p50, row.p99].map((value) => whole(Math.round(value))),
          ]),
        ]),
      ].join('\n'),
    () => ({ directory: dir, size: stats.size, threads: stats.threads, queries, settings: rows }),
  );
}

/** The default, then every combination of what is to be tried. */
function settingsOf(
  k: number | undefined,
  { leaves, candidates }: { leaves: number[] | undefined; candidates: number[] | undefined },
  defaults: Omit<Setting, 'k'>,
): Setting[] {
  const { numLeavesToSearch, numReorderingCandidates } = defaults;
  const tried = (leaves ?? [numLeavesToSearch]).flatMap((some) =>
    (candidates ?? [numReorderingCandidates]).map((most) => ({
      ...{ k, numLeavesToSearch: some, numReorderingCandidates: most },
    })),
  );
  const isOther = (one: Setting): boolean =>
    one.numLeavesToSearch !== numLeavesToSearch || one.numReorderingCandidates !== numReorderingCandidates;
  return [{ k, numLeavesToSearch, numReorderingCandidates }, ...tried.filter(isOther)];
}

/** Stored vectors, evenly spread. */
async function sample(index: Index): Promise<ArrayLike<number>[]> {
  const step = Math.max(1, Math.floor(index.size / MOST_QUERIES));
  const vectors: ArrayLike<number>[] = [];
  let row = 0;
  for await (const id of index.ids()) {
    if (row++ % step === 0 && vectors.length < MOST_QUERIES) vectors.push((await index.get(id))!.vector);
  }
  return vectors;
}

async function takeTurn(
  index: Index,
  queries: readonly ArrayLike<number>[],
  setting: Setting,
  milliseconds: number,
  signal: AbortSignal,
): Promise<Turn> {
  await index.searchBatch(queries.slice(0, 100), setting); // warms up
  const times: number[] = [];
  const startedAt = performance.now();
  let now = startedAt;
  for (let i = 0; now < startedAt + milliseconds / 2 || i === 0; i++) {
    throwIfAborted(signal);
    await index.search(queries[i % queries.length]!, setting);
    const before = now;
    now = performance.now();
    times.push((now - before) * 1000);
  }
  const qps = (times.length * 1000) / (now - startedAt);
  const batchesFrom = performance.now();
  let answered = 0;
  for (now = batchesFrom; now < batchesFrom + milliseconds / 2 || answered === 0; now = performance.now()) {
    throwIfAborted(signal);
    answered += (await index.searchBatch(queries, setting)).length;
  }
  const batchQps = (answered * 1000) / (performance.now() - batchesFrom);
  times.sort((a, b) => a - b);
  const at = (part: number): number => times[Math.min(times.length - 1, Math.floor(part * times.length))]!;
  return { batchQps, qps, p50: at(0.5), p99: at(0.99) };
}

/** The middle one of each number. */
function middle(turns: readonly Turn[]): Turn {
  const of = (name: keyof Turn): number => turns.map((turn) => turn[name]).sort((a, b) => a - b)[turns.length >> 1]!;
  return { batchQps: of('batchQps'), qps: of('qps'), p50: of('p50'), p99: of('p99') };
}
