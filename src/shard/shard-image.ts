import type { ShardPlan } from '../protocol/messages.ts';
import {
  BLOCK_LANES,
  CODEC_BFLOAT16,
  CODEC_FLOAT32,
  CODEC_INT8,
  CODEC_NONE,
  MAX_CHUNK_SHIFT,
  RESERVED_BYTES,
  SEGMENT_BLOCKS,
  SHARD_CAPACITY,
  SHARD_CHUNK_SHIFT,
  SHARD_CHUNKS,
  SHARD_CODEC,
  SHARD_COUNT,
  SHARD_DATA_END,
  SHARD_HAS_BIAS,
  SHARD_HEADER_BYTES,
  SHARD_LANES_PER_VECTOR,
  SHARD_LEAVES,
  SHARD_METRIC,
  SHARD_NUM_CHUNKS,
  SHARD_NUM_LEAVES,
  SHARD_ROW_BYTES,
  SHARD_STRIDE,
  SHARD_SUBSPACES,
} from '../protocol/shard-layout.ts';
import { align } from './arena.ts';
import { segmentBytes } from './lane-writer.ts';
import type { Views } from './views.ts';

const MIN_CHUNK_SHIFT = 5;

/** Where everything in a new shard's memory goes. Worked out from counts alone, so that its size is known before it exists. */
export interface ShardImage {
  readonly count: number;
  readonly chunkShift: number;
  readonly rowBytes: number;
  /** Bytes from a chunk's start to its vectors. */
  readonly vectorsAt: number;
  readonly chunks: readonly number[];
  /** The first thing behind the chunks. */
  readonly chunkTable: number;
  readonly leafTable: number;
  /** Lanes, and pointer to the segment, of each leaf in this shard; 0 for a leaf that is elsewhere or empty. */
  readonly leafLanes: Int32Array;
  readonly segments: Float64Array;
  readonly end: number;
}

/** Bytes from a chunk's start to its vectors: row numbers, and scales if there are any. */
export function vectorsInChunk(codec: number, perChunk: number): number {
  return perChunk * (codec === CODEC_INT8 ? 8 : 4);
}

export function bytesPerRow(codec: number, stride: number): number {
  switch (codec) {
    case CODEC_NONE:
      return 0;
    case CODEC_FLOAT32:
      return stride * 4;
    case CODEC_BFLOAT16:
      return stride * 2;
    default:
      return stride;
  }
}

export function layOutShard(plan: ShardPlan, shard: number): ShardImage {
  const leafLanes = new Int32Array(plan.numLeaves);
  let count = 0;
  if (plan.leafOwners === null) {
    count = plan.rowStarts[shard + 1]! - plan.rowStarts[shard]!;
    leafLanes.fill(count);
  } else {
    for (let leaf = 0; leaf < plan.numLeaves; leaf++) {
      if (plan.leafOwners[leaf] === shard) {
        leafLanes[leaf] = plan.leafCounts[leaf]!;
        count += leafLanes[leaf]!;
      }
      leafLanes[leaf]! += plan.spilledCounts?.[shard * plan.numLeaves + leaf] ?? 0;
    }
  }
  const chunkShift = Math.min(MAX_CHUNK_SHIFT, Math.max(MIN_CHUNK_SHIFT, Math.ceil(Math.log2(Math.max(1, count)))));
  const perChunk = 2 ** chunkShift;
  const rowBytes = bytesPerRow(plan.codec, plan.stride);
  const vectorsAt = vectorsInChunk(plan.codec, perChunk);
  let end = RESERVED_BYTES + SHARD_HEADER_BYTES;
  const take = (bytes: number): number => {
    const start = align(end);
    end = start + bytes;
    return start;
  };
  const numChunks = Math.ceil(count / perChunk);
  // Chunks come first: that is where rows are staged (see staged-rows.ts).
  const chunks = Array.from({ length: numChunks }, (_, c) =>
    take(vectorsAt + Math.min(perChunk, count - c * perChunk) * rowBytes),
  );
  const chunkTable = take(numChunks * 4);
  const leafTable = take(plan.numLeaves * 4);
  const segments = Float64Array.from(leafLanes, (lanes) =>
    lanes === 0 ? 0 : take(segmentBytes(plan, Math.ceil(lanes / BLOCK_LANES))),
  );
  return {
    ...{ count, chunkShift, rowBytes, vectorsAt, chunks, chunkTable, leafTable, leafLanes, segments },
    end: align(end),
  };
}

/** Writes header, tables and empty segments; lanes and vectors follow as they are added. */
export function writeSkeleton({ u32 }: Views, plan: ShardPlan, image: ShardImage): void {
  const header = (field: number, value: number): void => {
    u32[(RESERVED_BYTES + field) >>> 2] = value;
  };
  header(SHARD_COUNT, image.count);
  header(SHARD_CAPACITY, image.count);
  header(SHARD_STRIDE, plan.stride);
  header(SHARD_CODEC, plan.codec);
  header(SHARD_METRIC, plan.metric);
  header(SHARD_ROW_BYTES, image.rowBytes);
  header(SHARD_CHUNK_SHIFT, image.chunkShift);
  header(SHARD_CHUNKS, image.chunkTable);
  header(SHARD_NUM_CHUNKS, image.chunks.length);
  header(SHARD_NUM_LEAVES, plan.numLeaves);
  header(SHARD_LEAVES, image.leafTable);
  header(SHARD_SUBSPACES, plan.subspaces);
  header(SHARD_HAS_BIAS, plan.hasBias ? 1 : 0);
  header(SHARD_DATA_END, image.end);
  header(SHARD_LANES_PER_VECTOR, plan.spilledCounts === null ? 1 : 2);
  u32.set(image.chunks, image.chunkTable >>> 2);
  for (let leaf = 0; leaf < plan.numLeaves; leaf++) {
    const segment = image.segments[leaf]!;
    u32[(image.leafTable >>> 2) + leaf] = segment;
    if (segment === 0) continue;
    u32[(segment + SEGMENT_BLOCKS) >>> 2] = Math.ceil(image.leafLanes[leaf]! / BLOCK_LANES);
  }
}
