import { highOfScore, scoreOfHigh } from '../../../protocol/order.ts';
import {
  BLOCK_LANES,
  BUFFER_SLACK,
  SEGMENT_BLOCKS,
  SEGMENT_COUNT,
  SEGMENT_HEADER_BYTES,
  SEGMENT_NEXT,
  SHARD_HAS_BIAS,
  SHARD_LEAVES,
  SHARD_STRIDE,
  SHARD_SUBSPACES,
  STATE_ABOVE,
  STATE_CODES,
  STATE_EDGE,
  STATE_FLOOR,
  STATE_HELD,
  STATE_HISTOGRAM,
  STATE_LOW,
  STATE_PER_SCORE,
  TABLES_BIAS_MULTIPLIER,
  TABLES_HEADER_BYTES,
  TABLES_INVERSE_SCALE,
  TABLES_OFFSET,
  TABLES_SCALE,
  VISIT_BYTES,
} from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';
import { bucketOf, compactBelow, fitBuckets, highBelow, keepFrom } from './histogram.ts';
import { compact, smallest } from './select.ts';
import { isVisible } from './visible.ts';

const fround = Math.fround;
const MARGIN = 4.76837158203125e-7;

/** Sums of the lanes of one block, in accumulator order: even lanes below 16, odd ones, even lanes from 16, odd ones. */
const sums = new Int16Array(BLOCK_LANES);
const LANE_OF = Uint8Array.from(sums, (_, k) => (k & 16) + 2 * (k & 7) + ((k >> 3) & 1));

// The integer threshold only has to be safe: no lane whose score reaches the floor may fall below it, however the float
// arithmetic of its score is rounded. Hence the margin, which grows with the magnitudes that are added.
function integerThreshold(high: number, low: number, base: number, scale: number): number {
  if (high === 0 && low === 0) return -32768;
  const least = scoreOfHigh(high);
  const margin = fround(fround(Math.abs(least) + Math.abs(base)) * MARGIN);
  const units = fround(fround(fround(least - base) - margin) * scale);
  if (!(units > -32700)) return -32768;
  return units > 32700 ? 32700 : Math.ceil(units);
}

/** Adds up the LUT entries of a block's 32 lanes. */
function sumBlock(u8: Uint8Array, codes: number, lut: number, blockBytes: number): void {
  for (let j = 0; j < 16; j++) {
    let lower = 0;
    let upper = 0;
    for (let m = 0; m < blockBytes; m += 16) {
      const pair = u8[codes + m + j]!;
      lower += u8[lut + m + (pair & 15)]!;
      upper += u8[lut + m + (pair >> 4)]!;
    }
    const k = (j >> 1) + ((j & 1) << 3);
    sums[k] = lower;
    sums[k + 16] = upper;
  }
}

/** Subtracts a block's biases; i16 arithmetic wraps, and the Q15 product is rounded and saturated. */
function subtractBiases(i16: Int16Array, biases: number, by: number): void {
  for (let k = 0; k < BLOCK_LANES; k++) {
    sums[k] = sums[k]! - Math.min(32767, (i16[biases + k]! * by + 0x4000) >> 15);
  }
}

/**
 * LUT16 scan of leaves of one shard, for one query or several. Each visit is of one leaf by one query, which keeps its best as
 * (approximate score, local) keys, in no order, with their number in its state; `finishScan` cuts them back to `limit` at the end.
 * visits [count], each with a query's state; tablesAt, keysAt: bytes from a state to the query's tables and candidate buffer,
 * which has room for 2 x limit + BUFFER_SLACK.
 */
export function scanLeaves(
  views: Views,
  shard: number,
  visits: number,
  count: number,
  limit: number,
  tablesAt: number,
  keysAt: number,
): void {
  const { f32, i16, i32, u8, u32 } = views;
  const heads = u32[(shard + SHARD_LEAVES) >>> 2]! >>> 2;
  const hasBias = u32[(shard + SHARD_HAS_BIAS) >>> 2]! !== 0;
  const blockBytes = u32[(shard + SHARD_SUBSPACES) >>> 2]! * 16;
  const lutAt = tablesAt + TABLES_HEADER_BYTES + u32[(shard + SHARD_STRIDE) >>> 2]! * 4;
  const full = 2 * limit + BUFFER_SLACK - BLOCK_LANES;

  for (let i = 0; i < count; i++) {
    const visit = (visits + i * VISIT_BYTES) >>> 2;
    let segment = u32[heads + u32[visit]!]!;
    const state = u32[visit + 2]!;
    const tables = state + tablesAt;
    const keys = state + keysAt;
    const lut = state + lutAt;
    const inverse = f32[(tables + TABLES_INVERSE_SCALE) >>> 2]!;
    const scale = f32[(tables + TABLES_SCALE) >>> 2]!;
    const biasBy = (i32[(tables + TABLES_BIAS_MULTIPLIER) >>> 2]! << 16) >> 16;
    const base = fround(f32[visit + 1]! + f32[(tables + TABLES_OFFSET) >>> 2]!);
    const out = keys >>> 2;
    const floor = (state + STATE_FLOOR) >>> 2;
    let floorLow = u32[floor]!;
    let floorHigh = u32[floor + 1]!;
    let held = u32[(state + STATE_HELD) >>> 2]!;
    // Candidates above bucket `edge` of the counts; the buckets are chosen, and `edge` leaves -1, when `limit` are held.
    const counts = (state + STATE_HISTOGRAM) >>> 2;
    let above = u32[(state + STATE_ABOVE) >>> 2]!;
    let edge = u32[(state + STATE_EDGE) >>> 2]! - 1;
    let start = f32[(state + STATE_LOW) >>> 2]!;
    let perScore = f32[(state + STATE_PER_SCORE) >>> 2]!;
    let least = integerThreshold(floorHigh, floorLow, base, scale);
    while (segment) {
      const lanes = Atomics.load(i32, (segment + SEGMENT_COUNT) >>> 2);
      const capacity = u32[(segment + SEGMENT_BLOCKS) >>> 2]!;
      let codes = segment + SEGMENT_HEADER_BYTES;
      let biases = codes + capacity * blockBytes;
      const locals = (biases + (hasBias ? capacity * 64 : 0)) >>> 2;
      for (let pos = 0; pos < lanes; pos += BLOCK_LANES, codes += blockBytes) {
        sumBlock(u8, codes, lut, blockBytes);
        if (hasBias) {
          subtractBiases(i16, biases >>> 1, biasBy);
          biases += 64;
        }
        let reached = false;
        for (let k = 0; k < BLOCK_LANES; k++) {
          if (sums[k]! < least) continue;
          reached = true;
          const lane = pos + LANE_OF[k]!;
          if (lane >= lanes) continue;
          const score = fround(base + fround(sums[k]! * inverse));
          const local = u32[locals + lane]!;
          const low = ~local >>> 0;
          const high = highOfScore(score);
          u32[out + 2 * held] = low;
          u32[out + 2 * held + 1] = high;
          if (high < floorHigh || (high === floorHigh && low <= floorLow)) continue;
          if (!isVisible(views, shard, state, local)) continue;
          held++;
          const bucket = bucketOf(score, start, perScore);
          u32[counts + bucket]!++;
          if (bucket > edge) above++;
        }
        if (!reached) continue;
        if (above >= limit) {
          if (edge < 0) {
            start = scoreOfHigh(u32[out + 2 * smallest(u32, out, held) + 1]!);
            perScore = fitBuckets(views, keys, held, start, scale, state + STATE_HISTOGRAM);
            above = held;
          }
          while (above >= limit) above -= u32[counts + ++edge]!;
          const high = highBelow(edge, start, perScore);
          if (high >= floorHigh && high > 0) {
            floorHigh = high;
            floorLow = 0xffffffff;
          }
          least = integerThreshold(floorHigh, floorLow, base, scale);
        }
        if (held > full) {
          held = keepFrom(views, keys, held, floorHigh, floorLow);
          if (held > full - (limit >> 1)) {
            held = compact(views, keys, held, limit, state + STATE_FLOOR);
            floorLow = u32[floor]!;
            floorHigh = u32[floor + 1]!;
            least = integerThreshold(floorHigh, floorLow, base, scale);
            above = held;
            edge = -1;
          }
        }
      }
      u32[(state + STATE_CODES) >>> 2]! += lanes;
      segment = u32[(segment + SEGMENT_NEXT) >>> 2]!;
    }
    u32[(state + STATE_HELD) >>> 2] = held;
    u32[floor] = floorLow;
    u32[floor + 1] = floorHigh;
    u32[(state + STATE_ABOVE) >>> 2] = above;
    u32[(state + STATE_EDGE) >>> 2] = edge + 1;
    f32[(state + STATE_LOW) >>> 2] = start;
    f32[(state + STATE_PER_SCORE) >>> 2] = perScore;
  }
}

/** Cuts the candidates of a query back to the `limit` best after its last visit; returns their number, and raises the floor. */
export function finishScan(views: Views, state: number, keys: number, limit: number): number {
  const { f32, u32 } = views;
  const floor = (state + STATE_FLOOR) >>> 2;
  const held = keepFrom(views, keys, u32[(state + STATE_HELD) >>> 2]!, u32[floor + 1]!, u32[floor]!);
  const low = f32[(state + STATE_LOW) >>> 2]!;
  const pivot = highBelow(u32[(state + STATE_EDGE) >>> 2]!, low, f32[(state + STATE_PER_SCORE) >>> 2]!);
  return compactBelow(views, keys, held, limit, state + STATE_FLOOR, pivot);
}
