import {
  type AssignTask,
  type BuildTask,
  type CodebookTask,
  type CountSpilledTask,
  CURSOR_SCRATCH,
  type EncodeTask,
  type MeanTask,
  type PhaseResult,
  type ResidualTask,
  type StagedLanes,
} from '../protocol/messages.ts';
import { Random } from '../protocol/random.ts';
import { chooseLeaves } from './choose-leaves.ts';
import { eachChunk } from './each-chunk.ts';
import { fillShard } from './fill.ts';
import { bindKernels } from './kernels/load.ts';
import { lanesBytes, layLanes, stagedRow } from './staged-rows.ts';
import { streamQueries } from './stream-phase.ts';
import { runTrainingPhase } from './training-phases.ts';
import { Views } from './views.ts';

const NO_BIAS: PhaseResult = { biasMinimum: Number.POSITIVE_INFINITY, biasMaximum: Number.NEGATIVE_INFINITY };

/** Takes chunks of a build phase until none are left; every worker runs this at the same time. */
export function runPhase(task: BuildTask): PhaseResult {
  switch (task.kind) {
    case 'assign':
      return assign(task);
    case 'mean':
      return mean(task);
    case 'residual':
      return residual(task);
    case 'codebook':
      return codebook(task);
    case 'encode':
      return encode(task);
    case 'count spilled':
      eachChunk(task, (shard) => countSpilled(task, shard));
      return NO_BIAS;
    case 'fill':
      eachChunk(task, (shard) => fillShard(task, shard));
      return NO_BIAS;
    case 'stream':
      streamQueries(task);
      return NO_BIAS;
    default:
      runTrainingPhase(task);
      return NO_BIAS;
  }
}

function assign(task: AssignTask): PhaseResult {
  const kernels = bindKernels(task.kernels, task.memory);
  const scratch = task.scratch + Atomics.add(task.cursor, CURSOR_SCRATCH, 1) * task.scratchBytes;
  const { panels, offsets, numLeaves } = task.leafTables;
  eachChunk(task, (chunk) => {
    const first = chunk * task.rowsPerChunk;
    const count = Math.min(task.rowsPerChunk, task.count - first);
    const rows = task.rows + first * task.stride * 4;
    kernels.assignRows(rows, count, task.stride, panels, offsets, numLeaves, task.leaves + first * 4, scratch);
  });
  return NO_BIAS;
}

function mean(task: MeanTask): PhaseResult {
  const kernels = bindKernels(task.kernels, task.memory);
  const { u32 } = new Views(task.memory);
  eachChunk(task, (leaf) => {
    const start = u32[(task.starts >>> 2) + leaf]!;
    const count = u32[(task.starts >>> 2) + leaf + 1]! - start;
    if (count === 0) return;
    const centroid = task.centroids + leaf * task.stride * 4;
    kernels.meanOfRows(task.rows, task.stride, task.members + start * 4, count, centroid);
  });
  return NO_BIAS;
}

function residual(task: ResidualTask): PhaseResult {
  const kernels = bindKernels(task.kernels, task.memory);
  eachChunk(task, (chunk) => {
    const first = chunk * task.rowsPerChunk;
    const count = Math.min(task.rowsPerChunk, task.count - first);
    const rows = task.rows + first * task.stride * 4;
    kernels.toResiduals(rows, count, task.stride, task.leaves + first * 4, task.centroids, task.mean);
  });
  return NO_BIAS;
}

/** Lloyd's k-means with 16 centres for each block of dimensions (a product quantizer; Jegou et al. 2011). */
function codebook(task: CodebookTask): PhaseResult {
  const kernels = bindKernels(task.kernels, task.memory);
  const { f32, f64 } = new Views(task.memory);
  const { count, stride, dimensionsPerBlock: dims } = task;
  const sums = task.scratch + Atomics.add(task.cursor, CURSOR_SCRATCH, 1) * task.scratchBytes;
  const sumWords = 16 * (dims + 1);
  const points = sums + sumWords * 8;
  eachChunk(task, (block) => {
    const centres = task.codebooks + block * dims * 64;
    const centre = (j: number, c: number): number => (centres >>> 2) + j * 16 + c;
    kernels.gatherBlock(task.rows, count, stride, block * dims, dims, points);
    const random = new Random(task.seed ^ Math.imul(block + 1, 0x9e3779b9));
    const copyPoint = (c: number, i: number): void => {
      for (let j = 0; j < dims; j++) f32[centre(j, c)] = f32[(points >>> 2) + i * dims + j]!;
    };
    const seeds = random.sample(count, 16);
    for (let c = 0; c < 16; c++) copyPoint(c, seeds[c % seeds.length]!);
    for (let iteration = 0; iteration < task.iterations; iteration++) {
      f64.fill(0, sums >>> 3, (sums >>> 3) + sumWords);
      kernels.accumulateBlock(points, count, dims, centres, sums);
      for (let c = 0; c < 16; c++) {
        const at = (sums >>> 3) + c * (dims + 1);
        const n = f64[at + dims]!;
        if (n === 0) copyPoint(c, random.below(count));
        else for (let j = 0; j < dims; j++) f32[centre(j, c)] = f64[at + j]! / n;
      }
    }
  });
  return NO_BIAS;
}

function encode(task: EncodeTask): PhaseResult {
  const { codeBytes, rowsPerChunk } = task;
  const kernels = bindKernels(task.kernels, task.memory);
  const views = new Views(task.memory);
  const { u8, u32, f32 } = views;
  const { u8: out } = new Views(task.laneMemory);
  const lanesAt = task.scratch + Atomics.add(task.cursor, CURSOR_SCRATCH, 1) * task.scratchBytes;
  const bytes = lanesBytes(rowsPerChunk, codeBytes);
  const lanes = layLanes(lanesAt, rowsPerChunk);
  const spilled = task.spilled === null ? null : layLanes(lanesAt + bytes, rowsPerChunk);
  const scratch = lanesAt + (spilled === null ? 1 : 2) * bytes;
  let { biasMinimum, biasMaximum } = NO_BIAS;
  const hash = ({ leaves, codes, codeBiases }: StagedLanes, rows: number, count: number): void => {
    kernels.encodeRows(task.model, rows, count, leaves, task.weight, codes, codeBiases, scratch);
    for (let i = 0; i < count; i++) {
      const bias = f32[(codeBiases >>> 2) + i]!;
      if (bias < biasMinimum) biasMinimum = bias;
      if (bias > biasMaximum) biasMaximum = bias;
    }
  };
  const copy = (from: number, length: number, to: number): void => out.set(u8.subarray(from, from + length), to);
  const finish = (from: StagedLanes, to: StagedLanes, rows: number, first: number, count: number): void => {
    copy(from.leaves, count * 4, to.leaves + first * 4);
    if (!task.hashing) return;
    hash(from, rows, count);
    copy(from.codes, count * codeBytes, to.codes + first * codeBytes);
    copy(from.codeBiases, count * 4, to.codeBiases + first * 4);
  };
  eachChunk(task, (chunk) => {
    const first = chunk * task.rowsPerChunk;
    const count = Math.min(task.rowsPerChunk, task.count - first);
    const rows = stagedRow(task.rows, task.stride, first);
    chooseLeaves(task, kernels, views, rows, count, lanes.leaves, spilled?.leaves ?? 0, scratch);
    for (let i = 0; i < count; i++) Atomics.add(task.leafCounts, u32[(lanes.leaves >>> 2) + i]!, 1);
    finish(lanes, task.lanes, rows, first, count);
    if (spilled !== null) finish(spilled, task.spilled!, rows, first, count);
  });
  return { biasMinimum, biasMaximum };
}

function countSpilled({ segments, leafOwners, numLeaves, spilledCounts }: CountSpilledTask, shard: number): void {
  for (const { laneMemory, count, lanes, spilled } of segments) {
    const { u32 } = new Views(laneMemory);
    for (let i = 0; i < count; i++) {
      if (leafOwners[u32[(lanes.leaves >>> 2) + i]!] !== shard) continue;
      spilledCounts[shard * numLeaves + u32[(spilled!.leaves >>> 2) + i]!]!++;
    }
  }
}
