import { quantizeCentroids } from '../../src/coordinator/model.ts';
import * as L from '../../src/protocol/shard-layout.ts';
import { type Arena, strideOf } from './kernel-memory.ts';
import type { Random } from './random.ts';

export interface ModelSpec {
  numLeaves: number;
  stride: number;
  metric: number;
  blocks: number;
  dimensionsPerBlock: number;
  centroids: Float32Array;
  centroidBias: Float32Array;
  mean: Float32Array;
  /** [blocks][dimensionsPerBlock][16] */
  codebooks: Float32Array;
  biasMinimum: number;
  biasRange: number;
  /** Whether leaves are chosen by quantized centroids first. */
  routed?: boolean;
}

/** A model of random parts, padded with zeros as a trained one is. */
export function randomModel(
  random: Random,
  shape: { numLeaves: number; dimensions: number; dimensionsPerBlock: number; metric: number; whole?: boolean },
): ModelSpec {
  const { numLeaves, dimensions, dimensionsPerBlock, metric } = shape;
  const blocks = Math.ceil(dimensions / dimensionsPerBlock);
  const stride = strideOf(blocks * dimensionsPerBlock);
  const fill = (rows: number, columns: number, padded: number): Float32Array =>
    shape.whole ? random.integers(rows, columns, padded) : random.normals(rows, columns, padded);
  const centroids = fill(numLeaves, dimensions, stride);
  const codebooks = new Float32Array(blocks * dimensionsPerBlock * 16);
  codebooks.set(fill(dimensions, 16, 16));
  const l2 = metric === L.METRIC_L2;
  const centroidBias = new Float32Array(numLeaves);
  if (l2) {
    for (let i = 0; i < numLeaves; i++) {
      for (let j = 0; j < stride; j++) centroidBias[i]! += centroids[i * stride + j]! ** 2 / 2;
    }
  }
  return {
    numLeaves,
    stride,
    metric,
    blocks,
    dimensionsPerBlock,
    centroids,
    centroidBias,
    mean: l2 ? fill(1, dimensions, stride) : new Float32Array(stride),
    codebooks,
    biasMinimum: l2 ? -3.25 : 0,
    biasRange: l2 ? 17.5 : 0,
  };
}

/** Room that `prepareQuery` needs. */
export function prepareScratchBytes({ numLeaves, stride, blocks }: ModelSpec): number {
  const scores = Math.ceil(numLeaves / L.ROUTE_LANES) * L.ROUTE_LANES * 4;
  return stride * 4 + Math.max(stride * 2 + scores + L.ROUTE_BUCKETS * 4 + numLeaves * 8, blocks * 64);
}

export const subspacesOf = (model: ModelSpec): number => model.blocks + (model.blocks & 1);

/** Lays a model and returns the pointer to its header. */
export function layModel(arena: Arena, spec: ModelSpec): number {
  const words: [offset: number, value: number][] = [
    [L.MODEL_NUM_LEAVES, spec.numLeaves],
    [L.MODEL_STRIDE, spec.stride],
    [L.MODEL_CENTROIDS, arena.put(spec.centroids)],
    [L.MODEL_CENTROID_BIAS, arena.put(spec.centroidBias)],
    [L.MODEL_MEAN, arena.put(spec.mean)],
    [L.MODEL_CODEBOOKS, arena.put(spec.codebooks)],
    [L.MODEL_BLOCKS, spec.blocks],
    [L.MODEL_SUBSPACES, subspacesOf(spec)],
    [L.MODEL_DIMENSIONS_PER_BLOCK, spec.dimensionsPerBlock],
    [L.MODEL_METRIC, spec.metric],
    [L.MODEL_ROUTES, spec.routed ? arena.put(quantizeCentroids(spec, spec.centroidBias)) : 0],
  ];
  const model = arena.alloc(L.MODEL_HEADER_BYTES);
  for (const [offset, value] of words) arena.u32(model + offset, 1)[0] = value;
  arena.f32(model + L.MODEL_BIAS_MINIMUM, 1)[0] = spec.biasMinimum;
  arena.f32(model + L.MODEL_BIAS_RANGE, 1)[0] = spec.biasRange;
  return model;
}
