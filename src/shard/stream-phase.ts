import { CURSOR_SCRATCH } from '../protocol/messages.ts';
import { STATE_BOUND, STATE_BYTES, STATE_DEATHS, STATE_FILTER, STATE_FLOOR } from '../protocol/shard-layout.ts';
import {
  STREAM_FLOOR,
  STREAM_FRESH,
  STREAM_HELD,
  STREAM_TILE_BYTES,
  STREAM_WORDS,
  type StreamTask,
} from '../protocol/stream-task.ts';
import { align } from './arena.ts';
import { eachChunk } from './each-chunk.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels } from './kernels/load.ts';
import { Views } from './views.ts';

/** See StreamTask. Keys order all candidates, so what is kept does not depend on tiles, chunks or threads. */
export function streamQueries(task: StreamTask): void {
  const { memory, numQueries, count, stride } = task;
  const kernels = bindKernels(task.kernels, memory);
  const { u32 } = new Views(memory);
  const scratch = task.scratch + Atomics.add(task.cursor, CURSOR_SCRATCH, 1) * task.scratchBytes;
  const perTile = Math.max(16, Math.floor(STREAM_TILE_BYTES / (stride * 4)));
  eachChunk(task, (chunk) => {
    const from = chunk * task.queriesPerChunk;
    const to = Math.min(numQueries, from + task.queriesPerChunk);
    for (let query = from; query < to; query++) {
      u32[stateOf(task, query) + STREAM_FRESH] = 0;
      exclude(task, u32, passingOf(task, scratch, query - from), query);
    }
    for (let first = 0; first < count; first += perTile) {
      const rows = Math.min(perTile, count - first);
      for (let query = from; query < to; query++) {
        u32[(scratch + STATE_FILTER) >>> 2] = excludes(task, u32, query) ? passingOf(task, scratch, query - from) : 0;
        scanTile(task, kernels, u32, scratch, query, first, rows);
      }
    }
    if (!task.sort) return;
    for (let query = from; query < to; query++) {
      kernels.sortDescending(keysOf(task, query), u32[stateOf(task, query) + STREAM_HELD]!);
    }
  });
}

/** First word of a query's state. */
const stateOf = (task: StreamTask, query: number): number => (task.states >>> 2) + query * STREAM_WORDS;
const keysOf = (task: StreamTask, query: number): number => task.keys + query * task.capacity * 8;
/** Pointer to the bits of the candidates that the i-th query of a chunk does not exclude. */
const passingOf = ({ excluded }: StreamTask, scratch: number, i: number): number =>
  excluded === null ? 0 : scratch + excluded.passing + i * excluded.passingBytes;

function excludes({ excluded }: StreamTask, u32: Uint32Array, query: number): boolean {
  if (excluded === null) return false;
  const starts = (excluded.starts >>> 2) + query;
  return u32[starts] !== u32[starts + 1];
}

/** Sets the bits of all candidates but those that a query excludes. */
function exclude(task: StreamTask, u32: Uint32Array, passing: number, query: number): void {
  const { excluded, count } = task;
  if (excluded === null || !excludes(task, u32, query)) return;
  const bits = passing >>> 2;
  const [starts, groups] = [(excluded.starts >>> 2) + query, excluded.groups >>> 2];
  const [heads, previous] = [excluded.heads >>> 2, excluded.previous >>> 2];
  u32.fill(0xffffffff, bits, bits + Math.ceil(count / 32));
  for (let i = u32[starts]!; i < u32[starts + 1]!; i++) {
    for (let next = u32[heads + u32[groups + i]!]!; next !== 0; next = u32[previous + next - 1]!) {
      u32[bits + ((next - 1) >>> 5)]! &= ~(1 << ((next - 1) & 31));
    }
  }
}

function scanTile(
  task: StreamTask,
  kernels: Kernels,
  u32: Uint32Array,
  scratch: number,
  query: number,
  first: number,
  rows: number,
): void {
  const { shard, limit } = task;
  const state = stateOf(task, query);
  const floor = (scratch + STATE_FLOOR) >>> 2;
  const found = scratch + align(STATE_BYTES);
  // Later rows lose ties, so only a higher score gets past the floor: its key is the greatest of its score.
  u32[floor] = 0xffffffff;
  u32[floor + 1] = u32[state + STREAM_FLOOR]!;
  u32[(scratch + STATE_DEATHS) >>> 2] = 0; // there may be a row of an earlier pass
  u32[(scratch + STATE_BOUND) >>> 2] = first + rows;
  const embedding = task.queries + query * task.stride * 4;
  const fresh = kernels.scanVectors(shard, embedding, first, rows, limit, found, 0, scratch);
  if (fresh === 0) return;
  kernels.localsToRows(shard, found, fresh, found);
  const keys = keysOf(task, query) >>> 2;
  const end = (found >>> 2) + 2 * fresh;
  const held = u32[state + STREAM_HELD]!;
  u32.copyWithin(end, keys, keys + 2 * held);
  const kept = kernels.compact(found, fresh + held, limit, scratch + STATE_FLOOR);
  u32.copyWithin(keys, found >>> 2, (found >>> 2) + 2 * kept);
  u32[state + STREAM_HELD] = kept;
  u32[state + STREAM_FRESH]! += fresh;
  if (kept === task.k) u32[state + STREAM_FLOOR] = u32[floor + 1]!;
}
