import type { Argv } from 'yargs';
import type { FrontierPoint, TuneResult } from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { table } from '../format.ts';
import { indexArguments, readQueries, withIndex } from '../open-index.ts';
import type { CommonArguments, Session } from '../session.ts';

/** Queries that are read of a file; the index tries with at most 1,000 of them. */
const MOST_QUERIES = 10_000;

export const options = (yargs: Argv<CommonArguments>) =>
  indexArguments(yargs)
    .options({
      'target-recall': { type: 'number', default: 0.95, requiresArg: true, describe: 'Recall to reach, up to 1' },
      queries: {
        type: 'string',
        requiresArg: true,
        describe: 'Real queries; otherwise vectors like those of the index',
      },
      k: { type: 'number', requiresArg: true, describe: 'Results per query; what the index has as default' },
      seed: { type: 'number', requiresArg: true, describe: 'Seed of the sample' },
    } as const)
    .example('$0 tune my-index --target-recall 0.95', '')
    .example('$0 tune my-index --queries queries.npy --k 20', '');

export async function run(args: ArgumentsOf<typeof options>, session: Session): Promise<void> {
  const { dir, threads, targetRecall, k, seed } = args;
  const { signal, progress } = session;
  const queries = args.queries === undefined ? undefined : await readQueries(args.queries, MOST_QUERIES);
  // As the one writer, so that nothing another process writes meanwhile is lost.
  const tuned = await withIndex(dir, { threads, durability: 'always', rebalanceAt: false, signal }, async (index) => {
    const onProgress = (tried: number): void => progress.update('tune', tried);
    const result = await index.tune({ targetRecall, queries, k, seed, signal, onProgress });
    progress.update('save', 0);
    await index.save();
    progress.finish();
    return result;
  });
  await session.answer(
    () => shown(tuned),
    () => tuned,
  );
  session.note(`saved as the default of ${dir}; next: scannery bench ${dir}, or scannery serve ${dir}`);
}

function shown(tuned: TuneResult): string {
  const isChosen = (point: FrontierPoint): boolean =>
    point.numLeavesToSearch === tuned.numLeavesToSearch &&
    point.numReorderingCandidates === tuned.numReorderingCandidates;
  const points = tuned.frontier.some(isChosen) ? tuned.frontier : [...tuned.frontier, tuned];
  const rows = points.map((point) => [
    isChosen(point) ? '*' : '',
    `${point.numLeavesToSearch}`,
    `${point.numReorderingCandidates}`,
    point.recall.toFixed(4),
    point.microsecondsPerQuery.toFixed(0),
  ]);
  const header = ['', 'leaves', 'candidates', `recall@${tuned.k}`, 'us/query'];
  return `${table([header, ...rows])}\n* chosen, with ${tuned.queries} queries`;
}
