import type { LeafTables, StagedLanes, StagedSegment } from '../protocol/messages.ts';
import { allocate, giveBack } from '../shard/arena.ts';
import { bindKernels, type KernelSource } from '../shard/kernels/load.ts';
import { lanesBytes, layLanes, stagedEnd } from '../shard/staged-rows.ts';
import { Views } from '../shard/views.ts';
import type { BuildContext } from './build.ts';
import { lossWeight } from './configure.ts';
import { allocateLeafTables, encodeScratchBytes, packLeafTables } from './leaf-tables.ts';
import { type Model, placeModel } from './model.ts';
import type { Segment, Staging } from './staging.ts';
import type { IndexConfig } from './types.ts';

/** A divisor of the rows of a staged chunk. */
const ROWS_PER_CHUNK = 1024;

export type Staged = StagedSegment & {
  readonly model: number;
  /** Centroids as assignment compares vectors with them, which is before vectors are centred. */
  readonly centroids: number;
  readonly leafTables: LeafTables;
};

const NO_LANES: StagedLanes = { leaves: 0, codes: 0, codeBiases: 0 };

/** Puts the model beside the rows of a segment, and makes room for what encoding yields: there, unless `laneMemory` is given. */
export function stage(
  segment: Segment,
  model: Model | null,
  spills: boolean,
  stride: number,
  source: KernelSource,
  laneMemory = segment.memory,
): Staged {
  const { memory, firstRow, count, rows } = segment;
  giveBack(memory, stagedEnd(rows, stride, count));
  const codeBytes = Math.ceil((model?.blocks ?? 0) / 2);
  const lanes = (): StagedLanes => layLanes(allocate(laneMemory, lanesBytes(count, codeBytes)), count);
  const numLeaves = model?.numLeaves ?? 0;
  const centroids = allocate(memory, numLeaves * stride * 4);
  const leafTables = allocateLeafTables(memory, numLeaves, stride);
  if (model !== null) {
    const { f32 } = new Views(memory);
    const uncentred = Float32Array.from(model.centroids, (value, i) => value + model.mean[i % stride]!);
    f32.set(uncentred, centroids >>> 2);
    packLeafTables(bindKernels(source, memory), leafTables, centroids, stride);
  }
  return {
    ...{ memory, firstRow, count, rows, centroids, leafTables, laneMemory },
    lanes: model === null ? NO_LANES : lanes(),
    spilled: spills ? lanes() : null,
    model: model === null ? 0 : placeModel(memory, model),
  };
}

/** Finds the leaves and the codes of all staged rows; returns the range of their biases. */
export async function encode(
  staging: Staging,
  staged: readonly Staged[],
  model: Model,
  config: IndexConfig,
  soarLambda: number | null,
  leafCounts: Int32Array,
  { threads, kernels, options, report }: BuildContext,
): Promise<{ minimum: number; range: number }> {
  const { numLeaves, blocks } = model;
  const scratchBytes = encodeScratchBytes(numLeaves, staging.stride, blocks, ROWS_PER_CHUNK, soarLambda !== null);
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  let before = 0;
  for (const segment of staged) {
    const { memory, rows, count, centroids, leafTables, laneMemory, lanes, spilled } = segment;
    const result = await threads.runPhase(
      {
        ...{ kind: 'encode', kernels, chunks: Math.ceil(count / ROWS_PER_CHUNK), rowsPerChunk: ROWS_PER_CHUNK },
        ...{ memory, rows, count, stride: staging.stride, model: segment.model, centroids, leafTables, soarLambda },
        ...{ laneMemory, lanes, spilled, leafCounts, codeBytes: Math.ceil(model.blocks / 2) },
        ...{
          weight: lossWeight(config.hashing, options.metric!, staging.dimensions),
          hashing: config.hashing !== false,
        },
        ...{ scratch: allocate(memory, scratchBytes * threads.count), scratchBytes },
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

/** Counts the lanes that each shard has in the leaves that its rows are spilled to. */
export async function countSpilled(
  segments: readonly StagedSegment[],
  leafOwners: Int32Array,
  numShards: number,
  { threads, kernels, options }: BuildContext,
): Promise<Int32Array> {
  const numLeaves = leafOwners.length;
  const spilledCounts = new Int32Array(new SharedArrayBuffer(numShards * numLeaves * 4));
  await threads.runPhase(
    { kind: 'count spilled', kernels, chunks: numShards, segments, numLeaves, leafOwners, spilledCounts },
    { signal: options.signal },
  );
  return spilledCounts;
}
