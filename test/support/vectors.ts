import type { BuildOptions, Metric, SearchResult } from '../../src/index.ts';
import { Random } from './random.ts';

/** Ways to build an index, each with trees and codebooks small enough to be trained in no time. */
export const CONFIGS = {
  exact: { tree: false, hashing: false },
  'hashing only': { tree: false, hashing: { trainingSampleSize: 1000, trainingIterations: 4 } },
  'tree only': { tree: { numLeaves: 12, trainingSampleSize: 1000, trainingIterations: 4 }, hashing: false },
  'tree and hashing': {
    tree: { numLeaves: 12, trainingSampleSize: 1000, trainingIterations: 4 },
    hashing: { trainingSampleSize: 1000, trainingIterations: 4 },
  },
} as const satisfies Record<string, BuildOptions>;

export type ConfigName = keyof typeof CONFIGS;
export const CONFIG_NAMES = Object.keys(CONFIGS) as ConfigName[];

/** Search options under which an index of n vectors in `CONFIGS` looks at all of them. */
export const everything = (n: number): { numLeavesToSearch: number; numReorderingCandidates: number } => ({
  numLeavesToSearch: 12,
  numReorderingCandidates: n,
});

export interface Data {
  readonly count: number;
  readonly dimensions: number;
  readonly vectors: Float32Array;
  readonly ids?: readonly string[];
}

/** Clustered vectors with some structure for a tree to find; every tenth repeats an earlier one, so that scores tie. */
export function clustered(count: number, dimensions: number, seed = 1): Data {
  const random = new Random(seed);
  const centres = random.normals(8, dimensions);
  const vectors = random.normals(count, dimensions);
  for (let i = 0; i < count; i++) {
    const centre = random.int(0, 7) * dimensions;
    for (let j = 0; j < dimensions; j++) {
      const at = i * dimensions + j;
      vectors[at] = vectors[at]! * 0.5 + centres[centre + j]!;
    }
    if (i % 10 !== 9) continue;
    const earlier = random.int(0, i - 1);
    vectors.copyWithin(i * dimensions, earlier * dimensions, (earlier + 1) * dimensions);
  }
  return { count, dimensions, vectors };
}

export function rowsOf({ count, dimensions, vectors }: Data): number[][] {
  return Array.from({ length: count }, (_, i) => Array.from(rowAt({ dimensions, vectors }, i)));
}

export function rowAt({ dimensions, vectors }: Omit<Data, 'count'>, i: number): Float32Array {
  return vectors.subarray(i * dimensions, (i + 1) * dimensions);
}

/** The metric's value, in double precision. */
export function naiveScore(metric: Metric, a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, normA, normB, distance] = [0, 0, 0, 0];
  for (let j = 0; j < a.length; j++) {
    dot += a[j]! * b[j]!;
    normA += a[j]! ** 2;
    normB += b[j]! ** 2;
    distance += (a[j]! - b[j]!) ** 2;
  }
  if (metric === 'cosine') return dot / Math.sqrt(normA * normB);
  return metric === 'dot_product' ? dot : distance;
}

/** Rows of all vectors, best first, ties by row, in double precision. */
export function naiveRanking(metric: Metric, data: Data, query: ArrayLike<number>): number[] {
  const scores = Array.from({ length: data.count }, (_, i) => naiveScore(metric, rowAt(data, i), query));
  const sign = metric === 'squared_l2' ? 1 : -1;
  return Array.from(scores.keys()).sort((a, b) => sign * (scores[a]! - scores[b]!) || a - b);
}

/** A result in a form that compares bit by bit. */
export function bits({ ids, scores }: SearchResult): { ids: SearchResult['ids']; scores: string } {
  return { ids, scores: Buffer.from(scores.buffer, scores.byteOffset, scores.byteLength).toString('hex') };
}

export function recall(found: SearchResult, truth: SearchResult): number {
  const wanted = new Set(truth.ids);
  return found.ids.filter((id) => wanted.has(id)).length / Math.max(1, truth.ids.length);
}

/** Each item as a chunk of an async stream. */
export async function* streamOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await null;
    yield item;
  }
}
