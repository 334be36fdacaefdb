import { setImmediate as nextTurn } from 'node:timers/promises';
import { Random } from '../protocol/random.ts';
import {
  METRIC_L2,
  MODEL_CENTROIDS,
  MODEL_MEAN,
  MODEL_METRIC,
  SEGMENT_COUNT,
  SEGMENT_NEXT,
} from '../protocol/shard-layout.ts';
import { lanesInHead, leafHeadWord } from '../shard/stored-leaves.ts';
import { Views } from '../shard/views.ts';
import type { IndexData } from './build.ts';
import type { Place } from './rows.ts';
import { vectorReader } from './stored-vectors.ts';
import type { IndexHealth } from './types.ts';

/** Leaves that are counted between two turns of the event loop. */
const LEAVES_PER_TURN = 512;
/** Vectors of the build, and vectors added since, whose distances to their centroids are compared. */
const SAMPLED = 200;
const SEED = 1;
/** Steps of a histogram at the most. */
const HISTOGRAM_STEPS = 12;
/** What was added is unlike the rest if its vectors lie so much further from their centroids, by their squared distance, ... */
const DRIFTED = 1.25;
/** ... and crowds into few leaves if the imbalance becomes so much larger. */
const UNEVEN = 1.5;

/** The part of the vectors that came or went since the build: those added or those deleted, whichever are more. */
export function changedPart({ rows, built }: IndexData): number {
  return Math.max(rows.count - built, rows.deletedCount) / Math.max(1, rows.live);
}

/** How far an index has come from what a build would make of its vectors. */
export async function healthOf(data: IndexData): Promise<IndexHealth> {
  const { rows, built } = data;
  const { sizes } = await leafSizes(data);
  return {
    size: rows.live,
    added: rows.count - built,
    deleted: rows.deletedCount,
    changed: changedPart(data),
    leaves: {
      count: sizes.length,
      empty: sizes.filter((size) => size === 0).length,
      smallest: sizes[0] ?? 0,
      median: sizes[sizes.length >>> 1] ?? 0,
      largest: sizes.at(-1) ?? 0,
      imbalance: imbalanceOf(sizes),
      histogram: histogramOf(sizes),
    },
    drift: await driftOf(data),
  };
}

/** Whether what was added since the build makes the tree unfit: its vectors are far from all centroids, or crowd into some leaves. */
export async function isUnfit(data: IndexData): Promise<boolean> {
  const { sizes, built } = await leafSizes(data);
  return imbalanceOf(sizes) >= UNEVEN * imbalanceOf(built) || (await driftOf(data)) >= DRIFTED;
}

function imbalanceOf(sizes: readonly number[]): number {
  const lanes = sizes.reduce((sum, size) => sum + size, 0);
  const squares = sizes.reduce((sum, size) => sum + size * size, 0);
  return lanes === 0 ? 1 : (squares * sizes.length) / (lanes * lanes);
}

/** Sizes, ascending, in steps of equal width. */
function histogramOf(sizes: readonly number[]): IndexHealth['leaves']['histogram'] {
  if (sizes.length === 0) return [];
  const smallest = sizes[0]!;
  const width = Math.ceil((sizes.at(-1)! - smallest + 1) / HISTOGRAM_STEPS);
  const steps = Math.ceil((sizes.at(-1)! - smallest + 1) / width);
  const histogram = Array.from({ length: steps }, (_, i) => {
    const from = smallest + i * width;
    return { from, to: from + width - 1, leaves: 0 };
  });
  for (const size of sizes) histogram[Math.floor((size - smallest) / width)]!.leaves++;
  return histogram;
}

/** Lanes of each leaf in all memories, deleted vectors' ones included, and those about as the build left them; ascending. */
async function leafSizes({ shards, numLeaves }: IndexData): Promise<{ sizes: number[]; built: number[] }> {
  const memories = shards.map((memory) => new Views(memory));
  const sizes = new Array<number>(numLeaves).fill(0);
  const built = new Array<number>(numLeaves).fill(0);
  for (let leaf = 0; leaf < numLeaves; leaf++) {
    if (leaf % LEAVES_PER_TURN === LEAVES_PER_TURN - 1) await nextTurn();
    for (const views of memories) {
      const { u32, i32 } = views.refresh();
      built[leaf]! += lanesInHead(views, leaf);
      for (let segment = u32[leafHeadWord(views, leaf)]!; segment !== 0; ) {
        sizes[leaf]! += Atomics.load(i32, (segment + SEGMENT_COUNT) >>> 2);
        segment = Atomics.load(i32, (segment + SEGMENT_NEXT) >>> 2) >>> 0;
      }
    }
  }
  const ascending = (a: number, b: number): number => a - b;
  return { sizes: sizes.sort(ascending), built: built.sort(ascending) };
}

/** Mean squared distance to the nearest centroid of vectors added since the build, in those of the build; 1 where none can tell. */
async function driftOf(data: IndexData): Promise<number> {
  const { rows, built, config, numLeaves } = data;
  if (config.tree === false || config.reordering === false || numLeaves < 2) return 1;
  const random = new Random(SEED);
  const error = errorOf(data);
  const meanError = async (from: number, count: number): Promise<number | null> => {
    const errors: number[] = [];
    for (const i of random.sample(count, Math.min(SAMPLED, count))) {
      const place = rows.locate(from + i);
      if (place === undefined) continue;
      errors.push(error(place));
      await nextTurn();
    }
    return errors.length === 0 ? null : errors.reduce((sum, one) => sum + one, 0) / errors.length;
  };
  const before = await meanError(0, built);
  const since = await meanError(built, rows.count - built);
  return before === null || since === null || before === 0 ? 1 : since / before;
}

/** The squared distance of a stored vector to the nearest centroid. */
function errorOf({ control, model, shards, dimensions, stride, numLeaves }: IndexData): (place: Place) => number {
  const { u32, f32 } = new Views(control);
  const centroids = u32[(model + MODEL_CENTROIDS) >>> 2]! >>> 2;
  const mean = u32[(model + MODEL_MEAN) >>> 2]! >>> 2;
  const isCentred = u32[(model + MODEL_METRIC) >>> 2] === METRIC_L2;
  const readers = shards.map((memory) => vectorReader(memory, dimensions));
  const vector = new Float32Array(dimensions);
  return ({ memory, local }) => {
    readers[memory]!(local, vector);
    if (isCentred) for (let j = 0; j < dimensions; j++) vector[j]! -= f32[mean + j]!;
    let least = Number.POSITIVE_INFINITY;
    for (let leaf = 0; leaf < numLeaves; leaf++) {
      const centroid = centroids + leaf * stride;
      let sum = 0;
      for (let j = 0; j < dimensions && sum < least; j++) sum += (vector[j]! - f32[centroid + j]!) ** 2;
      least = Math.min(least, sum);
    }
    return least;
  };
}
