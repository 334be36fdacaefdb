import { readFileSync } from 'node:fs';
import { type BuildOptions, Index, type SearchOptions, type SearchResult } from '../../../src/index.ts';
import { directorySize } from '../../directory-size.ts';
import { seconds } from '../../measure.ts';
import { chunks } from '../rows.ts';
import type { Built, Engine } from '../types.ts';

/** Parts of the leaves to search, each with the candidates to reorder for k = 10: these, and three times as many. */
const SWEEP = [
  [0.01, 40],
  [0.02, 60],
  [0.03, 80],
  [0.05, 100],
  [0.07, 120],
  [0.1, 150],
  [0.15, 200],
  [0.3, 300],
] as const;
const WITHOUT_TREE = [20, 40, 80, 150, 300, 600];

/** Environment variable with the build options of 'scannery-tuned', as JSON. */
export const TUNED = 'BENCH_SCANNERY_TUNED';

export function scannery(): Engine {
  return scanneryWith('scannery', {});
}

/** A second index with build options of the user's choice; undefined unless they are given. */
export function scanneryTuned(): Engine | undefined {
  const given = process.env[TUNED];
  return given === undefined ? undefined : scanneryWith('scannery-tuned', JSON.parse(given) as BuildOptions);
}

function scanneryWith(name: string, buildOptions: BuildOptions): Engine {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return {
    name,
    version: (JSON.parse(manifest) as { version: string }).version,
    async build(data, { threads, k, directory }): Promise<Built> {
      async function* all() {
        for (const { vectors } of chunks(data)) yield { vectors };
      }
      let index!: Index;
      const { dimensions, metric } = data;
      const buildSeconds = await seconds(async () => {
        index = await Index.build(all(), { dimensions, metric, threads, ...buildOptions });
      });
      await index.save(directory);
      const bytes = await directorySize(directory);
      const { numLeaves, config } = index.stats();
      const candidates = (count: number): number => Math.max(k, Math.round((count * k) / 10));
      let knobs = ['exact'];
      if (config.hashing !== false && config.tree === false) knobs = WITHOUT_TREE.map((c) => `all/${candidates(c)}`);
      else if (config.tree !== false)
        knobs = SWEEP.flatMap(([part, c]) =>
          [c, 3 * c].map((some) => `${Math.max(1, Math.round(part * numLeaves))}/${candidates(some)}`),
        );
      let options: SearchOptions = {};
      const rowsOf = ({ ids }: SearchResult): Int32Array => Int32Array.from(ids, Number);
      return {
        ...{ buildSeconds, bytes, knobs: [...new Set(knobs)] },
        setKnob(value) {
          const [leaves, reordered] = value.split('/');
          options = value === 'exact' ? { exact: true } : { numReorderingCandidates: Number(reordered) };
          if (value !== 'exact' && leaves !== 'all') options = { ...options, numLeavesToSearch: Number(leaves) };
        },
        async search(queries, wanted) {
          const asked = { ...options, k: wanted };
          if (queries.length === dimensions) return [rowsOf(await index.search(queries, asked))];
          return (await index.searchBatch(queries, asked)).map(rowsOf);
        },
        close: () => index.close(),
      };
    },
  };
}
