import { statSync } from 'node:fs';
import { join } from 'node:path';
import { seconds } from '../../measure.ts';
import { chunks } from '../rows.ts';
import type { Built, Engine } from '../types.ts';
import { loadPeer, peerVersion } from './peer-package.ts';

interface Hnsw {
  initIndex(maxElements: number, m: number, efConstruction: number, seed: number): void;
  addPoint(point: number[], label: number): void;
  setEf(ef: number): void;
  searchKnn(query: number[], k: number): { neighbors: number[] };
  writeIndexSync(path: string): void;
}
interface HnswlibModule {
  HierarchicalNSW: new (space: 'l2' | 'ip' | 'cosine', dimensions: number) => Hnsw;
}

const SPACES = { dot_product: 'ip', cosine: 'cosine', squared_l2: 'l2' } as const;
const M = 16;
const EF_CONSTRUCTION = 200;
const EFS = [10, 20, 40, 80, 120, 200, 400, 800];

/** It takes plain arrays only. Both adding and searching run on the calling thread. */
export function hnswlib(): Engine | undefined {
  const version = peerVersion('hnswlib-node');
  if (version === undefined) return undefined;
  return {
    name: 'hnswlib',
    version,
    async build(data, { k, directory }): Promise<Built> {
      const { dimensions, rows, metric } = data;
      const { HierarchicalNSW } = loadPeer<HnswlibModule>('hnswlib-node');
      const index = new HierarchicalNSW(SPACES[metric], dimensions);
      const buildSeconds = await seconds(async () => {
        index.initIndex(rows, M, EF_CONSTRUCTION, 42);
        for (const { first, count, vectors } of chunks(data)) {
          for (let i = 0; i < count; i++)
            index.addPoint(Array.from(vectors.subarray(i * dimensions, (i + 1) * dimensions)), first + i);
        }
      });
      const path = join(directory, 'index.hnsw');
      index.writeIndexSync(path);
      return {
        ...{ buildSeconds, bytes: statSync(path).size },
        knobs: [...new Set(EFS.map((ef) => String(Math.max(k, ef))))],
        setKnob: (value) => index.setEf(Number(value)),
        async search(queries, wanted) {
          const found: Int32Array[] = [];
          for (let at = 0; at < queries.length; at += dimensions) {
            const query = Array.from(queries.subarray(at, at + dimensions));
            found.push(Int32Array.from(index.searchKnn(query, wanted).neighbors));
          }
          return found;
        },
        close: async () => {},
      };
    },
  };
}
