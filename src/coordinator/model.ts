import type { Metric } from '../protocol/metrics.ts';
import {
  METRIC_DOT,
  METRIC_L2,
  MODEL_BIAS_MINIMUM,
  MODEL_BIAS_RANGE,
  MODEL_BLOCKS,
  MODEL_CENTROID_BIAS,
  MODEL_CENTROIDS,
  MODEL_CODEBOOKS,
  MODEL_DIMENSIONS_PER_BLOCK,
  MODEL_HEADER_BYTES,
  MODEL_MEAN,
  MODEL_METRIC,
  MODEL_NUM_LEAVES,
  MODEL_ROUTES,
  MODEL_STRIDE,
  MODEL_SUBSPACES,
  ROUTE_BIASES,
  ROUTE_CODES,
  ROUTE_LANES,
} from '../protocol/shard-layout.ts';
import { align, allocate } from '../shard/arena.ts';
import { Views } from '../shard/views.ts';

/** Centroids and codebooks: what routes a query and hashes a vector. One for all shards. */
export interface Model {
  readonly stride: number;
  readonly metric: number;
  readonly numLeaves: number;
  /** f32 [numLeaves x stride]; minus `mean` under squared_l2. */
  readonly centroids: Float32Array;
  /** f32 [stride]; zero unless squared_l2. */
  readonly mean: Float32Array;
  /** Blocks of dimensions with a code each; 0 without hashing. */
  readonly blocks: number;
  readonly dimensionsPerBlock: number;
  /** f32 [blocks][dimensionsPerBlock][16]. */
  readonly codebooks: Float32Array;
}

export function kernelMetric(metric: Metric): number {
  return metric === 'squared_l2' ? METRIC_L2 : METRIC_DOT;
}

/** Subspaces as the scan takes them: an even number. */
export function paddedSubspaces(blocks: number): number {
  return Math.ceil(blocks / 2) * 2;
}

/** Fewer leaves are scored as fast without codes. */
const LEAST_ROUTED_LEAVES = 64;

/**
 * Writes the model into a memory, in the layout that kernels read; returns the pointer to its header. Only one that answers
 * queries needs the quantized centroids.
 */
export function placeModel(memory: WebAssembly.Memory, model: Model, forQueries = false): number {
  const { stride, numLeaves, blocks } = model;
  const subspaces = paddedSubspaces(blocks);
  const biases = centroidBiases(model);
  const routes = forQueries && numLeaves >= LEAST_ROUTED_LEAVES ? quantizeCentroids(model, biases) : new Uint8Array(0);
  const parts = [
    ...[numLeaves * stride * 4, numLeaves * 4, stride * 4, blocks * model.dimensionsPerBlock * 64],
    routes.length,
  ];
  const at = allocate(memory, align(MODEL_HEADER_BYTES) + parts.reduce((sum, bytes) => sum + align(bytes), 0));
  let end = at + align(MODEL_HEADER_BYTES);
  const [centroids, centroidBias, mean, codebooks, route] = parts.map((bytes) => {
    const start = end;
    end += align(bytes);
    return start;
  }) as [number, number, number, number, number];
  const { u8, u32, f32 } = new Views(memory);
  f32.set(model.centroids, centroids >>> 2);
  f32.set(biases, centroidBias >>> 2);
  f32.set(model.mean, mean >>> 2);
  f32.set(model.codebooks, codebooks >>> 2);
  u8.set(routes, route);
  const header: [number, number][] = [
    [MODEL_NUM_LEAVES, numLeaves],
    [MODEL_STRIDE, stride],
    [MODEL_CENTROIDS, centroids],
    [MODEL_CENTROID_BIAS, centroidBias],
    [MODEL_MEAN, mean],
    [MODEL_CODEBOOKS, codebooks],
    [MODEL_BLOCKS, blocks],
    [MODEL_SUBSPACES, subspaces],
    [MODEL_DIMENSIONS_PER_BLOCK, model.dimensionsPerBlock],
    [MODEL_METRIC, model.metric],
    [MODEL_ROUTES, routes.length === 0 ? 0 : route],
  ];
  for (const [field, value] of header) u32[(at + field) >>> 2] = value;
  return at;
}

/** Sets what only the encoded vectors tell: the range of their biases (squared_l2). */
export function setBiasRange(memory: WebAssembly.Memory, model: number, minimum: number, range: number): void {
  const { f32 } = new Views(memory);
  f32[(model + MODEL_BIAS_MINIMUM) >>> 2] = minimum;
  f32[(model + MODEL_BIAS_RANGE) >>> 2] = range;
}

// Under squared_l2 a leaf's score is q . c - |c|^2 / 2, which orders leaves by their distance.
function centroidBiases({ metric, numLeaves, stride, centroids }: Model): Float32Array {
  const biases = new Float32Array(numLeaves);
  if (metric !== METRIC_L2) return biases;
  for (let leaf = 0; leaf < numLeaves; leaf++) {
    let norm = 0;
    for (let j = leaf * stride; j < (leaf + 1) * stride; j++) norm += centroids[j]! ** 2;
    biases[leaf] = norm / 2;
  }
  return biases;
}

/** Centroids f32 [numLeaves x stride] with 8 bits per number, each with a scale of its own, in groups (see shard-layout.ts). */
export function quantizeCentroids(
  { numLeaves, stride, centroids }: Pick<Model, 'numLeaves' | 'stride' | 'centroids'>,
  biases: Float32Array,
): Uint8Array {
  const groupBytes = ROUTE_CODES + stride * ROUTE_LANES;
  const groups = Math.ceil(numLeaves / ROUTE_LANES);
  const out = new Uint8Array(groups * groupBytes);
  const codes = new Int8Array(out.buffer);
  const floats = new Float32Array(out.buffer);
  for (let i = 0; i < groups * ROUTE_LANES; i++) {
    const leaf = Math.min(i, numLeaves - 1);
    const lane = i % ROUTE_LANES;
    const group = ((i - lane) / ROUTE_LANES) * groupBytes;
    const row = centroids.subarray(leaf * stride, (leaf + 1) * stride);
    const scale = Math.fround(row.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127);
    floats[(group >>> 2) + lane] = scale;
    floats[((group + ROUTE_BIASES) >>> 2) + lane] = biases[leaf]!;
    if (scale === 0) continue;
    for (const [j, x] of row.entries()) {
      const code = Math.max(-127, Math.min(127, Math.round(x / scale)));
      codes[group + ROUTE_CODES + (j >>> 1) * 2 * ROUTE_LANES + lane * 2 + (j & 1)] = code;
    }
  }
  return out;
}
