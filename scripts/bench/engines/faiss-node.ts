import { statSync } from 'node:fs';
import { join } from 'node:path';
import { seconds } from '../../measure.ts';
import { chunks } from '../rows.ts';
import type { Built, Engine } from '../types.ts';
import { loadPeer, peerVersion } from './peer-package.ts';

interface Faiss {
  train(vectors: number[]): void;
  add(vectors: number[]): void;
  search(queries: number[], k: number): { labels: number[] };
  write(path: string): void;
}
interface FaissModule {
  Index: { fromFactory(dimensions: number, description: string, metric: number): Faiss };
  MetricType: { METRIC_L2: number; METRIC_INNER_PRODUCT: number };
}

/** It has no call to set nprobe or ef, so it has one point: HNSW as the factory makes it. */
export function faissNode(): Engine | undefined {
  const version = peerVersion('faiss-node');
  if (version === undefined) return undefined;
  return {
    name: 'faiss-node',
    version,
    environment: (threads) => ({ OMP_NUM_THREADS: String(threads) }),
    async build(data, { directory }): Promise<Built> {
      const { dimensions, metric } = data;
      const { Index, MetricType } = loadPeer<FaissModule>('faiss-node');
      const inner = metric !== 'squared_l2';
      // Normalised vectors have their cosine for a product; queries need not be, for the order is the same.
      const description = metric === 'cosine' ? 'L2norm,HNSW16' : 'HNSW16';
      const type = inner ? MetricType.METRIC_INNER_PRODUCT : MetricType.METRIC_L2;
      const index = Index.fromFactory(dimensions, description, type);
      const buildSeconds = await seconds(async () => {
        for (const { vectors } of chunks(data)) index.add(Array.from(vectors));
      });
      const path = join(directory, 'index.faiss');
      index.write(path);
      return {
        ...{ buildSeconds, bytes: statSync(path).size, knobs: ['default'] },
        setKnob: () => {},
        async search(queries, k) {
          const { labels } = index.search(Array.from(queries), k);
          return Array.from({ length: queries.length / dimensions }, (_, i) =>
            Int32Array.from(labels.slice(i * k, (i + 1) * k)),
          );
        },
        close: async () => {},
      };
    },
  };
}
