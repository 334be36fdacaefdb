// The public types. Nothing here mentions how the index works inside, so that users compile none of it.

import type { Attributes } from '../protocol/filter.ts';
import type { Durability } from '../protocol/live-options.ts';
import type { Metric } from '../protocol/metrics.ts';
import type { ResolvedHashing, ResolvedTree } from '../protocol/options.ts';
import type { KernelTier } from '../shard/kernels/kernels.ts';

/** Identifies a vector: a string, a safe integer or a 64-bit bigint, as it was given. */
export type Id = string | number | bigint;

/** One query's answer, best first. */
export interface SearchResult {
  ids: Id[];
  /** The metric's value for each id; Float32Array [ids.length]. */
  scores: Float32Array;
}

/** What became of ids that were to be deleted. */
export interface DeleteResult {
  /** Vectors deleted. */
  readonly deleted: number;
  /** Ids that the index does not have, or no longer, or that were given twice. */
  readonly unknown: number;
}

/** Vectors to be added, or to take the place of those with the same ids. */
export interface UpsertInput {
  /** Row-major numbers [n x dimensions], or one array per vector. They must stay as they are until the promise settles. */
  readonly vectors: VectorsInput;
  /** One per vector, none twice: strings, safe integers or 64-bit bigints; an array or typed array. */
  readonly ids: ArrayLike<Id>;
  /** One per vector, to filter by; a vector that takes the place of another keeps none of the other's. */
  readonly attributes?: readonly (Attributes | null | undefined)[] | undefined;
}

/** What became of vectors that were upserted. */
export interface UpsertResult {
  /** Vectors whose ids were not in the index. */
  readonly inserted: number;
  /** Vectors that took the place of others. */
  readonly updated: number;
}

/** What `refresh` found. */
export interface RefreshResult {
  /** Writes taken in; 0 if the index was opened anew. */
  readonly changes: number;
  /** Whether the writer had saved the index anew, and it was read from there. */
  readonly reopened: boolean;
}

/** What `Index.repair` did to the log of a directory. */
export interface RepairResult {
  /** Bytes of writes before the damage, which stay. */
  readonly keptBytes: number;
  /** Bytes from the damage on, which are gone; 0 if there was none. */
  readonly droppedBytes: number;
}

/** How the writes of an index with `durability` are kept. */
export interface LogStats {
  readonly durability: Durability;
  /** Bytes of writes in the log, since the last checkpoint. */
  readonly bytes: number;
  /** Times that the index was saved anew, and its log emptied, since it was opened. */
  readonly checkpoints: number;
}

/** A vector as the index holds it: of length 1 under cosine, and rounded where it is stored as int8 or bfloat16. */
export interface StoredVector {
  readonly id: Id;
  /** Float32Array [dimensions] */
  readonly vector: Float32Array;
  /** Left out if it has none; lists of tokens are sorted. */
  readonly attributes?: Attributes;
}

/** One query's answer, and how it was found. Times are those in kernels, in microseconds, over all threads. */
export interface Explanation extends SearchResult {
  /** 'exact': every vector scored; 'tree': those of the leaves; 'hashed': codes scanned, the best reordered; 'codes': codes only. */
  readonly method: 'exact' | 'tree' | 'hashed' | 'codes';
  /** The leaves visited, best first. */
  readonly leaves: readonly number[];
  readonly codesScanned: number;
  /** Candidates that the shards kept, together. */
  readonly candidates: number;
  /** Candidates rescored from the stored vectors. */
  readonly reordered: number;
  readonly microseconds: {
    readonly total: number;
    /** Choosing leaves and building the look-up table. */
    readonly prepare: number;
    readonly scan: number;
    readonly reorder: number;
    /** Merging the shards' candidates and sorting the answer. */
    readonly merge: number;
  };
  /** With a filter, list of ids or crowding: how it was applied, and how many vectors were thought to match. */
  readonly filter?: {
    /** 'masked scan': all else was passed over while leaves were scanned; 'matches only': every match was scored exactly. */
    readonly strategy: 'masked scan' | 'matches only';
    readonly estimatedMatches: number;
  };
  readonly shards: readonly {
    readonly codesScanned: number;
    readonly candidates: number;
    /** Candidates of all shards in the same memory, told with the first of them; so is the time. */
    readonly reordered: number;
    readonly scanMicroseconds: number;
    readonly reorderMicroseconds: number;
  }[];
}

/** A search setting, with what it gives and costs. */
export interface FrontierPoint {
  readonly numLeavesToSearch: number;
  readonly numReorderingCandidates: number;
  /** Recall@k over the queries. */
  readonly recall: number;
  /** Time in kernels, over all threads. */
  readonly microsecondsPerQuery: number;
}

/** What tuning chose, which is now what a search uses by default. */
export interface TuneResult extends FrontierPoint {
  readonly k: number;
  /** Queries that it was measured with. */
  readonly queries: number;
  /** Of all settings tried, those that no other beats in both recall and time, by ascending recall. */
  readonly frontier: readonly FrontierPoint[];
}

/** Vectors as a caller gives them: row-major numbers [n x dimensions], or one array per vector. */
export type VectorsInput = Float32Array | Float64Array | readonly (readonly number[] | Float32Array | Float64Array)[];

export interface VectorChunk {
  vectors: VectorsInput;
  /** One per vector: strings, safe integers or 64-bit bigints. Default: the row number. */
  ids?: readonly (string | number | bigint)[] | undefined;
  /** One per vector, to filter by. */
  attributes?: readonly (Attributes | null | undefined)[] | undefined;
}

/** One query: numbers [dimensions]. */
export type Query = ArrayLike<number>;
/** Many queries: row-major numbers [m x dimensions], or one array per query. */
export type QueryBatch = Float32Array | Float64Array | readonly Query[];

/** The shape of an index, with every choice made. Kept in the saved index. */
export interface IndexConfig {
  readonly tree: (ResolvedTree & { readonly numLeaves: number }) | false;
  readonly hashing: ResolvedHashing | false;
  readonly reordering: 'float32' | 'bfloat16' | 'int8' | false;
  readonly defaults: {
    readonly k: number;
    readonly numLeavesToSearch: number;
    readonly numReorderingCandidates: number;
  };
}

export interface QueryCounters {
  /** Queries answered. */
  completed: number;
  /** Time in kernels, over all threads, in microseconds. */
  kernelMicroseconds: number;
  /** Codes scanned. */
  codesScanned: number;
  /** Queries that were started afresh because a worker died. */
  retried: number;
}

/** How far an index has come from what a build would make of its vectors. */
export interface IndexHealth {
  /** Vectors that searches find. */
  readonly size: number;
  /** Vectors added since the index was built or rebalanced, deleted ones included. */
  readonly added: number;
  /** Deleted vectors, which still take room and are passed over by searches. */
  readonly deleted: number;
  /** The larger of `added` and `deleted`, as a part of `size`: at `rebalanceAt` the index is rebalanced. */
  readonly changed: number;
  /** Places that vectors have in leaves, deleted ones included; all 0 without tree and hashing. */
  readonly leaves: {
    readonly count: number;
    readonly empty: number;
    readonly smallest: number;
    readonly median: number;
    readonly largest: number;
    /** Mean of squared sizes over the square of the mean: 1 if all are alike, 2 if scans take twice as long as then (faiss). */
    readonly imbalance: number;
    /** How many leaves have from `from` to `to` vectors: at most 12 steps of equal width, from the smallest leaf to the largest. */
    readonly histogram: readonly { readonly from: number; readonly to: number; readonly leaves: number }[];
  };
  /**
   * Squared distance to the nearest centroid: the mean of vectors added since the build, over that of the others, by a sample. 1 says
   * that the tree suits both; the more above it, the less it suits what is added. 1 also where nothing can be told.
   */
  readonly drift: number;
}

export interface IndexStats {
  /** Vectors that searches find. */
  readonly size: number;
  /** Deleted vectors, which still take room. */
  readonly deleted: number;
  readonly dimensions: number;
  readonly metric: Metric;
  /** The kernels that run: 'scalar', 'simd' or 'relaxed'. */
  readonly kernels: KernelTier;
  readonly threads: number;
  /** Tree, hashing, reordering and search defaults, with every choice made. */
  readonly config: IndexConfig;
  /** Leaves in use; fewer than asked for when there are fewer distinct vectors. 0 without tree and hashing. */
  readonly numLeaves: number;
  /** Per shard: vectors that it holds, deleted ones included, and its part of the bytes of shared memory in use. */
  readonly shards: readonly { readonly size: number; readonly bytes: number }[];
  /** Bytes of shared memory in use by shards, model and requests. */
  readonly bytes: number;
  readonly queries: QueryCounters & {
    /** Queries being answered now. */
    readonly inFlight: number;
    /** Calls that wait for room. */
    readonly waitingCalls: number;
  };
  /** Worker threads that were started in place of dead ones. */
  readonly workerRestarts: number;
  /** Of an index that was opened with `durability`. */
  readonly log?: LogStats;
}
