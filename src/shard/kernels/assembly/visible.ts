import { STATE_BOUND, STATE_DEATHS, STATE_EPOCH, STATE_FILTER } from "../../../protocol/shard-layout";

/** Whether a filter lets a vector through. */
// @ts-ignore: decorator
@inline export function isLet(filter: usize, local: u32): bool {
  return filter == 0 || ((load<u32>(filter + (<usize>(local >> 5) << 2)) >> (local & 31)) & 1) != 0;
}

/**
 * Whether a vector was not deleted when a query began, and its filter lets it through. A query sees a vector if so, and if its local
 * number is below the query's bound: then it was there. filter, deaths and epoch are those of the query's state, shift is log2 of
 * vectors per chunk.
 */
// @ts-ignore: decorator
@inline export function isVisible(filter: usize, deaths: usize, epoch: u32, local: u32, shift: u32): bool {
  if (!isLet(filter, local)) return false;
  if (deaths == 0) return true;
  const chunk = <usize>load<u32>(deaths + (<usize>(local >> shift) << 2));
  if (chunk == 0) return true;
  const death = atomic.load<u32>(chunk + (<usize>(local & ((1 << shift) - 1)) << 2));
  return death == 0 || death > epoch;
}

// @ts-ignore: decorator
@inline export function boundOf(state: usize): u32 { return load<u32>(state, STATE_BOUND); }
// @ts-ignore: decorator
@inline export function deathsOf(state: usize): usize { return <usize>load<u32>(state, STATE_DEATHS); }
// @ts-ignore: decorator
@inline export function epochOf(state: usize): u32 { return load<u32>(state, STATE_EPOCH); }
// @ts-ignore: decorator
@inline export function filterOf(state: usize): usize { return <usize>load<u32>(state, STATE_FILTER); }
