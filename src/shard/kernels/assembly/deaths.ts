import { STATE_DEATHS, STATE_EPOCH } from "../../../protocol/shard-layout";

/** Whether a vector was deleted before the query of a state began. shift: log2 of vectors per chunk. */
// @ts-ignore: decorator
@inline export function isDead(deaths: usize, epoch: u32, local: u32, shift: u32): bool {
  if (deaths == 0) return false;
  const chunk = <usize>load<u32>(deaths + (<usize>(local >> shift) << 2));
  if (chunk == 0) return false;
  const death = atomic.load<u32>(chunk + (<usize>(local & ((1 << shift) - 1)) << 2));
  return death != 0 && death <= epoch;
}

// @ts-ignore: decorator
@inline export function deathsOf(state: usize): usize { return <usize>load<u32>(state, STATE_DEATHS); }
// @ts-ignore: decorator
@inline export function epochOf(state: usize): u32 { return load<u32>(state, STATE_EPOCH); }
