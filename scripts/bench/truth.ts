import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Index } from '../../src/index.ts';
import { distance } from './recall.ts';
import { chunks, RowReader, readQueries } from './rows.ts';
import type { DataFiles } from './types.ts';

/** The true neighbours. */
export interface Truth {
  readonly k: number;
  /** i32 [queries x k], best first */
  readonly rows: Int32Array;
  /** f64 [queries x k], ascending but for rounding */
  readonly distances: Float64Array;
}

const QUERIES_AT_ONCE = 100;

/** Names the file of a set's true neighbours: whatever changes them changes it. */
export function cacheKey(data: Omit<DataFiles, 'vectorsFile' | 'queriesFile' | 'notes'>, k: number, checksum: string) {
  const { name, rows, dimensions, metric, queries } = data;
  return `${name.replace(/[^a-z0-9.-]+/gi, '_')}-${rows}x${dimensions}-${metric}-q${queries}-k${k}-${checksum}`;
}

/** A checksum of some rows. */
export function checksumOf(rows: readonly Float32Array[]): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(new Uint8Array(row.buffer, row.byteOffset, row.byteLength));
  return hash.digest('hex').slice(0, 16);
}

/** Reads the true neighbours from the cache or finds them by our exact scan. */
export async function loadTruth(data: DataFiles, k: number, cacheDirectory: string): Promise<Truth> {
  const { rows, dimensions } = data;
  if (k > rows) throw new RangeError(`k is ${k}, but there are only ${rows} vectors.`);
  const queries = readQueries(data);
  const reader = new RowReader(data);
  try {
    const ends = [0, rows - 1].map((row) => reader.row(row).slice());
    ends.push(queries.slice(0, dimensions), queries.slice(-dimensions));
    const path = join(cacheDirectory, 'truth', `${cacheKey(data, k, checksumOf(ends))}.bin`);
    const cached = read(path, data.queries, k);
    if (cached !== undefined) return cached;
    const truth = await find(data, queries, k, reader);
    mkdirSync(join(cacheDirectory, 'truth'), { recursive: true });
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(
      temporary,
      Buffer.concat([new Uint8Array(truth.distances.buffer), new Uint8Array(truth.rows.buffer)]),
    );
    renameSync(temporary, path);
    return truth;
  } finally {
    reader.close();
  }
}

function read(path: string, queries: number, k: number): Truth | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  const count = queries * k;
  if (bytes.length !== count * 12) return undefined;
  const { buffer } = new Uint8Array(bytes);
  return { k, distances: new Float64Array(buffer, 0, count), rows: new Int32Array(buffer, count * 8, count) };
}

async function find(data: DataFiles, queries: Float32Array, k: number, reader: RowReader): Promise<Truth> {
  const { dimensions, metric } = data;
  async function* all() {
    for (const { vectors } of chunks(data)) yield { vectors };
  }
  const index = await Index.build(all(), { dimensions, metric, tree: false, hashing: false });
  try {
    const rows = new Int32Array(data.queries * k);
    const distances = new Float64Array(data.queries * k);
    for (let first = 0; first < data.queries; first += QUERIES_AT_ONCE) {
      const part = queries.subarray(first * dimensions, (first + QUERIES_AT_ONCE) * dimensions);
      const found = await index.searchBatch(part, { k, exact: true });
      for (const [i, { ids }] of found.entries()) {
        const query = part.subarray(i * dimensions, (i + 1) * dimensions);
        for (const [j, id] of ids.entries()) {
          const at = (first + i) * k + j;
          rows[at] = Number(id);
          distances[at] = distance(metric, query, reader.row(Number(id)));
        }
        // Our scan's f32 scores may order rows differently that are as good as equal.
        distances.subarray((first + i) * k, (first + i + 1) * k).sort();
      }
    }
    return { k, rows, distances };
  } finally {
    await index.close();
  }
}
