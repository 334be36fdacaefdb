import { describe, expect, it } from 'vitest';
import type { ShardPlan } from '../../src/protocol/messages.ts';
import * as L from '../../src/protocol/shard-layout.ts';
import { createMemory } from '../../src/shard/arena.ts';
import { bytesPerRow, layOutShard, type ShardImage, writeSkeleton } from '../../src/shard/shard-image.ts';
import { Views } from '../../src/shard/views.ts';
import { Random } from '../support/random.ts';
import { planFor } from '../support/shard-plans.ts';

const random = new Random(1);
const sizes = (leaves: number, most: number): number[] => Array.from({ length: leaves }, () => random.int(0, most));

const PLANS: Record<string, [plan: ShardPlan, shards: number]> = {
  'one leaf': [planFor([100], 1), 1],
  'many leaves': [planFor(sizes(50, 200), 3), 3],
  'an empty shard': [planFor([5, 0, 3], 4), 4],
  'no vectors': [planFor([0, 0], 1), 1],
  'no tree': [planFor([1000], 3, { tree: false }), 3],
  'neither tree nor hashing': [planFor([], 2, { tree: false, blocks: 0, rowStarts: [0, 40, 100] }), 2],
  'several chunks': [planFor([20_000, 30_000], 2), 2],
  'biases and bfloat16': [planFor(sizes(20, 90), 2, { hasBias: true, codec: L.CODEC_BFLOAT16 }), 2],
  'int8, stride 4': [planFor(sizes(20, 90), 2, { codec: L.CODEC_INT8, stride: 4 }), 2],
  'codes only': [planFor(sizes(20, 90), 2, { codec: L.CODEC_NONE }), 2],
  'leaves without codes': [planFor(sizes(20, 90), 2, { blocks: 0 }), 2],
};

interface Piece {
  readonly start: number;
  readonly bytes: number;
}

/** Everything in a shard, with its size worked out from the comments of shard-layout.ts. */
function piecesOf(plan: ShardPlan, image: ShardImage): Piece[] {
  const perChunk = 2 ** image.chunkShift;
  const scales = plan.codec === L.CODEC_INT8 ? 4 : 0;
  const laneBytes = plan.subspaces / 2 + (plan.hasBias ? 2 : 0) + 4;
  return [
    { start: L.RESERVED_BYTES, bytes: L.SHARD_HEADER_BYTES },
    { start: image.chunkTable, bytes: image.chunks.length * 4 },
    { start: image.leafTable, bytes: plan.numLeaves * 4 },
    ...image.chunks.map((start, c) => ({
      start,
      bytes: perChunk * (4 + scales) + Math.min(perChunk, image.count - c * perChunk) * image.rowBytes,
    })),
    ...Array.from(image.segments, (start, leaf) => ({
      start,
      bytes: L.SEGMENT_HEADER_BYTES + Math.ceil(image.leafLanes[leaf]! / 32) * 32 * laneBytes,
    })).filter(({ start }) => start !== 0),
  ];
}

describe.each(Object.entries(PLANS))('the layout of a shard with %s', (_, [plan, shards]) => {
  const images = Array.from({ length: shards }, (__, s) => layOutShard(plan, s));

  it('places everything behind the reserved bytes and before its end, aligned, without overlaps', () => {
    for (const image of images) {
      const pieces = piecesOf(plan, image).sort((a, b) => a.start - b.start || a.bytes - b.bytes);
      expect(pieces[0]!.start).toBe(L.RESERVED_BYTES);
      for (const [i, { start }] of pieces.entries()) {
        expect(start % L.ALIGNMENT).toBe(0);
        if (i > 0) expect(start).toBeGreaterThanOrEqual(pieces[i - 1]!.start + pieces[i - 1]!.bytes);
      }
      const last = pieces.at(-1)!;
      expect(image.end % L.ALIGNMENT).toBe(0);
      expect(image.end).toBeGreaterThanOrEqual(last.start + last.bytes);
      expect(image.end - last.start - last.bytes).toBeLessThan(L.ALIGNMENT);
    }
  });

  it('counts every vector once', () => {
    const total = plan.rowStarts.at(-1)!;
    expect(images.reduce((sum, { count }) => sum + count, 0)).toBe(total);
    if (plan.numLeaves === 0) return;
    for (const { count, leafLanes } of images) expect(leafLanes.reduce((sum, lanes) => sum + lanes, 0)).toBe(count);
    const perLeaf = Array.from(plan.leafCounts, (__, leaf) =>
      images.reduce((sum, { leafLanes }) => sum + leafLanes[leaf]!, 0),
    );
    expect(perLeaf).toEqual(Array.from(plan.leafCounts));
  });

  it('has a segment for each leaf with vectors, and chunks for all vectors', () => {
    for (const { count, chunks, chunkShift, leafLanes, segments } of images) {
      expect(Array.from(segments, (segment) => segment !== 0)).toEqual(Array.from(leafLanes, (lanes) => lanes > 0));
      expect(chunks).toHaveLength(Math.ceil(count / 2 ** chunkShift));
      expect(chunkShift).toBeGreaterThanOrEqual(5);
      expect(chunkShift).toBeLessThanOrEqual(14);
    }
  });

  it('is written down in the header and the tables', () => {
    for (const image of images) {
      const views = new Views(createMemory(image.end));
      writeSkeleton(views, plan, image);
      const field = (at: number): number => views.u32[(L.RESERVED_BYTES + at) >>> 2]!;
      expect([field(L.SHARD_COUNT), field(L.SHARD_DATA_END)]).toEqual([image.count, image.end]);
      expect([field(L.SHARD_STRIDE), field(L.SHARD_CODEC)]).toEqual([plan.stride, plan.codec]);
      expect([field(L.SHARD_METRIC), field(L.SHARD_HAS_BIAS)]).toEqual([plan.metric, plan.hasBias ? 1 : 0]);
      expect([field(L.SHARD_SUBSPACES), field(L.SHARD_NUM_LEAVES)]).toEqual([plan.subspaces, plan.numLeaves]);
      expect([field(L.SHARD_CHUNK_SHIFT), field(L.SHARD_ROW_BYTES)]).toEqual([image.chunkShift, image.rowBytes]);
      const table = (at: number, length: number): number[] => [...views.u32.subarray(at >>> 2, (at >>> 2) + length)];
      expect(table(field(L.SHARD_CHUNKS), field(L.SHARD_NUM_CHUNKS))).toEqual(image.chunks);
      expect(table(field(L.SHARD_LEAVES), plan.numLeaves)).toEqual([...image.segments]);
      for (const [leaf, segment] of image.segments.entries()) {
        if (segment === 0) continue;
        const head = table(segment, 3);
        expect(head).toEqual([0, 0, Math.ceil(image.leafLanes[leaf]! / L.BLOCK_LANES)]);
      }
    }
  });
});

it('cuts the vectors of a large shard into chunks of 16,384', () => {
  const { chunks, chunkShift } = layOutShard(planFor([40_000], 1), 0);
  expect([chunkShift, chunks.length]).toEqual([14, 3]);
});

it.each([
  [L.CODEC_NONE, 0],
  [L.CODEC_FLOAT32, 32],
  [L.CODEC_BFLOAT16, 16],
  [L.CODEC_INT8, 8],
])('stores 8 numbers of codec %d in %d bytes', (codec, bytes) => {
  expect(bytesPerRow(codec, 8)).toBe(bytes);
});
