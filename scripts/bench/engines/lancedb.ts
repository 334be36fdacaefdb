import { directorySize } from '../../directory-size.ts';
import { seconds } from '../../measure.ts';
import { chunks } from '../rows.ts';
import type { Built, Engine } from '../types.ts';
import { arrowTable } from './lancedb-arrow.ts';
import { loadPeer, peerVersion } from './peer-package.ts';

interface VectorQuery {
  distanceType(type: string): VectorQuery;
  nprobes(count: number): VectorQuery;
  refineFactor(factor: number): VectorQuery;
  ef(ef: number): VectorQuery;
  select(columns: string[]): VectorQuery;
  limit(k: number): VectorQuery;
  toArrow(): Promise<{ getChild(name: string): { toArray(): ArrayLike<number> } | null }>;
}
interface Table {
  add(data: unknown): Promise<unknown>;
  createIndex(column: string, options: { config: unknown }): Promise<void>;
  vectorSearch(query: Float32Array): VectorQuery;
  close(): void;
}
interface LanceModule {
  connect(path: string): Promise<{ createTable(name: string, data: unknown): Promise<Table>; close(): void }>;
  Index: Record<'ivfPq' | 'hnswSq', (options: Record<string, unknown>) => unknown>;
}

const DISTANCES = { dot_product: 'dot', cosine: 'cosine', squared_l2: 'l2' } as const;
/** nprobes / refine factor of IVF_PQ, and nprobes / ef / refine factor of IVF_HNSW_SQ. */
const IVF_PQ = ['5/5', '10/10', '20/10', '40/20', '80/30', '160/50'];
const HNSW_SQ = ['1/20/1', '1/50/1', '1/100/2', '1/200/2', '1/400/4', '1/800/4'];

/** Every piece becomes a file of its own, and many small ones would slow the searches down. */
const CHUNK_BYTES = 32 << 20;

/** A divisor of the dimensions near half of them that makes whole sub-vectors. */
function subVectors(dimensions: number): number {
  for (let width = 2; width < dimensions; width++) if (dimensions % width === 0) return dimensions / width;
  return 1;
}

export function lancedb(kind: 'ivf-pq' | 'hnsw-sq'): Engine | undefined {
  const version = peerVersion('@lancedb/lancedb');
  if (version === undefined) return undefined;
  const hnsw = kind === 'hnsw-sq';
  return {
    name: `lancedb-${kind}`,
    version,
    // Fewer threads for reading, or for its runtime, and building an index never ends.
    environment: (threads) => ({ LANCE_CPU_THREADS: String(threads), RAYON_NUM_THREADS: String(threads) }),
    confine: true,
    async build(data, { k, directory }): Promise<Built> {
      const { dimensions, metric, rows } = data;
      const lance = loadPeer<LanceModule>('@lancedb/lancedb');
      const database = await lance.connect(directory);
      let table: Table | undefined;
      const buildSeconds = await seconds(async () => {
        for (const { first, count, vectors } of chunks(data, CHUNK_BYTES)) {
          const ids = Int32Array.from({ length: count }, (_, i) => first + i);
          const arrow = arrowTable(ids, vectors, dimensions);
          if (table === undefined) table = await database.createTable('vectors', arrow);
          else await table.add(arrow);
        }
        const distanceType = DISTANCES[metric];
        const config = hnsw
          ? lance.Index.hnswSq({ distanceType, numPartitions: 1, m: 16, efConstruction: 200 })
          : lance.Index.ivfPq({
              ...{ distanceType, numPartitions: Math.max(1, Math.round(Math.sqrt(rows))) },
              numSubVectors: subVectors(dimensions),
            });
        await table!.createIndex('vector', { config });
      });
      let numbers: number[] = [];
      const one = async (query: Float32Array, wanted: number): Promise<Int32Array> => {
        let asked = table!.vectorSearch(query).distanceType(DISTANCES[metric]).nprobes(numbers[0]!);
        if (hnsw) asked = asked.ef(numbers[1]!);
        const answer = await asked.refineFactor(numbers.at(-1)!).select(['id', '_distance']).limit(wanted).toArrow();
        return Int32Array.from(answer.getChild('id')!.toArray(), Number);
      };
      return {
        ...{ buildSeconds, bytes: await directorySize(directory) },
        knobs: hnsw ? HNSW_SQ.filter((knob) => Number(knob.split('/')[1]) >= k) : IVF_PQ,
        setKnob(value) {
          numbers = value.split('/').map(Number);
        },
        async search(queries, wanted) {
          const found: Int32Array[] = [];
          for (let at = 0; at < queries.length; at += dimensions)
            found.push(await one(queries.subarray(at, at + dimensions), wanted));
          return found;
        },
        async close() {
          table?.close();
          database.close();
        },
      };
    },
  };
}
