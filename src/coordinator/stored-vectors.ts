import { ScanneryError } from '../protocol/errors.ts';
import { Random } from '../protocol/random.ts';
import {
  CODEC_BFLOAT16,
  CODEC_INT8,
  RESERVED_BYTES,
  SHARD_CHUNK_SHIFT,
  SHARD_CHUNKS,
  SHARD_CODEC,
  SHARD_ROW_BYTES,
} from '../protocol/shard-layout.ts';
import { Views } from '../shard/views.ts';
import type { IndexData } from './build.ts';

/** Size of the noise in a made-up query, relative to the vector it is made of. */
const NOISE = 0.5;

/**
 * Made-up queries: stored vectors, deleted ones too, sampled, each moved by normal noise of half its length. f32 [count x dimensions]
 */
export function perturbedVectors(data: IndexData, count: number, seed: number): Float32Array {
  const { dimensions, shards, rows } = data;
  const random = new Random(seed);
  const readers = shards.map((memory) => vectorReader(memory, dimensions));
  const chosen = random.sample(rows.count, Math.min(count, rows.count));
  const out = new Float32Array(chosen.length * dimensions);
  for (const [i, row] of chosen.entries()) {
    const { memory, local } = rows.placeOf(row)!;
    const query = out.subarray(i * dimensions, (i + 1) * dimensions);
    readers[memory]!(local, query);
    const deviation = (NOISE * Math.hypot(...query)) / Math.sqrt(dimensions);
    for (let j = 0; j < dimensions; j++) query[j]! += deviation * normal(random);
  }
  return out;
}

/** The error of a call that an index without stored vectors cannot serve; `what` is the subject of its message. */
export function needsVectors(what: string): ScanneryError {
  const message = `${what} needs stored vectors; this index has reordering: false`;
  return new ScanneryError('SCANNERY_NOT_SUPPORTED', message, { option: 'reordering', value: false });
}

/** Writes the stored vector of a local number to `out` [dimensions]. */
export type VectorReader = (local: number, out: Float32Array) => void;

/** Reads stored vectors of a shard's memory. */
export function vectorReader(memory: WebAssembly.Memory, dimensions: number): VectorReader {
  const views = new Views(memory);
  const header = (word: number): number => views.u32[(RESERVED_BYTES + word) >>> 2]!;
  const codec = header(SHARD_CODEC);
  const shift = header(SHARD_CHUNK_SHIFT);
  const perChunk = 2 ** shift;
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  return (local, out) => {
    const { u32, f32, u16, i8 } = views.refresh();
    const chunk = u32[(header(SHARD_CHUNKS) >>> 2) + (local >>> shift)]!;
    const slot = local & (perChunk - 1);
    const scales = chunk + perChunk * 4;
    const row = scales + (codec === CODEC_INT8 ? perChunk * 4 : 0) + slot * header(SHARD_ROW_BYTES);
    for (let j = 0; j < dimensions; j++) {
      if (codec === CODEC_INT8) out[j] = i8[row + j]! * f32[(scales >>> 2) + slot]!;
      else if (codec === CODEC_BFLOAT16) {
        bits[0] = u16[(row >>> 1) + j]! << 16;
        out[j] = float[0]!;
      } else out[j] = f32[(row >>> 2) + j]!;
    }
  };
}

/** A normal deviate, as a sum of twelve uniform ones less 6: no function whose last bits differ between engines. */
function normal(random: Random): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random.uniform();
  return sum;
}
