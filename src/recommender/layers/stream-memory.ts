import {
  CODEC_FLOAT32,
  METRIC_DOT,
  RESERVED_BYTES,
  SHARD_CHUNK_SHIFT,
  SHARD_CHUNKS,
  SHARD_CODEC,
  SHARD_HEADER_BYTES,
  SHARD_METRIC,
  SHARD_NUM_CHUNKS,
  SHARD_ROW_BYTES,
  SHARD_STRIDE,
  TOP_WORD,
} from '../../protocol/shard-layout.ts';
import { allocate, createMemory } from '../../shard/arena.ts';
import type { Kernels } from '../../shard/kernels/kernels.ts';
import { bindKernels, type KernelSource } from '../../shard/kernels/load.ts';
import { Views } from '../../shard/views.ts';

/** Bytes of candidates held at a time, about. */
const CHUNK_BYTES = 1 << 22;
const MIN_CHUNK_SHIFT = 5;
const MAX_CHUNK_SHIFT = 16;

/** A shared memory that one pass after the other divides up anew: threads keep hold of memories, so few is better. */
export class StreamMemory {
  readonly memory: WebAssembly.Memory = createMemory(1 << 20);
  readonly views: Views = new Views(this.memory);
  readonly source: KernelSource;
  readonly kernels: Kernels;

  constructor(source: KernelSource) {
    this.source = source;
    this.kernels = bindKernels(source, this.memory);
  }

  get bytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Takes all back that was allocated. No thread may be at work in it. */
  reset(): void {
    Atomics.store(this.views.refresh().i32, TOP_WORD, RESERVED_BYTES);
  }

  /** Bytes that are not zero, aligned for every type. */
  allocate(bytes: number): number {
    const pointer = allocate(this.memory, bytes);
    this.views.refresh();
    return pointer;
  }
}

/** Room for some candidates, in the form of a shard of one chunk. */
export interface MiniShard {
  /** Pointer to the shard's header. */
  readonly header: number;
  /** Candidates that fit. */
  readonly capacity: number;
  /** Pointer: u32 [capacity], their rows. */
  readonly rows: number;
  /** Pointer: f32 [capacity x stride]. */
  readonly vectors: number;
}

export function placeMiniShard(memory: StreamMemory, stride: number): MiniShard {
  const fitting = Math.floor(Math.log2(CHUNK_BYTES / (stride * 4)));
  const shift = Math.min(MAX_CHUNK_SHIFT, Math.max(MIN_CHUNK_SHIFT, fitting));
  const capacity = 2 ** shift;
  const header = memory.allocate(SHARD_HEADER_BYTES);
  const table = memory.allocate(4);
  const rows = memory.allocate(capacity * (4 + stride * 4));
  const { u32 } = memory.views;
  u32.fill(0, header >>> 2, (header + SHARD_HEADER_BYTES) >>> 2);
  u32[(header + SHARD_STRIDE) >>> 2] = stride;
  u32[(header + SHARD_CODEC) >>> 2] = CODEC_FLOAT32;
  u32[(header + SHARD_METRIC) >>> 2] = METRIC_DOT;
  u32[(header + SHARD_ROW_BYTES) >>> 2] = stride * 4;
  u32[(header + SHARD_CHUNK_SHIFT) >>> 2] = shift;
  u32[(header + SHARD_CHUNKS) >>> 2] = table;
  u32[(header + SHARD_NUM_CHUNKS) >>> 2] = 1;
  u32[table >>> 2] = rows;
  return { header, capacity, rows, vectors: rows + capacity * 4 };
}
