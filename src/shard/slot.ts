import { SLOT_CANCELLED, SLOT_ERROR, SLOT_FLOOR, SLOT_LIST_BYTES, SLOT_LISTS } from '../protocol/control-layout.ts';

// What all steps of a query read and write in its slot. A slot is the first word of its header.

/** Whether nobody waits for the slot's answer any more, or it has failed. */
export function isSettled(i32: Int32Array, slot: number): boolean {
  return Atomics.load(i32, slot + SLOT_CANCELLED) === 1 || Atomics.load(i32, slot + SLOT_ERROR) !== 0;
}

/** Pointer: what unit s left in the slot. */
export function listOf(u32: Uint32Array, slot: number, s: number): number {
  return u32[slot + SLOT_LISTS]! + s * u32[slot + SLOT_LIST_BYTES]!;
}

/** `limit` candidates reach this score, in ordered bits, so no shard needs to keep one that does not. */
export function raiseFloor(i32: Int32Array, slot: number, ordered: number): void {
  let seen = Atomics.load(i32, slot + SLOT_FLOOR);
  while (ordered > seen >>> 0) {
    const before = Atomics.compareExchange(i32, slot + SLOT_FLOOR, seen, ordered | 0);
    if (before === seen) return;
    seen = before;
  }
}

/** Time since then in tenths of a microsecond, as slots keep it. */
export function tenthsSince(started: number): number {
  return Math.round((performance.now() - started) * 1e4);
}
