import { statSync } from 'node:fs';
import { join } from 'node:path';
import { seconds } from '../../measure.ts';
import { chunks } from '../rows.ts';
import type { Built, Engine } from '../types.ts';
import { loadPeer, peerVersion } from './peer-package.ts';

interface Config {
  dimensions: number;
  metric: 'ip' | 'cos' | 'l2sq';
  quantization: 'f32';
  connectivity: number;
  expansion_add: number;
  expansion_search: number;
  multi: boolean;
}
interface Usearch {
  add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
  search(
    queries: Float32Array,
    k: number,
    threads: number,
  ): { keys: BigUint64Array; counts?: BigUint64Array | undefined };
  save(path: string): void;
  load(path: string): void;
}
interface UsearchModule {
  Index: new (config: Config) => Usearch;
}

const METRICS = { dot_product: 'ip', cosine: 'cos', squared_l2: 'l2sq' } as const;
const CONNECTIVITY = 16;
const EXPANSION_ADD = 200;
const EXPANSIONS = [16, 32, 64, 100, 150, 250, 500, 1000];

/** Its expansion of searches is fixed when an index is made, so each setting loads the saved index anew. */
export function usearch(): Engine | undefined {
  const version = peerVersion('usearch');
  if (version === undefined) return undefined;
  return {
    name: 'usearch',
    version,
    async build(data, { threads, directory }): Promise<Built> {
      const { dimensions, metric } = data;
      const { Index } = loadPeer<UsearchModule>('usearch');
      const make = (expansion: number): Usearch =>
        new Index({
          ...{ dimensions, metric: METRICS[metric], quantization: 'f32', connectivity: CONNECTIVITY },
          ...{ expansion_add: EXPANSION_ADD, expansion_search: expansion, multi: false },
        });
      let index = make(EXPANSIONS[0]!);
      const buildSeconds = await seconds(async () => {
        for (const { first, count, vectors } of chunks(data)) {
          const keys = BigUint64Array.from({ length: count }, (_, i) => BigInt(first + i));
          index.add(keys, vectors, threads);
        }
      });
      const path = join(directory, 'index.usearch');
      index.save(path);
      return {
        ...{ buildSeconds, bytes: statSync(path).size, knobs: EXPANSIONS.map(String) },
        setKnob(value) {
          index = make(Number(value));
          index.load(path);
          // The first search after loading prepares buffers.
          index.search(new Float32Array(dimensions).fill(1), 1, threads);
        },
        async search(queries, k) {
          const { keys, counts } = index.search(queries, k, threads);
          return Array.from({ length: queries.length / dimensions }, (_, i) => {
            const count = counts === undefined ? keys.length : Number(counts[i]);
            return Int32Array.from(keys.subarray(i * k, i * k + Math.min(k, count)), Number);
          });
        },
        close: async () => {},
      };
    },
  };
}
