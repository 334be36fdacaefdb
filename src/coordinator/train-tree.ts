import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LeafTables } from '../protocol/messages.ts';
import type { ResolvedTree } from '../protocol/options.ts';
import { Random } from '../protocol/random.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import { allocateLeafTables, assignScratchBytes, packLeafTables } from './leaf-tables.ts';
import { type Threads, throwIfAborted } from './threads.ts';
import type { TrainingSet } from './training-set.ts';

const ROWS_PER_CHUNK = 1024;
/** k-means++ looks at this many rows per leaf at the most; more do not give better seeds. */
const SEEDING_ROWS_PER_LEAF = 20;

export interface TrainingContext {
  readonly threads: Threads;
  readonly kernels: KernelSource;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

/** What k-means found: f32 [numLeaves x stride] in the training memory, which may be fewer leaves than asked for. */
export interface Centroids {
  readonly pointer: number;
  readonly numLeaves: number;
}

/**
 * Lloyd's k-means over the training set, on all threads. What each chunk yields and the order of sums are fixed, so the
 * centroids depend on the seed alone.
 */
export async function trainTree(
  set: TrainingSet,
  options: ResolvedTree & { readonly numLeaves: number },
  seed: number,
  context: TrainingContext,
): Promise<Centroids> {
  const trainer = new TreeTrainer(set, Math.min(options.numLeaves, set.count), options.spherical!, context);
  await trainer.seed(options.seeding!, new Random(seed));
  for (let iteration = 0; iteration < options.trainingIterations!; iteration++) {
    context.onProgress(iteration, options.trainingIterations!);
    await trainer.iterate();
  }
  context.onProgress(options.trainingIterations!, options.trainingIterations!);
  return trainer.finish(options.minPartitionSize!);
}

class TreeTrainer {
  readonly #set: TrainingSet;
  readonly #context: TrainingContext;
  readonly #spherical: boolean;
  #numLeaves: number;
  readonly #centroids: number;
  readonly #scratch: number;
  readonly #scratchBytes: number;
  #tables: LeafTables;
  readonly #starts: number;

  constructor(set: TrainingSet, numLeaves: number, spherical: boolean, context: TrainingContext) {
    this.#set = set;
    this.#context = context;
    this.#spherical = spherical;
    this.#numLeaves = numLeaves;
    this.#centroids = set.allocate(numLeaves * set.stride * 4);
    this.#tables = allocateLeafTables(set.memory, numLeaves, set.stride);
    this.#scratchBytes = assignScratchBytes(numLeaves, set.stride);
    this.#scratch = set.allocate(this.#scratchBytes * context.threads.count);
    this.#starts = set.allocate((numLeaves + 1) * 4);
  }

  async seed(method: 'random' | 'kmeans++', random: Random): Promise<void> {
    if (method === 'random') {
      const chosen = random.sample(this.#set.count, this.#numLeaves);
      for (let leaf = 0; leaf < this.#numLeaves; leaf++) this.#copyRow(chosen[leaf]!, leaf);
    } else await this.#seedByDistance(random);
    this.#normalise();
  }

  /** k-means++ (Arthur and Vassilvitskii 2007): each seed drawn with probability proportional to its squared distance. */
  async #seedByDistance(random: Random): Promise<void> {
    const { kernels, rows, stride, scores } = this.#set;
    const count = Math.min(this.#set.count, this.#numLeaves * SEEDING_ROWS_PER_LEAF);
    const { f32 } = this.#set.views;
    const distances = f32.subarray(scores >>> 2, (scores >>> 2) + count).fill(Number.POSITIVE_INFINITY);
    let next = random.below(count);
    for (let leaf = 0; leaf < this.#numLeaves; leaf++) {
      this.#copyRow(next, leaf);
      kernels.lowerDistances(rows, count, stride, this.#centroids + leaf * stride * 4, scores);
      let total = 0;
      for (let i = 0; i < count; i++) total += distances[i]!;
      let target = random.uniform() * total;
      next = total > 0 ? count - 1 : random.below(count);
      for (let i = 0; i < count && total > 0; i++) {
        target -= distances[i]!;
        if (target >= 0 || distances[i] === 0) continue;
        next = i;
        break;
      }
      throwIfAborted(this.#context.signal);
      await nextTurn();
    }
  }

  async iterate(): Promise<void> {
    const { memory, rows, stride, members } = this.#set;
    await this.#assign();
    this.#group();
    if (this.#repair()) this.#group();
    const { kernels, threads, signal } = this.#context;
    await threads.runPhase(
      {
        ...{ kind: 'mean', kernels, chunks: this.#numLeaves, memory, rows, stride, members },
        ...{ starts: this.#starts, centroids: this.#centroids },
      },
      { signal },
    );
    this.#normalise();
  }

  /** Assigns once more and drops the leaves that hold fewer than `least` vectors of the sample. */
  async finish(least: number): Promise<Centroids> {
    const { stride } = this.#set;
    await this.#assign();
    this.#group();
    const { u32, f32 } = this.#set.views;
    const starts = this.#starts >>> 2;
    const centroids = this.#centroids >>> 2;
    let kept = 0;
    for (let leaf = 0; leaf < this.#numLeaves; leaf++) {
      if (u32[starts + leaf + 1]! - u32[starts + leaf]! < least) continue;
      f32.copyWithin(centroids + kept * stride, centroids + leaf * stride, centroids + (leaf + 1) * stride);
      kept++;
    }
    if (kept < this.#numLeaves) {
      this.#numLeaves = Math.max(1, kept);
      this.#tables = { ...this.#tables, numLeaves: this.#numLeaves };
      if (kept === 0) this.#set.meanInto(this.#centroids);
      await this.#assign();
    }
    return { pointer: this.#centroids, numLeaves: this.#numLeaves };
  }

  async #assign(): Promise<void> {
    const { memory, rows, count, stride, leaves, kernels: own } = this.#set;
    const { kernels, threads, signal } = this.#context;
    packLeafTables(own, this.#tables, this.#centroids, stride);
    await threads.runPhase(
      {
        ...{ kind: 'assign', kernels, chunks: Math.ceil(count / ROWS_PER_CHUNK), rowsPerChunk: ROWS_PER_CHUNK, memory },
        ...{ rows, count, stride, leaves, leafTables: this.#tables },
        ...{ scratch: this.#scratch, scratchBytes: this.#scratchBytes },
      },
      { signal },
    );
  }

  /** Lists the rows of each leaf, in row order (a counting sort). */
  #group(): void {
    const { u32 } = this.#set.views;
    const leaves = this.#set.leaves >>> 2;
    const members = this.#set.members >>> 2;
    const starts = this.#starts >>> 2;
    const next = new Uint32Array(this.#numLeaves + 1);
    for (let i = 0; i < this.#set.count; i++) next[u32[leaves + i]! + 1]!++;
    for (let leaf = 0; leaf < this.#numLeaves; leaf++) next[leaf + 1]! += next[leaf]!;
    u32.set(next, starts);
    for (let i = 0; i < this.#set.count; i++) u32[members + next[u32[leaves + i]!]!++] = i;
  }

  /** Gives each empty leaf every second vector of one of the largest leaves; returns whether there was any. */
  #repair(): boolean {
    const { u32 } = this.#set.views;
    const starts = this.#starts >>> 2;
    const size = (leaf: number): number => u32[starts + leaf + 1]! - u32[starts + leaf]!;
    const order = Array.from({ length: this.#numLeaves }, (_, leaf) => leaf);
    const empty = order.filter((leaf) => size(leaf) === 0);
    if (empty.length === 0) return false;
    order.sort((a, b) => size(b) - size(a) || a - b);
    for (let i = 0; i < empty.length && i < order.length && size(order[i]!) > 1; i++) {
      const start = u32[starts + order[i]!]!;
      for (let j = 1; j < size(order[i]!); j += 2) {
        u32[(this.#set.leaves >>> 2) + u32[(this.#set.members >>> 2) + start + j]!] = empty[i]!;
      }
    }
    return true;
  }

  #copyRow(row: number, leaf: number): void {
    const { rows, stride } = this.#set;
    const { f32 } = this.#set.views;
    const at = (rows >>> 2) + row * stride;
    f32.copyWithin((this.#centroids >>> 2) + leaf * stride, at, at + stride);
  }

  #normalise(): void {
    if (!this.#spherical) return;
    const { kernels, stride } = this.#set;
    // A zero centroid has no direction and stays as it is.
    for (let leaf = 0; leaf < this.#numLeaves; leaf++)
      kernels.normalizeRows(this.#centroids + leaf * stride * 4, 1, stride);
  }
}
