import * as L from '../../src/protocol/shard-layout.ts';
import type { Kernels } from '../../src/shard/kernels/kernels.ts';
import type { Arena } from './kernel-memory.ts';

/** What one query has in a shard's memory. `tablesAt` and `keysAt`: bytes from its state to its tables and its candidates. */
export interface Search {
  state: number;
  tables: number;
  keys: number;
  tablesAt: number;
  keysAt: number;
}

/** A search state with a floor, tables, and a candidate buffer of the right size. */
export function laySearch(arena: Arena, limit: number, floor = 0n, tablesBytes = 0): Search {
  const state = arena.alloc(L.STATE_BYTES);
  arena.u64(state + L.STATE_FLOOR, 1)[0] = floor;
  arena.u32(state + L.STATE_BOUND, 1)[0] = 0xffffffff;
  arena.ignore(state + L.STATE_LANES, 64);
  const tables = arena.alloc(tablesBytes);
  const keys = arena.scratch(8 * (2 * limit + L.BUFFER_SLACK));
  return { state, tables, keys, tablesAt: tables - state, keysAt: keys - state };
}

/** Cuts what a scan of leaves has kept back to the limit; returns it. */
export function keptOf(kernels: Kernels, arena: Arena, { state, keys }: Search, limit: number): bigint[] {
  return [...arena.u64(keys, kernels.finishScan(state, keys, limit))];
}

/** Tells a query's state when each vector died (0: it lives), and which epoch the query is of. */
export function layDeaths(
  arena: Arena,
  { state }: Search,
  deaths: Uint32Array,
  chunkShift: number,
  epoch: number,
): void {
  const perChunk = 2 ** chunkShift;
  const chunks: number[] = [];
  for (let first = 0; first < deaths.length; first += perChunk) {
    const chunk = new Uint32Array(perChunk);
    chunk.set(deaths.subarray(first, first + perChunk));
    chunks.push(chunk.some((death) => death !== 0) ? arena.put(chunk) : 0);
  }
  arena.u32(state + L.STATE_DEATHS, 1)[0] = arena.put(Uint32Array.from(chunks));
  arena.u32(state + L.STATE_EPOCH, 1)[0] = epoch;
}

export function layVisits(arena: Arena, visits: { leaf: number; base: number; state: number }[]): number {
  const at = arena.alloc(visits.length * L.VISIT_BYTES);
  visits.forEach(({ leaf, base, state }, i) => {
    const visit = at + i * L.VISIT_BYTES;
    arena.u32(visit, 1)[0] = leaf;
    arena.f32(visit + 4, 1)[0] = base;
    arena.u32(visit + 8, 1)[0] = state;
  });
  return at;
}

/** Gives a query a filter. */
export function layFilter(arena: Arena, { state }: Search, count: number, passes: (local: number) => boolean): void {
  const words = new Uint32Array((count + 31) >>> 5);
  for (let local = 0; local < count; local++) if (passes(local)) words[local >>> 5]! |= 1 << (local & 31);
  arena.u32(state + L.STATE_FILTER, 1)[0] = arena.put(words);
}
