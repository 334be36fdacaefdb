import { MODE_CODES, MODE_EXACT, MODE_HASHED, MODE_LEAVES } from '../protocol/control-layout.ts';
import type { ShardPlan, StagedSegment } from '../protocol/messages.ts';
import type { Metric } from '../protocol/metrics.ts';
import { type BuildOptions, type BuildProgress, resolveTreeOptions } from '../protocol/options.ts';
import {
  METRIC_L2,
  MODEL_CENTROID_BIAS,
  MODEL_CENTROIDS,
  MODEL_HEADER_BYTES,
  RESERVED_BYTES,
  TOP_WORD,
} from '../protocol/shard-layout.ts';
import { align, allocate, createMemory } from '../shard/arena.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import { layOutShard } from '../shard/shard-image.ts';
import { anisotropicWeight, chooseShards, codecOf, configure } from './configure.ts';
import type { IdColumn } from './id-column.ts';
import { kernelMetric, type Model, paddedSubspaces, placeModel, setBiasRange } from './model.ts';
import type { Segment, Staging } from './staging.ts';
import type { Threads } from './threads.ts';
import { trainCodebooks } from './train-codebooks.ts';
import { type TrainingContext, trainTree } from './train-tree.ts';
import { TrainingSet } from './training-set.ts';
import type { IndexConfig } from './types.ts';

const ROWS_PER_CHUNK = 1024;

/** All of an index but its threads: what `save` writes and `open` reads. */
export interface IndexData {
  readonly size: number;
  readonly dimensions: number;
  readonly stride: number;
  readonly metric: Metric;
  readonly config: IndexConfig;
  readonly ids: IdColumn;
  /** The control memory, with the model in bytes [RESERVED_BYTES, modelEnd). */
  readonly control: WebAssembly.Memory;
  /** Pointer to the model header, 0 without tree and hashing. */
  readonly model: number;
  readonly modelEnd: number;
  readonly numLeaves: number;
  readonly subspaces: number;
  readonly shards: readonly WebAssembly.Memory[];
  readonly shardSizes: readonly number[];
}

interface BuildContext {
  readonly threads: Threads;
  readonly kernels: KernelSource;
  readonly options: BuildOptions;
  readonly report: (progress: BuildProgress) => void;
}

/** Trains the model, hashes every staged vector and deals them to shards. The staging memories are free afterwards. */
export async function buildIndex(staging: Staging, context: BuildContext): Promise<IndexData> {
  const { threads, options } = context;
  const { size, dimensions, stride, segments } = staging;
  const metric = options.metric!;
  const config = configure(size, options);
  const control = createMemory(0);
  const hasModel = config.tree !== false || config.hashing !== false;
  const model = hasModel ? await trainModel(staging, config, context) : null;
  const pointer = model === null ? 0 : placeModel(control, model, true);
  const staged = segments.map((segment) => stage(segment, model, stride));
  const leafCounts = new Int32Array(new SharedArrayBuffer((model?.numLeaves ?? 0) * 4));
  const bias = model === null ? null : await encode(staging, staged, model, config, leafCounts, context);
  const hasBias = bias !== null && config.hashing !== false && model!.metric === METRIC_L2;
  if (hasBias) setBiasRange(control, pointer, bias.minimum, bias.range);
  const numShards = chooseShards(size, dimensions, threads.count, options.shards);
  const blocks = model?.blocks ?? 0;
  const plan: ShardPlan = {
    ...{ stride, codec: codecOf(config.reordering), metric: kernelMetric(metric), numLeaves: model?.numLeaves ?? 0 },
    ...{ blocks, subspaces: paddedSubspaces(blocks), codeBytes: Math.ceil(blocks / 2), leafCounts },
    ...{ hasBias, biasMinimum: bias?.minimum ?? 0, biasRange: bias?.range ?? 0 },
    leafOwners: config.tree === false ? null : dealLeaves(leafCounts, numShards),
    rowStarts: Array.from({ length: numShards + 1 }, (_, s) => Math.floor((s * size) / numShards)),
  };
  const { shards, shardSizes } = await fillShards(plan, numShards, staged, context);
  const modelEnd = align(new Int32Array(control.buffer)[TOP_WORD]!);
  return {
    ...{ size, dimensions, stride, metric, config, ids: staging.ids, control, model: pointer, modelEnd },
    ...{ numLeaves: plan.numLeaves, subspaces: plan.subspaces, shards, shardSizes },
  };
}

async function trainModel(staging: Staging, config: IndexConfig, context: BuildContext): Promise<Model> {
  const { threads, kernels, options, report } = context;
  const { size, dimensions, stride, segments } = staging;
  const { tree, hashing } = config;
  const sampleSize = Math.max(
    tree === false ? 1 : tree.trainingSampleSize!,
    hashing === false ? 1 : hashing.trainingSampleSize!,
  );
  const seed = options.seed!;
  const set = new TrainingSet(kernels, stride, Math.min(size, sampleSize));
  await set.fill(segments, size, seed);
  const training = (phase: 'train tree' | 'train codebooks'): TrainingContext => ({
    ...{ threads, kernels, signal: options.signal },
    onProgress: (done, total) => report({ phase, done, total }),
  });
  const metric = kernelMetric(options.metric!);
  // Distances do not change when all vectors move; near the origin the LUT wastes no range on what is common to all.
  if (metric === METRIC_L2) set.meanInto(set.mean);
  // Without a tree all vectors form one leaf, whose centroid is their mean.
  const partitions = tree === false ? { ...resolveTreeOptions({ trainingIterations: 1 }), numLeaves: 1 } : tree;
  const centroids = await trainTree(set, partitions, seed, training('train tree'));
  const mean = set.copyOut(set.mean, stride);
  const numLeaves = centroids.numLeaves;
  subtractMean(set, centroids.pointer, numLeaves, mean);
  const dimensionsPerBlock = hashing === false ? 1 : hashing.dimensionsPerBlock!;
  const blocks = hashing === false ? 0 : Math.ceil(dimensions / dimensionsPerBlock);
  const codebooks =
    hashing === false
      ? new Float32Array(0)
      : await trainCodebooks(set, centroids, blocks, hashing, seed, training('train codebooks'));
  return {
    ...{ stride, metric, numLeaves, centroids: set.copyOut(centroids.pointer, numLeaves * stride), mean },
    ...{ blocks, dimensionsPerBlock, codebooks },
  };
}

function subtractMean(set: TrainingSet, centroids: number, numLeaves: number, mean: Float32Array): void {
  const { f32 } = set.views;
  for (let i = 0; i < numLeaves * set.stride; i++) f32[(centroids >>> 2) + i]! -= mean[i % set.stride]!;
}

type Staged = StagedSegment & { readonly model: number; readonly assignment: number };

/** Puts the model, and room for what encoding yields, beside the rows of a segment. */
function stage(segment: Segment, model: Model | null, stride: number): Staged {
  const { memory, firstRow, count, rows } = segment;
  if (model === null)
    return { memory, firstRow, count, rows, leaves: 0, codes: 0, codeBiases: 0, model: 0, assignment: 0 };
  // Assignment compares with the vectors as they are, so its centroids are not centred.
  const uncentred = Float32Array.from(model.centroids, (value, i) => value + model.mean[i % stride]!);
  return {
    ...{ memory, firstRow, count, rows },
    leaves: allocate(memory, count * 4),
    codes: allocate(memory, count * Math.ceil(model.blocks / 2)),
    codeBiases: allocate(memory, count * 4),
    model: placeModel(memory, model),
    assignment: placeModel(memory, {
      ...model,
      metric: METRIC_L2,
      centroids: uncentred,
      blocks: 0,
      codebooks: new Float32Array(0),
    }),
  };
}

async function encode(
  staging: Staging,
  staged: readonly Staged[],
  model: Model,
  config: IndexConfig,
  leafCounts: Int32Array,
  { threads, kernels, options, report }: BuildContext,
): Promise<{ minimum: number; range: number }> {
  const threshold =
    config.hashing === false || model.metric === METRIC_L2 ? 0 : config.hashing.anisotropicQuantizationThreshold!;
  const scratchBytes = align(ROWS_PER_CHUNK * 4 + model.blocks * 132 + 64);
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  let before = 0;
  for (const segment of staged) {
    const { memory, rows, count } = segment;
    const header = new Uint32Array(memory.buffer, segment.assignment, MODEL_HEADER_BYTES >>> 2);
    const result = await threads.runPhase(
      {
        ...{ kind: 'encode', kernels, chunks: Math.ceil(count / ROWS_PER_CHUNK), rowsPerChunk: ROWS_PER_CHUNK },
        ...{
          memory,
          rows,
          count,
          stride: staging.stride,
          model: segment.model,
          numLeaves: model.numLeaves,
          leafCounts,
        },
        ...{ centroids: header[MODEL_CENTROIDS >>> 2]!, biases: header[MODEL_CENTROID_BIAS >>> 2]! },
        ...{ weight: anisotropicWeight(staging.dimensions, threshold), hashing: config.hashing !== false },
        ...{ leaves: segment.leaves, codes: segment.codes, codeBytes: Math.ceil(model.blocks / 2) },
        ...{ codeBiases: segment.codeBiases, scratch: allocate(memory, scratchBytes * threads.count), scratchBytes },
      },
      {
        signal: options.signal,
        onProgress: (done) => {
          report({ phase: 'encode', done: before + Math.min(count, done * ROWS_PER_CHUNK), total: staging.size });
        },
      },
    );
    before += count;
    minimum = Math.min(minimum, result.biasMinimum);
    maximum = Math.max(maximum, result.biasMaximum);
  }
  return Number.isFinite(minimum)
    ? { minimum: Math.fround(minimum), range: Math.fround(maximum - minimum) }
    : { minimum: 0, range: 0 };
}

/** Deals whole leaves to shards, the largest first, each to the shard that has the fewest vectors. */
export function dealLeaves(leafCounts: Int32Array, numShards: number): Int32Array {
  const order = Array.from(leafCounts.keys()).sort((a, b) => leafCounts[b]! - leafCounts[a]! || a - b);
  const held = new Float64Array(numShards);
  const owners = new Int32Array(new SharedArrayBuffer(leafCounts.length * 4));
  for (const leaf of order) {
    let least = 0;
    for (let s = 1; s < numShards; s++) if (held[s]! < held[least]!) least = s;
    owners[leaf] = least;
    held[least]! += leafCounts[leaf]!;
  }
  return owners;
}

async function fillShards(
  plan: ShardPlan,
  numShards: number,
  segments: readonly StagedSegment[],
  { threads, kernels, options, report }: BuildContext,
): Promise<{ shards: WebAssembly.Memory[]; shardSizes: number[] }> {
  const images = Array.from({ length: numShards }, (_, s) => layOutShard(plan, s));
  const shards = images.map((image) => {
    const memory = createMemory(image.end - RESERVED_BYTES);
    new Int32Array(memory.buffer)[TOP_WORD] = image.end | 0;
    return memory;
  });
  await threads.runPhase(
    { kind: 'fill', kernels, chunks: numShards, shards, segments, plan },
    { signal: options.signal, onProgress: (done) => report({ phase: 'fill shards', done, total: numShards }) },
  );
  return { shards, shardSizes: images.map((image) => image.count) };
}

/** How a search of this index is answered. */
export function searchMode({ config, size }: IndexData, exact: boolean): number {
  if (exact || size === 0 || (config.tree === false && config.hashing === false)) return MODE_EXACT;
  if (config.hashing === false) return MODE_LEAVES;
  return config.reordering === false ? MODE_CODES : MODE_HASHED;
}
