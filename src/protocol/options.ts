import {
  abortSignal,
  boolean,
  callback,
  fromZero,
  groupOrFalse,
  integer,
  invalid,
  numberAbove,
  type OptionTable,
  oneOf,
  optional,
  resolveOptions,
} from './check.ts';
import { MAX_THREADS } from './control-layout.ts';
import { type Crowding, type Filter, filter } from './filter.ts';
import { MAX_DIMENSIONS, METRICS, type Metric } from './metrics.ts';

/** How the index is partitioned (ScaNN's tree). */
export interface TreeOptions {
  /** Leaves of the tree, 1 to 1,000,000. Default: 1.7 times the square root of the number of vectors. */
  numLeaves?: number | undefined;
  /** Vectors that k-means is trained on, sampled. Default 100,000. */
  trainingSampleSize?: number | undefined;
  /** Iterations of k-means. Default 12. */
  trainingIterations?: number | undefined;
  /** Centroids are kept at norm 1. Default false; true when `tree` is left out under cosine. */
  spherical?: boolean | undefined;
  /** Leaves that would hold fewer vectors of the training sample are dissolved into their neighbours. Default 1. */
  minPartitionSize?: number | undefined;
  /** How the first centroids are chosen. Default 'random'. */
  seeding?: 'random' | 'kmeans++' | undefined;
  /**
   * SOAR spilling (Sun et al. 2023): each vector goes into a second leaf as well, chosen so that its errors there and in the
   * first are unlike. Weight of the part of the second residual that is parallel to the first, 0 to 100; 1 to 1.5 is usual.
   * Codes take twice the memory; about half as many leaves need to be searched. null, the default: one leaf per vector.
   */
  soarLambda?: number | null | undefined;
}

/** How vectors are hashed (asymmetric hashing: a product quantizer with 16 centres per block). */
export interface HashingOptions {
  /** Dimensions that share one 4-bit code, 1 to 16. Default 2. */
  dimensionsPerBlock?: number | undefined;
  /**
   * Threshold T of the score-aware loss (Guo et al. 2020), relative to a vector's norm, 0 to below 1; 0 turns it off.
   * Default 0.2. Of no effect under squared_l2.
   */
  anisotropicQuantizationThreshold?: number | undefined;
  /** Vectors that the codebooks are trained on, sampled. Default 100,000. */
  trainingSampleSize?: number | undefined;
  /** Iterations of k-means per block. Default 10. */
  trainingIterations?: number | undefined;
}

/** How vectors are stored for exact scores. */
export interface ReorderingOptions {
  /** Default 'float32'. */
  vectors?: 'float32' | 'bfloat16' | 'int8' | undefined;
}

/** What a search uses when it does not say otherwise. */
export interface SearchDefaults {
  /** Results per query. Default 10. */
  k?: number | undefined;
  /** Leaves scanned per query. Default: chosen from the number of leaves. */
  numLeavesToSearch?: number | undefined;
  /** Candidates rescored from the stored vectors. Default: chosen from k. */
  numReorderingCandidates?: number | undefined;
}

export interface BuildProgress {
  phase: 'ingest' | 'train tree' | 'train codebooks' | 'encode' | 'fill shards' | 'tune';
  done: number;
  /** Undefined while it is not known (ingesting a stream). */
  total: number | undefined;
}

export interface BuildOptions {
  /** Numbers per vector, 1 to 4,096. Default: the length of the first row; needed for flat arrays. */
  dimensions?: number | undefined;
  /** Default 'dot_product'. */
  metric?: Metric | undefined;
  /** Shards, 1 to 1,024. Default: one per GiB of vectors, and at least as many as threads. */
  shards?: number | undefined;
  /** Worker threads, 1 to 64. Default: os.availableParallelism(). */
  threads?: number | undefined;
  /**
   * How far worker threads give way to other threads where cores are short: 0 not at all, as `nice` has it, to 19 wherever others want to
   * run. 10 keeps the event loop of a busy server going. Linux only; elsewhere of no effect. Default 0.
   */
  threadPriority?: number | undefined;
  /** Recall@k, above 0 and at most 1, for which the search defaults are chosen at the end (see `tune`). Default: not tuned. */
  targetRecall?: number | undefined;
  /** Seed of everything random in the build. Default 42. */
  seed?: number | undefined;
  /**
   * The part of the vectors, added or deleted since the build, at which an index of 10,000 vectors or more rebalances itself in the
   * background (see `rebalance`), above 0; before that if what was added is unlike the rest or crowds into few leaves (`drift`
   * and `imbalance` of `health`). false: never.
   * Default 0.5.
   */
  rebalanceAt?: number | false | undefined;
  /** Queries in flight at once, 32 to 65,536; further ones wait in order. Default 1,024. */
  maxInFlight?: number | undefined;
  /** Called now and then on the caller's thread. An error that it throws fails the build. */
  onProgress?: ((progress: BuildProgress) => void) | undefined;
  /** Aborts the build. */
  signal?: AbortSignal | undefined;
  /** `false`: no tree. Default: chosen from the number of vectors. */
  tree?: TreeOptions | false | undefined;
  /** `false`: no hashing. Default: chosen from the number of vectors. */
  hashing?: HashingOptions | false | undefined;
  /** `false`: vectors are not kept, and scores are approximate. Default: float32. */
  reordering?: ReorderingOptions | false | undefined;
  defaults?: SearchDefaults | undefined;
}

export interface SearchOptions extends SearchDefaults {
  /** Score every stored vector. Default false. */
  exact?: boolean | undefined;
  /** Which vectors may be found, by their attributes. As long as k of them match, k come back. */
  filter?: Filter | undefined;
  /** Only vectors with these ids may be found. Ids that the index does not have are passed over. */
  allowIds?: ArrayLike<string | number | bigint> | undefined;
  /** Vectors with these ids may not be found. */
  excludeIds?: ArrayLike<string | number | bigint> | undefined;
  /** At most so many results may share a value of an attribute. */
  crowding?: Crowding | undefined;
  signal?: AbortSignal | undefined;
}

/** What recall is measured with. */
export interface RecallOptions extends SearchDefaults {
  /** Queries, row-major numbers [m x dimensions] or one array per query. Default: stored vectors, sampled and perturbed. */
  queries?: QueryInput | undefined;
  /** Queries used at the most, 1 to 1,000,000; of more, every so-manieth is taken. Default 1,000. */
  maxQueries?: number | undefined;
  /** Seed of the sample. Default 42. */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface TuneOptions extends Omit<RecallOptions, 'numLeavesToSearch' | 'numReorderingCandidates'> {
  /** Recall@k to reach, above 0 and at most 1. Default 0.95. */
  targetRecall?: number | undefined;
  /** Called after every setting tried. An error that it throws ends the tuning. */
  onProgress?: ((tried: number) => void) | undefined;
}

type QueryInput = Float32Array | Float64Array | readonly ArrayLike<number>[];

export const MAX_SHARDS = 1024;

const none = undefined;
const count = optional(integer(1, 2 ** 31 - 1));

const TREE: OptionTable<TreeOptions> = {
  numLeaves: { default: none, check: optional(integer(1, 1_000_000)) },
  trainingSampleSize: { default: 100_000, check: integer(1, 2 ** 24) },
  trainingIterations: { default: 12, check: integer(0, 1000) },
  spherical: { default: false, check: boolean },
  minPartitionSize: { default: 1, check: integer(1) },
  seeding: { default: 'random', check: oneOf('random', 'kmeans++') },
  soarLambda: { default: null, check: (value, option) => (value === null ? null : fromZero(100)(value, option)) },
};

const HASHING: OptionTable<HashingOptions> = {
  dimensionsPerBlock: { default: 2, check: integer(1, 16) },
  anisotropicQuantizationThreshold: {
    default: 0.2,
    check: fromZero(0.999),
  },
  trainingSampleSize: { default: 100_000, check: integer(1, 2 ** 24) },
  trainingIterations: { default: 10, check: integer(0, 1000) },
};

const REORDERING: OptionTable<ReorderingOptions> = {
  vectors: { default: 'float32', check: oneOf('float32', 'bfloat16', 'int8') },
};

const DEFAULTS: OptionTable<SearchDefaults> = {
  k: { default: 10, check: integer(1, 2 ** 31 - 1) },
  numLeavesToSearch: { default: none, check: count },
  numReorderingCandidates: { default: none, check: count },
};

export const threads = { default: none, check: optional(integer(1, MAX_THREADS)) };
/** Of threads, as the operating system has it. */
export const LOWEST_PRIORITY = 19;

export const threadPriority = { default: 0, check: integer(0, LOWEST_PRIORITY) };
export const maxInFlight = { default: 1024, check: integer(32, 65_536) };
export const signal = { default: none, check: abortSignal };

const targetRecall = numberAbove(0, 1);
const seed = { default: 42, check: integer(0, 2 ** 32 - 1) };

export const rebalanceAt = {
  default: 0.5,
  check: (value: unknown, option: string): number | false =>
    value === false ? false : numberAbove(0, Number.MAX_VALUE)(value, option),
};

const BUILD: OptionTable<BuildOptions> = {
  dimensions: { default: none, check: optional(integer(1, MAX_DIMENSIONS)) },
  metric: { default: 'dot_product', check: oneOf(...METRICS) },
  shards: { default: none, check: optional(integer(1, MAX_SHARDS)) },
  threads,
  threadPriority,
  targetRecall: { default: none, check: optional(targetRecall) },
  seed,
  rebalanceAt,
  maxInFlight,
  onProgress: { default: none, check: callback },
  signal,
  tree: { default: none, check: groupOrFalse(TREE) },
  hashing: { default: none, check: groupOrFalse(HASHING) },
  reordering: { default: resolveOptions(REORDERING, {}), check: groupOrFalse(REORDERING) },
  defaults: { default: resolveOptions(DEFAULTS, {}), check: (v, option) => resolveOptions(DEFAULTS, v, option) },
};

function idList(value: unknown, option: string): ArrayLike<string | number | bigint> {
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
    return value as unknown as ArrayLike<number>;
  }
  throw invalid(option, value, 'an array or typed array of ids');
}

const CROWDING: OptionTable<Crowding> = {
  attribute: {
    default: none as unknown as string,
    check: (value, option) => {
      if (typeof value === 'string') return value;
      throw invalid(option, value, 'the name of an attribute');
    },
  },
  max: { default: 1, check: integer(1) },
};

const SEARCH: OptionTable<SearchOptions> = {
  k: { default: none, check: integer(1, 2 ** 31 - 1) },
  numLeavesToSearch: { default: none, check: count },
  numReorderingCandidates: { default: none, check: count },
  exact: { default: false, check: boolean },
  filter: { default: none, check: filter },
  allowIds: { default: none, check: idList },
  excludeIds: { default: none, check: idList },
  crowding: { default: none, check: (value, option) => resolveOptions(CROWDING, value, option) },
  signal,
};

const queries = {
  default: none,
  check: (value: unknown, option: string): QueryInput => {
    if (Array.isArray(value) || value instanceof Float32Array || value instanceof Float64Array) return value;
    throw invalid(option, value, 'a Float32Array, a Float64Array or an array of arrays');
  },
};
const maxQueries = { default: 1000, check: integer(1, 1_000_000) };

const RECALL: OptionTable<RecallOptions> = {
  queries,
  maxQueries,
  seed,
  signal,
  k: SEARCH.k,
  numLeavesToSearch: SEARCH.numLeavesToSearch,
  numReorderingCandidates: SEARCH.numReorderingCandidates,
};

const TUNE: OptionTable<TuneOptions> = {
  queries,
  maxQueries,
  seed,
  signal,
  k: SEARCH.k,
  targetRecall: { default: 0.95, check: targetRecall },
  onProgress: { default: none, check: callback },
};

/** Options with their defaults in place; those that depend on the data are still undefined. */
export type Resolved<T, Open extends keyof T> = Readonly<Required<Omit<T, Open>> & Pick<T, Open>>;
export type ResolvedTree = Resolved<TreeOptions, 'numLeaves'>;
export type ResolvedHashing = Resolved<HashingOptions, never>;

export const resolveBuildOptions = (given: unknown): Readonly<BuildOptions> => resolveOptions(BUILD, given);
export const resolveSearchOptions = (given: unknown): Readonly<SearchOptions> => resolveOptions(SEARCH, given);
export const resolveRecallOptions = (given: unknown): Readonly<RecallOptions> => resolveOptions(RECALL, given);
export const resolveTuneOptions = (given: unknown): Readonly<TuneOptions> => resolveOptions(TUNE, given);
export const resolveTreeOptions = (given: TreeOptions): ResolvedTree =>
  resolveOptions(TREE, given, 'tree') as ResolvedTree;
export const resolveHashingOptions = (given: HashingOptions): ResolvedHashing =>
  resolveOptions(HASHING, given, 'hashing') as ResolvedHashing;
