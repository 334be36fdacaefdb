import { deepStrictEqual } from 'node:assert';
import { expect } from 'vitest';
import * as L from '../../src/protocol/shard-layout.ts';
import type { Kernels, KernelTier } from '../../src/shard/kernels/kernels.ts';
import { bindKernels, loadKernels, supportsRelaxedSimd } from '../../src/shard/kernels/load.ts';

export const COUNTS = [1, 2, 3, 15, 16, 17, 31, 32, 33, 97];
export const DIMENSIONS = [1, 3, 4, 5, 8, 12, 100, 127];
export const strideOf = (dimensions: number): number => Math.ceil(dimensions / 4) * 4;

/** A memory that hands out its bytes in order, so that the same calls lay the same things at the same places. */
export class Arena {
  readonly memory = new WebAssembly.Memory({ initial: 1, maximum: 4096, shared: true });
  #top = L.RESERVED_BYTES;
  #ignored: [from: number, bytes: number][] = [];

  alloc(bytes: number): number {
    const at = this.#top;
    this.#top = Math.ceil((at + bytes) / 16) * 16;
    const missing = this.#top - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return at;
  }

  /** Leaves room that kernels may fill as they like. */
  scratch(bytes: number): number {
    const at = this.alloc(bytes);
    this.ignore(at, bytes);
    return at;
  }

  ignore(from: number, bytes: number): void {
    this.#ignored.push([from, bytes]);
  }

  put(values: Float32Array | Float64Array | Uint32Array | BigUint64Array | Int16Array | Uint8Array): number {
    const at = this.alloc(values.byteLength);
    this.u8(at, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return at;
  }

  u8 = (at: number, length: number): Uint8Array => new Uint8Array(this.memory.buffer, at, length);
  i8 = (at: number, length: number): Int8Array => new Int8Array(this.memory.buffer, at, length);
  u16 = (at: number, length: number): Uint16Array => new Uint16Array(this.memory.buffer, at, length);
  i16 = (at: number, length: number): Int16Array => new Int16Array(this.memory.buffer, at, length);
  u32 = (at: number, length: number): Uint32Array => new Uint32Array(this.memory.buffer, at, length);
  f32 = (at: number, length: number): Float32Array => new Float32Array(this.memory.buffer, at, length);
  f64 = (at: number, length: number): Float64Array => new Float64Array(this.memory.buffer, at, length);
  u64 = (at: number, length: number): BigUint64Array => new BigUint64Array(this.memory.buffer, at, length);

  /** All bytes handed out, with those to be ignored as zeros. */
  snapshot(): Buffer {
    const bytes = Buffer.from(this.u8(0, this.#top));
    for (const [from, length] of this.#ignored) bytes.fill(0, from, from + length);
    return bytes;
  }

  reset(): void {
    this.u8(0, this.#top).fill(0);
    this.#top = L.RESERVED_BYTES;
    this.#ignored = [];
  }
}

const tiers: KernelTier[] = ['scalar', 'simd', ...(supportsRelaxedSimd() ? (['relaxed'] as const) : [])];
const bound = tiers.map((tier) => {
  const arena = new Arena();
  return { tier, arena, kernels: bindKernels(loadKernels(tier), arena.memory) };
});

/**
 * Runs `body` once per tier, each over its own memory, and asserts that its results and every byte of the memories are equal.
 * What `body` returns must be copied out of the memory.
 */
export function onEveryTier<T>(body: (kernels: Kernels, arena: Arena) => T): T {
  const runs = bound.map(({ tier, arena, kernels }) => {
    arena.reset();
    const result = body(kernels, arena);
    return { tier, result, bytes: arena.snapshot() };
  });
  const [scalar, ...others] = runs;
  for (const { tier, result, bytes } of others) {
    deepStrictEqual(result, scalar!.result); // many times faster than toEqual on long arrays
    let differs = bytes.equals(scalar!.bytes) ? -1 : 0;
    while (differs >= 0 && bytes[differs] === scalar!.bytes[differs]) differs++;
    expect(differs, `first byte where ${tier} differs`).toBe(-1);
  }
  return scalar!.result;
}

const word = new DataView(new ArrayBuffer(4));

/** The key of a score and an id, by another route than the kernels': negative floats sort by their bits reversed. */
export function keyOf(score: number, id: number): bigint {
  word.setFloat32(0, score === 0 ? 0 : score);
  const bits = word.getUint32(0);
  const ordered = bits >= 2 ** 31 ? 2 ** 32 - 1 - bits : bits + 2 ** 31;
  return (BigInt(ordered) << 32n) | BigInt(2 ** 32 - 1 - id);
}

export function scoreOf(key: bigint): number {
  const ordered = Number(key >> 32n);
  word.setUint32(0, ordered >= 2 ** 31 ? ordered - 2 ** 31 : 2 ** 32 - 1 - ordered);
  return word.getFloat32(0);
}

export const idOf = (key: bigint): number => 2 ** 32 - 1 - Number(key & 0xffffffffn);

export function descending(keys: Iterable<bigint>): bigint[] {
  return [...keys].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
}

/** Leaf segments to lay: which locals each leaf has, and what each local is encoded as. */
export interface LeafSpec {
  members: number[][];
  /** Blocks per segment; a leaf with more members gets several segments. */
  segmentBlocks: number;
  subspaces: number;
  /** One code per byte, [count x subspaces]. */
  codes: Uint8Array;
  /** [count], with SHARD_HAS_BIAS. */
  biases?: Int16Array;
}

export interface ShardSpec {
  rows: Float32Array;
  count: number;
  stride: number;
  codec: number;
  metric: number;
  chunkShift: number;
  leaves?: LeafSpec;
}

/** The row number that a shard stores for a local one. */
export const rowOf = (local: number): number => 4_000_000_000 - 3 * local;

/** Lays a shard: header, chunks of vectors, leaf segments. Returns the pointer to its header. */
export function layShard(kernels: Kernels, arena: Arena, spec: ShardSpec): number {
  const { count, stride, codec, chunkShift } = spec;
  const numChunks = Math.ceil(count / 2 ** chunkShift);
  const width = { [L.CODEC_FLOAT32]: 4, [L.CODEC_BFLOAT16]: 2, [L.CODEC_INT8]: 1 }[codec] ?? 0;
  const chunks = new Uint32Array(numChunks);
  for (let c = 0; c < numChunks; c++) chunks[c] = layChunk(kernels, arena, spec, c << chunkShift, width);
  const leaves = spec.leaves;
  const heads = (leaves?.members ?? []).map((members) => layLeaf(kernels, arena, leaves!, members));
  const header: [offset: number, value: number][] = [
    [L.SHARD_COUNT, count],
    [L.SHARD_STRIDE, stride],
    [L.SHARD_CODEC, codec],
    [L.SHARD_METRIC, spec.metric],
    [L.SHARD_ROW_BYTES, width * stride],
    [L.SHARD_CHUNK_SHIFT, chunkShift],
    [L.SHARD_CHUNKS, arena.put(chunks)],
    [L.SHARD_NUM_LEAVES, heads.length],
    [L.SHARD_LEAVES, arena.put(Uint32Array.from(heads))],
    [L.SHARD_SUBSPACES, leaves?.subspaces ?? 0],
    [L.SHARD_HAS_BIAS, leaves?.biases ? 1 : 0],
    [L.SHARD_NUM_CHUNKS, numChunks],
  ];
  const shard = arena.alloc(L.SHARD_HEADER_BYTES);
  for (const [offset, value] of header) arena.u32(shard + offset, 1)[0] = value;
  return shard;
}

function layChunk(kernels: Kernels, arena: Arena, spec: ShardSpec, first: number, width: number): number {
  const { stride, codec } = spec;
  const capacity = 2 ** spec.chunkShift;
  const used = Math.min(capacity, spec.count - first);
  const rows = spec.rows.subarray(first * stride, (first + used) * stride);
  const source = arena.put(rows);
  const scalesBytes = codec === L.CODEC_INT8 ? 4 * capacity : 0;
  const chunk = arena.alloc(4 * capacity + scalesBytes + used * stride * width);
  arena.u32(chunk, used).set(Uint32Array.from({ length: used }, (_, i) => rowOf(first + i)));
  const scales = chunk + 4 * capacity;
  const vectors = scales + scalesBytes;
  if (codec === L.CODEC_FLOAT32) arena.f32(vectors, rows.length).set(rows);
  else if (codec !== L.CODEC_NONE) kernels.compressRows(source, used, stride, codec, vectors, scales);
  return chunk;
}

function layLeaf(kernels: Kernels, arena: Arena, spec: LeafSpec, members: number[]): number {
  const { subspaces, segmentBlocks } = spec;
  const lanes = segmentBlocks * L.BLOCK_LANES;
  let next = 0;
  for (let first = Math.floor((members.length - 1) / lanes) * lanes; first >= 0; first -= lanes) {
    const locals = members.slice(first, first + lanes);
    const biasBytes = spec.biases ? 2 * lanes : 0;
    const codesBytes = segmentBlocks * subspaces * 16;
    const segment = arena.alloc(L.SEGMENT_HEADER_BYTES + codesBytes + biasBytes + 4 * lanes);
    arena.u32(segment, 3).set([next, locals.length, segmentBlocks]);
    const blocks = segment + L.SEGMENT_HEADER_BYTES;
    locals.forEach((local, lane) => {
      const packed = arena.alloc(subspaces / 2);
      arena.u8(packed, subspaces / 2).set(packCodes(spec.codes.subarray(local * subspaces, (local + 1) * subspaces)));
      kernels.placeCodes(packed, subspaces, blocks + (lane >> 5) * subspaces * 16, lane & 31);
      // Accumulator order: even lanes of each half, then odd ones.
      const slot = (lane & ~15) + (lane & 1 ? 8 : 0) + ((lane & 15) >> 1);
      if (spec.biases) arena.i16(blocks + codesBytes, lanes)[slot] = spec.biases[local]!;
      arena.u32(blocks + codesBytes + biasBytes, lanes)[lane] = local;
    });
    next = segment;
  }
  return next;
}

/** Packs one code per byte into nibbles, even subspaces in the low one. */
export function packCodes(codes: Uint8Array): Uint8Array {
  return Uint8Array.from(
    { length: Math.ceil(codes.length / 2) },
    (_, i) => codes[2 * i]! | ((codes[2 * i + 1] ?? 0) << 4),
  );
}
