import type { Views } from '../../views.ts';

// Keys are pairs of u32 (see order.ts). `base` is the element of the first key's low word.

/** Whether key i is less than the key (high, low). */
function below(u32: Uint32Array, base: number, i: number, high: number, low: number): boolean {
  const at = base + 2 * i;
  const h = u32[at + 1]!;
  return h < high || (h === high && u32[at]! < low);
}

function above(u32: Uint32Array, base: number, i: number, high: number, low: number): boolean {
  const at = base + 2 * i;
  const h = u32[at + 1]!;
  return h > high || (h === high && u32[at]! > low);
}

function less(u32: Uint32Array, base: number, i: number, j: number): boolean {
  return below(u32, base, i, u32[base + 2 * j + 1]!, u32[base + 2 * j]!);
}

function put(u32: Uint32Array, base: number, i: number, high: number, low: number): void {
  u32[base + 2 * i] = low;
  u32[base + 2 * i + 1] = high;
}

function copy(u32: Uint32Array, base: number, to: number, from: number): void {
  u32[base + 2 * to] = u32[base + 2 * from]!;
  u32[base + 2 * to + 1] = u32[base + 2 * from + 1]!;
}

export function swap(u32: Uint32Array, base: number, i: number, j: number): void {
  const low = u32[base + 2 * i]!;
  const high = u32[base + 2 * i + 1]!;
  copy(u32, base, i, j);
  put(u32, base, j, high, low);
}

function siftDown(u32: Uint32Array, base: number, root: number, end: number): void {
  // A min-heap, so that extracting to the back leaves the keys in descending order.
  const low = u32[base + 2 * root]!;
  const high = u32[base + 2 * root + 1]!;
  for (;;) {
    let child = 2 * root + 1;
    if (child >= end) break;
    if (child + 1 < end && less(u32, base, child + 1, child)) child++;
    if (!below(u32, base, child, high, low)) break;
    copy(u32, base, root, child);
    root = child;
  }
  put(u32, base, root, high, low);
}

/** Sorts u64 [count] in descending order, in place. */
export function sortDescending(views: Views, keys: number, count: number): void {
  const { u32 } = views;
  const base = keys >>> 2;
  if (count <= 24) {
    for (let i = 1; i < count; i++) {
      const low = u32[base + 2 * i]!;
      const high = u32[base + 2 * i + 1]!;
      let j = i - 1;
      for (; j >= 0 && below(u32, base, j, high, low); j--) copy(u32, base, j + 1, j);
      put(u32, base, j + 1, high, low);
    }
    return;
  }
  for (let i = (count >> 1) - 1; i >= 0; i--) siftDown(u32, base, i, count);
  for (let end = count - 1; end > 0; end--) {
    swap(u32, base, 0, end);
    siftDown(u32, base, 0, end);
  }
}

/** Moves the `limit` largest of u64 [count] to the front, in no order. Introselect: falls back to a sort when pivots are bad. */
export function selectTop(views: Views, keys: number, count: number, limit: number): void {
  if (limit <= 0 || limit >= count) return;
  const { u32 } = views;
  const base = keys >>> 2;
  const target = limit - 1;
  let lo = 0;
  let hi = count - 1;
  let rounds = 2 * (32 - Math.clz32(count));
  while (lo < hi) {
    if (rounds-- === 0) {
      sortDescending(views, keys + lo * 8, hi - lo + 1);
      return;
    }
    // The median of the first, middle and last key.
    const middle = (lo + hi) >> 1;
    const firstIsLess = less(u32, base, lo, middle);
    const lesser = firstIsLess ? lo : middle;
    const greater = firstIsLess ? middle : lo;
    const capped = less(u32, base, hi, greater) ? hi : greater;
    const pivot = base + 2 * (less(u32, base, lesser, capped) ? capped : lesser);
    const low = u32[pivot]!;
    const high = u32[pivot + 1]!;
    let i = lo;
    let j = hi;
    while (i <= j) {
      while (above(u32, base, i, high, low)) i++;
      while (below(u32, base, j, high, low)) j--;
      if (i <= j) swap(u32, base, i++, j--);
    }
    if (target <= j) hi = j;
    else if (target >= i) lo = i;
    else return;
  }
}

/** Which of u64 [count] is the smallest; count > 0. */
export function smallest(u32: Uint32Array, base: number, count: number): number {
  let least = 0;
  for (let i = 1; i < count; i++) if (less(u32, base, i, least)) least = i;
  return least;
}

/** Cuts a candidate buffer back to its `limit` best once it is over; returns the count and raises the u64 at `floor`. */
export function compact(views: Views, keys: number, count: number, limit: number, floor: number): number {
  if (count < limit) return count;
  selectTop(views, keys, count, limit);
  const { u32 } = views;
  const base = keys >>> 2;
  const least = smallest(u32, base, limit);
  u32[floor >>> 2] = u32[base + 2 * least]!;
  u32[(floor >>> 2) + 1] = u32[base + 2 * least + 1]!;
  return limit;
}

/**
 * Keeps, of the keys u64 [count] that name the same vector, the greatest, in place; returns how many are left.
 * table: u32 [entries], where entries is a power of two, above 1 and at least 2 x count.
 */
export function dropDuplicates(views: Views, keys: number, count: number, table: number, entries: number): number {
  const { u32 } = views;
  const base = keys >>> 2;
  const slots = table >>> 2;
  u32.fill(0, slots, slots + entries);
  const mask = entries - 1;
  const shift = Math.clz32(mask);
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const low = u32[base + 2 * i]!;
    const high = u32[base + 2 * i + 1]!;
    let place = Math.imul(~low, 0x9e3779b1) >>> shift;
    for (;;) {
      const seen = u32[slots + place]!;
      if (seen === 0) {
        put(u32, base, kept++, high, low);
        u32[slots + place] = kept;
        break;
      }
      if (u32[base + 2 * (seen - 1)] === low) {
        if (below(u32, base, seen - 1, high, low)) put(u32, base, seen - 1, high, low);
        break;
      }
      place = (place + 1) & mask;
    }
  }
  return kept;
}
