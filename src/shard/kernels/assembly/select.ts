import { idOf } from "./order";

// @ts-ignore: decorator
@inline function at(keys: usize, i: i32): u64 { return load<u64>(keys + (<usize>i << 3)); }
// @ts-ignore: decorator
@inline function put(keys: usize, i: i32, key: u64): void { store<u64>(keys + (<usize>i << 3), key); }

function siftDown(keys: usize, root: i32, end: i32): void {
  // A min-heap, so that extracting to the back leaves the keys in descending order.
  const key = at(keys, root);
  for (;;) {
    let child = 2 * root + 1;
    if (child >= end) break;
    if (child + 1 < end && at(keys, child + 1) < at(keys, child)) child++;
    if (at(keys, child) >= key) break;
    put(keys, root, at(keys, child));
    root = child;
  }
  put(keys, root, key);
}

/** Sorts u64 [count] in descending order, in place. */
export function sortDescending(keys: usize, count: i32): void {
  if (count <= 24) {
    for (let i = 1; i < count; i++) {
      const key = at(keys, i);
      let j = i - 1;
      while (j >= 0 && at(keys, j) < key) { put(keys, j + 1, at(keys, j)); j--; }
      put(keys, j + 1, key);
    }
    return;
  }
  for (let i = (count >> 1) - 1; i >= 0; i--) siftDown(keys, i, count);
  for (let end = count - 1; end > 0; end--) {
    const last = at(keys, end);
    put(keys, end, at(keys, 0));
    put(keys, 0, last);
    siftDown(keys, 0, end);
  }
}

/** Moves the `limit` largest of u64 [count] to the front, in no order. Introselect: falls back to a sort when pivots are bad. */
export function selectTop(keys: usize, count: i32, limit: i32): void {
  if (limit <= 0 || limit >= count) return;
  const target = limit - 1;
  let lo = 0, hi = count - 1;
  let rounds = 2 * (32 - clz(count));
  while (lo < hi) {
    if (rounds-- == 0) { sortDescending(keys + (<usize>lo << 3), hi - lo + 1); return; }
    const a = at(keys, lo), b = at(keys, (lo + hi) >> 1), c = at(keys, hi);
    const pivot = max(min(a, b), min(max(a, b), c));
    let i = lo, j = hi;
    while (i <= j) {
      while (at(keys, i) > pivot) i++;
      while (at(keys, j) < pivot) j--;
      if (i <= j) {
        const x = at(keys, i);
        put(keys, i, at(keys, j));
        put(keys, j, x);
        i++; j--;
      }
    }
    if (target <= j) hi = j;
    else if (target >= i) lo = i;
    else return;
  }
}

/** The smallest of u64 [count]; count > 0. */
export function smallest(keys: usize, count: i32): u64 {
  let least = at(keys, 0);
  for (let i = 1; i < count; i++) { const key = at(keys, i); if (key < least) least = key; }
  return least;
}

/** Cuts a candidate buffer back to its `limit` best once it is over; returns the count and raises the u64 at `floor`. */
export function compact(keys: usize, count: i32, limit: i32, floor: usize): i32 {
  if (count < limit) return count;
  selectTop(keys, count, limit);
  store<u64>(floor, smallest(keys, limit));
  return limit;
}

/**
 * Keeps, of the keys u64 [count] that name the same vector, the greatest, in place; returns how many are left.
 * table: u32 [entries], where entries is a power of two, above 1 and at least 2 x count.
 */
export function dropDuplicates(keys: usize, count: i32, table: usize, entries: i32): i32 {
  memory.fill(table, 0, <usize>entries << 2);
  const mask = <u32>entries - 1, shift = clz<u32>(mask);
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const key = at(keys, i), id = idOf(key);
    let place = (id * 0x9e3779b1) >> shift;
    for (;;) {
      const seen = load<u32>(table + (<usize>place << 2));
      if (seen == 0) {
        put(keys, kept++, key);
        store<u32>(table + (<usize>place << 2), kept);
        break;
      }
      const other = at(keys, <i32>seen - 1);
      if (idOf(other) == id) {
        if (key > other) put(keys, <i32>seen - 1, key);
        break;
      }
      place = (place + 1) & mask;
    }
  }
  return kept;
}
