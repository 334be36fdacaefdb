import { MODE_CODES, MODE_EXACT, MODE_HASHED, MODE_LEAVES } from '../protocol/control-layout.ts';
import type { ShardPlan, StagedSegment } from '../protocol/messages.ts';
import type { Metric } from '../protocol/metrics.ts';
import { type BuildOptions, type BuildProgress, resolveTreeOptions } from '../protocol/options.ts';
import { CODEC_FLOAT32, MAX_CHUNK_SHIFT, METRIC_L2, RESERVED_BYTES, TOP_WORD } from '../protocol/shard-layout.ts';
import { align, allocate, createMemory, giveBack } from '../shard/arena.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import { layOutShard } from '../shard/shard-image.ts';
import { chooseShards, codecOf, configure, memoriesFor, SHARD_BYTES, soarLambdaOf } from './configure.ts';
import { dealLeaves, evenStarts } from './dealing.ts';
import { countSpilled, encode, stage } from './encoding.ts';
import { GrowingIds } from './growing-ids.ts';
import { kernelMetric, type Model, paddedSubspaces, placeModel, setBiasRange } from './model.ts';
import { RowAttributes } from './row-attributes.ts';
import { Rows } from './rows.ts';
import type { Staging } from './staging.ts';
import type { Threads } from './threads.ts';
import { trainCodebooks } from './train-codebooks.ts';
import { type TrainingContext, trainTree } from './train-tree.ts';
import { TrainingSet } from './training-set.ts';
import type { IndexConfig } from './types.ts';

/** The options of a build that shape an index, as they were given. */
export type BuildRequest = Pick<BuildOptions, 'tree' | 'hashing' | 'reordering' | 'defaults' | 'shards' | 'seed'>;

/** All of an index but its threads: what `save` writes and `open` reads. */
export interface IndexData {
  readonly dimensions: number;
  readonly stride: number;
  readonly metric: Metric;
  readonly config: IndexConfig;
  /** What the build was asked for. */
  readonly request: BuildRequest;
  readonly ids: GrowingIds;
  /** The control memory, with the model in bytes [RESERVED_BYTES, modelEnd). */
  readonly control: WebAssembly.Memory;
  /** Pointer to the model header, 0 without tree and hashing. */
  readonly model: number;
  readonly modelEnd: number;
  readonly numLeaves: number;
  readonly subspaces: number;
  /** Memories with vectors and leaves; with a tree the shards that fit one memory share it. */
  readonly shards: readonly WebAssembly.Memory[];
  readonly rows: Rows;
  /** Rows that were there when it was built; those from here on were added. */
  readonly built: number;
  readonly attributes: RowAttributes;
  /** Units that a query's work is split into. */
  readonly numShards: number;
  /** Lanes that a vector has in leaves: 2 with SOAR spilling, else 1. */
  readonly lanesPerVector: number;
}

export interface BuildContext {
  readonly threads: Threads;
  readonly kernels: KernelSource;
  readonly options: BuildOptions;
  readonly report: (progress: BuildProgress) => void;
  /** Bytes of vectors per memory. */
  readonly bytesPerMemory?: number;
}

/**
 * Trains the model, hashes every staged vector and deals them to memories. Where one is enough and it keeps vectors as they
 * are staged, the staging memory becomes it; otherwise the staging memories are free afterwards.
 */
export async function buildIndex(staging: Staging, context: BuildContext): Promise<IndexData> {
  const { threads, options } = context;
  const { size, dimensions, stride, segments } = staging;
  const metric = options.metric!;
  const config = configure(size, options);
  const control = createMemory(0);
  const hasModel = config.tree !== false || config.hashing !== false;
  const trained = hasModel ? await trainModel(staging, config, context) : null;
  const model = trained?.model ?? null;
  const pointer = model === null ? 0 : placeModel(control, model, true);
  const soarLambda = soarLambdaOf(config, model?.numLeaves ?? 0);
  const spills = soarLambda !== null;
  const codec = codecOf(config.reordering);
  const numShards = chooseShards(size, dimensions, threads.count, options.shards);
  const needed = Math.max(1, memoriesFor(size, dimensions, context.bytesPerMemory ?? SHARD_BYTES));
  const numMemories = config.tree === false ? numShards : Math.min(numShards, needed);
  const inPlace = numMemories === 1 && segments.length === 1 && codec === CODEC_FLOAT32 && size > 2 ** MAX_CHUNK_SHIFT;
  // The training set has done its work: its memory takes the lanes, which must not be in a shard's, or becomes that of a shard.
  if (trained !== null && inPlace) giveBack(trained.memory, RESERVED_BYTES);
  const laneMemory = inPlace ? trained?.memory : undefined;
  const staged = segments.map((segment) => stage(segment, model, spills, stride, context.kernels, laneMemory));
  const leafCounts = new Int32Array(new SharedArrayBuffer((model?.numLeaves ?? 0) * 4));
  const bias = model === null ? null : await encode(staging, staged, model, config, soarLambda, leafCounts, context);
  const hasBias = bias !== null && config.hashing !== false && model!.metric === METRIC_L2;
  if (hasBias) setBiasRange(control, pointer, bias.minimum, bias.range);
  const blocks = model?.blocks ?? 0;
  const leafOwners = config.tree === false ? null : dealLeaves(leafCounts, numMemories);
  const spilledCounts = spills ? await countSpilled(staged, leafOwners!, numMemories, context) : null;
  const plan: ShardPlan = {
    ...{ stride, codec, metric: kernelMetric(metric), numLeaves: model?.numLeaves ?? 0 },
    ...{ blocks, subspaces: paddedSubspaces(blocks), codeBytes: Math.ceil(blocks / 2), leafCounts },
    ...{ hasBias, biasMinimum: bias?.minimum ?? 0, biasRange: bias?.range ?? 0 },
    ...{ leafOwners, spilledCounts },
    rowStarts: evenStarts(size, numMemories),
  };
  const used = inPlace ? staged[0]!.memory : trained?.memory;
  const shards = await fillShards(plan, numMemories, staged, used, inPlace, context);
  const modelEnd = align(new Int32Array(control.buffer)[TOP_WORD]!);
  const rows = new Rows(shards);
  const attributes = new RowAttributes(rows);
  await attributes.fill(rows, staging.attributesOf);
  return {
    ...{
      dimensions,
      stride,
      metric,
      config,
      request: requestOf(options),
      ids: new GrowingIds(staging.ids),
      control,
      model: pointer,
      modelEnd,
    },
    ...{
      numLeaves: plan.numLeaves,
      subspaces: plan.subspaces,
      shards,
      rows,
      built: size,
      attributes,
      numShards,
      lanesPerVector: spills ? 2 : 1,
    },
  };
}

/** Plain data, which can be saved. */
function requestOf({ tree, hashing, reordering, defaults, shards, seed }: BuildOptions): BuildRequest {
  return JSON.parse(JSON.stringify({ tree, hashing, reordering, defaults, shards, seed })) as BuildRequest;
}

/** Returns the model, and the memory of the training set, which is free for other uses. */
async function trainModel(
  staging: Staging,
  config: IndexConfig,
  context: BuildContext,
): Promise<{ model: Model; memory: WebAssembly.Memory }> {
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
  const model = {
    ...{ stride, metric, numLeaves, centroids: set.copyOut(centroids.pointer, numLeaves * stride), mean },
    ...{ blocks, dimensionsPerBlock, codebooks },
  };
  return { model, memory: set.memory };
}

function subtractMean(set: TrainingSet, centroids: number, numLeaves: number, mean: Float32Array): void {
  const { f32 } = set.views;
  for (let i = 0; i < numLeaves * set.stride; i++) f32[(centroids >>> 2) + i]! -= mean[i % set.stride]!;
}

/** `used` is a memory that may become that of the first shard; in place it must. */
async function fillShards(
  plan: ShardPlan,
  numShards: number,
  segments: readonly StagedSegment[],
  used: WebAssembly.Memory | undefined,
  inPlace: boolean,
  { threads, kernels, options, report }: BuildContext,
): Promise<WebAssembly.Memory[]> {
  const images = Array.from({ length: numShards }, (_, s) => layOutShard(plan, s));
  const stale = new Array<number>(numShards).fill(0);
  const shards = images.map(({ chunkTable, end }, s) => {
    // A larger memory than the shard needs would be kept for nothing.
    const again = s === 0 && used !== undefined && (inPlace || used.buffer.byteLength <= end);
    const memory = again ? used : createMemory(end - RESERVED_BYTES);
    const from = inPlace ? chunkTable : RESERVED_BYTES;
    if (again) stale[s] = giveBack(memory, from);
    allocate(memory, end - from);
    return memory;
  });
  await threads.runPhase(
    { kind: 'fill', kernels, chunks: numShards, shards, stale, segments, plan, inPlace },
    { signal: options.signal, onProgress: (done) => report({ phase: 'fill shards', done, total: numShards }) },
  );
  return shards;
}

/** How a search of this index is answered. */
export function searchMode({ config }: IndexData, exact: boolean): number {
  if (exact || (config.tree === false && config.hashing === false)) return MODE_EXACT;
  if (config.hashing === false) return MODE_LEAVES;
  return config.reordering === false ? MODE_CODES : MODE_HASHED;
}
