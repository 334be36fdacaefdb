import { invalid } from '../protocol/check.ts';
import { type Metric, paddedDimensions } from '../protocol/metrics.ts';
import {
  type BuildOptions,
  type ResolvedTree,
  resolveHashingOptions,
  resolveTreeOptions,
} from '../protocol/options.ts';
import { CODEC_BFLOAT16, CODEC_FLOAT32, CODEC_INT8, CODEC_NONE } from '../protocol/shard-layout.ts';
import type { IndexConfig } from './types.ts';

/**
 * From here on codes and a tree pay for themselves (ScaNN's rule of thumb: brute force below 20 thousand). Its rule leaves the
 * tree out below 100 thousand; here one is seven times as fast as codes alone at 60,000 x 784 and recall@10 of 0.99.
 */
const APPROXIMATE_FROM = 20_000;

/** Bytes of vectors, as float32, that share one memory, and per shard at the most by default. */
export const SHARD_BYTES = 2 ** 30;

/** Chooses what the options leave open, from the number of vectors. */
export function configure(size: number, options: BuildOptions): IndexConfig {
  const reordering = options.reordering === false ? false : (options.reordering?.vectors ?? 'float32');
  if (reordering === false && options.hashing === false) {
    throw invalid('reordering', false, 'on when hashing is false, for nothing would be stored of the vectors');
  }
  // Without stored vectors there is nothing else to score than codes.
  const wantsHashing =
    options.hashing ?? (size >= APPROXIMATE_FROM || reordering === false || options.tree ? {} : false);
  // Spherical centroids give leaves of more even size under cosine: a quarter fewer codes scanned for the same recall.
  const chosenTree = { spherical: options.metric === 'cosine' };
  const wantsTree = options.tree ?? (size >= APPROXIMATE_FROM && wantsHashing !== false ? chosenTree : false);
  const tree = size === 0 || wantsTree === false ? false : withLeaves(resolveTreeOptions(wantsTree), size);
  const hashing = size === 0 || wantsHashing === false ? false : resolveHashingOptions(wantsHashing);
  const numLeaves = tree === false ? 1 : tree.numLeaves;
  const k = options.defaults?.k ?? 10;
  return {
    tree,
    hashing,
    reordering: size === 0 && reordering === false ? 'float32' : reordering,
    defaults: {
      k,
      numLeavesToSearch: Math.min(numLeaves, options.defaults?.numLeavesToSearch ?? defaultLeavesToSearch(numLeaves)),
      numReorderingCandidates: options.defaults?.numReorderingCandidates ?? Math.max(150, 10 * k),
    },
  };
}

function withLeaves(tree: ResolvedTree, size: number): ResolvedTree & { readonly numLeaves: number } {
  const numLeaves = Math.min(size, tree.numLeaves ?? Math.max(1, Math.round(1.7 * Math.sqrt(size))));
  return { ...tree, numLeaves };
}

// One leaf in twelve, but at least 20: recall@10 of 0.97 on word vectors (docs/design.md).
function defaultLeavesToSearch(numLeaves: number): number {
  return Math.min(numLeaves, Math.max(20, Math.ceil(numLeaves / 12)));
}

export function codecOf(reordering: IndexConfig['reordering']): number {
  switch (reordering) {
    case false:
      return CODEC_NONE;
    case 'float32':
      return CODEC_FLOAT32;
    case 'bfloat16':
      return CODEC_BFLOAT16;
    case 'int8':
      return CODEC_INT8;
  }
}

/** SOAR's lambda if vectors are spilled, else null: a single leaf leaves nothing to spill to. */
export function soarLambdaOf({ tree }: IndexConfig, numLeaves: number): number | null {
  return tree === false || numLeaves < 2 ? null : tree.soarLambda;
}

/** Shards of an index of this size: as asked, or one per GiB and at least one per thread; never more than vectors. */
export function chooseShards(size: number, dimensions: number, threads: number, asked: number | undefined): number {
  const wanted = asked ?? Math.max(threads, memoriesFor(size, dimensions, SHARD_BYTES));
  return Math.max(1, Math.min(wanted, size));
}

/** Memories that the vectors need when each takes `bytesPerMemory`. */
export function memoriesFor(size: number, dimensions: number, bytesPerMemory: number): number {
  return Math.ceil((size * paddedDimensions(dimensions) * 4) / bytesPerMemory);
}

/**
 * Bytes of vectors up to which an index may have one memory that keeps vectors just as they are staged; 0 if it has none such
 * whatever its size. They are counted as `memoriesFor` counts them.
 */
export function oneMemoryBytes({ shards, tree, reordering }: BuildOptions, threads: number): number {
  if (reordering === false || (reordering?.vectors ?? 'float32') !== 'float32') return 0;
  if (shards === 1) return Number.POSITIVE_INFINITY;
  // Without a tree each shard has a memory of its own.
  return tree === false && (shards ?? threads) > 1 ? 0 : SHARD_BYTES;
}

/** What the score-aware loss of encoding weighs the error along the vector with, less 1; 0 where the loss is the distance. */
export function lossWeight(hashing: IndexConfig['hashing'], metric: Metric, dimensions: number): number {
  if (hashing === false || metric === 'squared_l2') return 0;
  return anisotropicWeight(dimensions, hashing.anisotropicQuantizationThreshold!);
}

/** Weight of the error along the vector, less 1: eta of Guo et al. 2020 for a threshold relative to the norm. */
export function anisotropicWeight(dimensions: number, threshold: number): number {
  const square = threshold ** 2;
  return Math.max(0, ((dimensions - 1) * square) / (1 - square) - 1);
}
