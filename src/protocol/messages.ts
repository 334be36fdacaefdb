import type { ControlLayout } from './control-layout.ts';
import type { StreamTask } from './stream-task.ts';
import type { TrainingTask } from './training-tasks.ts';

/** The kernels, as they travel to a worker. */
export interface KernelMessage {
  readonly tier: 'scalar' | 'simd' | 'relaxed';
  readonly module?: WebAssembly.Module;
}

/** Answers queries until the thread is ended. The task itself ends at once; its thread stays in the serving loop. */
export interface ServeTask {
  readonly kind: 'serve';
  readonly worker: number;
  readonly threads: number;
  /** Whether the workers leave a core to the caller's thread, so that they may spin for a moment. */
  readonly spareCore: boolean;
  readonly kernels: KernelMessage;
  readonly control: WebAssembly.Memory;
  readonly layout: ControlLayout;
  readonly shards: readonly WebAssembly.Memory[];
  readonly plan: UnitPlan;
}

/** How a query's work is split: unit u is what one worker does of it at once. */
export interface UnitPlan {
  /** The memory that the unit scans, and which one of how many parts of its vectors it scores in an exact scan. */
  readonly units: readonly { readonly memory: number; readonly part: number; readonly parts: number }[];
  /** The units of each memory. */
  readonly unitsOf: readonly (readonly number[])[];
  /** Int32 [memories x numLeaves]: the unit that scans what a memory has of a leaf; null when each memory is one unit. */
  readonly leafUnits: Int32Array | null;
}

/**
 * A phase of the build, run by every worker at once: each takes chunks [0, chunks) by adding to cursor[CURSOR_NEXT] until
 * none are left or cursor[CURSOR_ABORT] is set. What a chunk yields depends on its number alone, never on who ran it.
 */
export interface Phase {
  readonly kernels: KernelMessage;
  readonly cursor: Int32Array;
  readonly chunks: number;
}
export const CURSOR_NEXT = 0;
export const CURSOR_DONE = 1;
export const CURSOR_ABORT = 2;

/** Nearest centroid of rows in chunks of `rowsPerChunk`. */
export interface AssignTask extends Phase {
  readonly kind: 'assign';
  readonly memory: WebAssembly.Memory;
  readonly rowsPerChunk: number;
  readonly rows: number;
  readonly count: number;
  readonly stride: number;
  readonly leafTables: LeafTables;
  readonly leaves: number;
  readonly scratch: number;
  readonly scratchBytes: number;
}

/** Centroids as assignment wants them: not centred, packed by the kernel packCentroids. */
export interface LeafTables {
  readonly numLeaves: number;
  readonly panels: number;
  readonly offsets: number;
}

/** New centroids: chunk i is leaf i, the mean of rows members[starts[i] .. starts[i + 1]). Leaves without members are left. */
export interface MeanTask extends Phase {
  readonly kind: 'mean';
  readonly memory: WebAssembly.Memory;
  readonly rows: number;
  readonly stride: number;
  readonly starts: number;
  readonly members: number;
  readonly centroids: number;
}

/** Residuals of the training rows, in place, in chunks of `rowsPerChunk`. */
export interface ResidualTask extends Phase {
  readonly kind: 'residual';
  readonly memory: WebAssembly.Memory;
  readonly rowsPerChunk: number;
  readonly rows: number;
  readonly count: number;
  readonly stride: number;
  readonly leaves: number;
  readonly centroids: number;
  readonly mean: number;
}

/** Codebooks by k-means: chunk m is block m of dimensions. */
export interface CodebookTask extends Phase {
  readonly kind: 'codebook';
  readonly memory: WebAssembly.Memory;
  readonly rows: number;
  readonly count: number;
  readonly stride: number;
  readonly dimensionsPerBlock: number;
  readonly iterations: number;
  readonly seed: number;
  readonly codebooks: number;
  /** Pointer: scratch of worker-sized pieces; a worker takes one by adding to cursor[CURSOR_SCRATCH]. */
  readonly scratch: number;
  readonly scratchBytes: number;
}
export const CURSOR_SCRATCH = 3;
export const CURSOR_WORDS = 16;

/** Leaves and codes of every row of one staging segment, in chunks of `rowsPerChunk`, a divisor of the rows of a staged chunk. */
export interface EncodeTask extends Phase {
  readonly kind: 'encode';
  readonly memory: WebAssembly.Memory;
  readonly rowsPerChunk: number;
  readonly rows: number;
  readonly count: number;
  readonly stride: number;
  readonly model: number;
  readonly leafTables: LeafTables;
  /** The centroids of `leafTables` as f32 [numLeaves x stride]; only spilling reads them. */
  readonly centroids: number;
  /** SOAR's lambda, or null when each row has one leaf. */
  readonly soarLambda: number | null;
  /** eta - 1 of the score-aware loss. */
  readonly weight: number;
  readonly hashing: boolean;
  readonly codeBytes: number;
  /** Outputs for each row's leaf, and for the one it is spilled to, in `laneMemory`. */
  readonly laneMemory: WebAssembly.Memory;
  readonly lanes: StagedLanes;
  readonly spilled: StagedLanes | null;
  /** Scratch as for codebooks, in `memory`: lanes of a chunk, as many spilled ones if there are any, then the kernels' scratch. */
  readonly scratch: number;
  readonly scratchBytes: number;
  /** Int32 [numLeaves]: rows per leaf, added up with Atomics over all segments. */
  readonly leafCounts: Int32Array;
}

/** Where the staged rows' lanes are: u32 [count] leaves, u8 [count x codeBytes], f32 [count] biases of the codes. */
export interface StagedLanes {
  readonly leaves: number;
  readonly codes: number;
  readonly codeBiases: number;
}

/** One staging segment, as filling a shard reads it. */
export interface StagedSegment {
  readonly memory: WebAssembly.Memory;
  readonly firstRow: number;
  readonly count: number;
  /** Pointer to the first row; `stagedRow` finds the others. */
  readonly rows: number;
  readonly laneMemory: WebAssembly.Memory;
  readonly lanes: StagedLanes;
  /** The lanes in the leaves that rows are spilled to (SOAR), or null. */
  readonly spilled: StagedLanes | null;
}

/** Counts the spilled lanes of each leaf in each shard: chunk s is shard s. A spilled lane stays in its row's shard. */
export interface CountSpilledTask extends Phase {
  readonly kind: 'count spilled';
  readonly segments: readonly StagedSegment[];
  readonly numLeaves: number;
  readonly leafOwners: Int32Array;
  /** Int32 [chunks x numLeaves]. */
  readonly spilledCounts: Int32Array;
}

/** Fills shards: chunk s is shard s, which takes the rows of its leaves in row order. */
export interface FillTask extends Phase {
  readonly kind: 'fill';
  readonly shards: readonly WebAssembly.Memory[];
  /** Per shard, the byte up to which its memory was used for something else before; what must be zero is made so. */
  readonly stale: readonly number[];
  readonly segments: readonly StagedSegment[];
  readonly plan: ShardPlan;
  /** The only segment's memory is the only shard's, and the vectors are in their places. */
  readonly inPlace: boolean;
}

/** What all shards share, and which rows each takes. */
export interface ShardPlan {
  readonly stride: number;
  readonly codec: number;
  readonly metric: number;
  readonly numLeaves: number;
  readonly blocks: number;
  readonly subspaces: number;
  readonly codeBytes: number;
  readonly hasBias: boolean;
  readonly biasMinimum: number;
  readonly biasRange: number;
  /** Rows per leaf. */
  readonly leafCounts: Int32Array;
  /** Shard that owns each leaf; null without a tree, when shard s takes rows [rowStarts[s], rowStarts[s + 1]). */
  readonly leafOwners: Int32Array | null;
  readonly rowStarts: readonly number[];
  /** Int32 [shards x numLeaves]: lanes that rows of a shard have in leaves they are spilled to (SOAR); null without. */
  readonly spilledCounts: Int32Array | null;
}

export type BuildTask =
  | AssignTask
  | MeanTask
  | ResidualTask
  | CodebookTask
  | EncodeTask
  | CountSpilledTask
  | FillTask
  | StreamTask
  | TrainingTask;
export type WorkerTask = ServeTask | BuildTask;

/** What a worker makes of a build phase. */
export interface PhaseResult {
  /** Least and greatest code bias seen (encode). */
  readonly biasMinimum: number;
  readonly biasMaximum: number;
}
