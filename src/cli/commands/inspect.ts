import { relative } from 'node:path';
import type { Argv } from 'yargs';
import { type IndexConfig, type IndexHealth, type IndexStats, type SavedFiles, savedFiles } from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { size, table, whole } from '../format.ts';
import { indexArguments, withIndex } from '../open-index.ts';
import type { CommonArguments, Session } from '../session.ts';

const BAR_CELLS = 40;

export const options = (yargs: Argv<CommonArguments>) =>
  indexArguments(yargs).example('$0 inspect my-index', '').example('$0 inspect my-index --json', '');

export async function run({ dir, threads }: ArgumentsOf<typeof options>, session: Session): Promise<void> {
  const { signal } = session;
  const [stats, health] = await withIndex(dir, { readOnly: true, threads, signal }, async (index) => [
    index.stats(),
    await index.health(),
  ]);
  const saved = await savedFiles(dir, { signal });
  const { generation, logBytes } = saved;
  const files = saved.files.map(({ path, bytes }) => ({ path, bytes }));
  await session.answer(
    () => shown(dir, stats, health, saved),
    () => {
      const { dimensions, metric, config, numLeaves, deleted } = stats;
      return {
        ...{ directory: dir, size: stats.size, deleted, dimensions, metric, config, numLeaves },
        ...{ generation, logBytes, files, memoryBytes: stats.bytes, health },
      };
    },
  );
}

function shown(dir: string, stats: IndexStats, health: IndexHealth, { generation, logBytes, files }: SavedFiles) {
  const { defaults } = stats.config;
  const { leaves } = health;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const facts = [
    ['vectors', `${whole(stats.size)} of ${stats.dimensions} dimensions, ${stats.metric}`],
    ['deleted', `${whole(health.deleted)}, and ${whole(health.added)} added since the build`],
    ['method', shownMethod(stats.config, stats.numLeaves)],
    ['search', `k ${defaults.k}, ${defaults.numLeavesToSearch} leaves, ${defaults.numReorderingCandidates} candidates`],
    ['health', `drift ${health.drift.toFixed(2)}, imbalance of leaves ${leaves.imbalance.toFixed(2)}; 1 is best`],
    ['generation', `${generation}`],
    ['log', logBytes === 0 ? 'empty' : `${size(logBytes)} of writes since the save`],
    ['memory', size(stats.bytes)],
    ['files', size(bytes)],
  ];
  const list = files.map((file) => [`  ${relative(dir, file.path)}`, size(file.bytes)]);
  return [table(facts as string[][], [0, 1]), table(list, [0]), ...shownLeaves(leaves)].join('\n');
}

function shownMethod({ tree, hashing, reordering }: IndexConfig, numLeaves: number): string {
  const spilled = tree !== false && typeof tree.soarLambda === 'number' ? `, SOAR ${tree.soarLambda}` : '';
  return [
    tree === false ? 'no tree' : `tree of ${whole(numLeaves)} leaves${spilled}`,
    hashing === false ? 'no hashing' : `hashing of ${hashing.dimensionsPerBlock} dimensions per block`,
    reordering === false ? 'codes only' : `vectors as ${reordering}`,
  ].join(', ');
}

function shownLeaves({ count, histogram }: IndexHealth['leaves']): string[] {
  if (count < 2) return [];
  const most = Math.max(...histogram.map(({ leaves }) => leaves));
  const rows = histogram.map(({ from, to, leaves }) => {
    const cells = Math.ceil((leaves / most) * BAR_CELLS);
    return [from === to ? `${from}` : `${from}-${to}`, `${leaves}`, '#'.repeat(cells)];
  });
  return ['', table([['vectors', 'leaves', ''], ...rows], [2])];
}
