/** Deals whole leaves to parts, the largest first, each to the part that has the fewest vectors. */
export function dealLeaves(leafCounts: Int32Array, parts: number): Int32Array {
  const order = Array.from(leafCounts.keys()).sort((a, b) => leafCounts[b]! - leafCounts[a]! || a - b);
  const held = new Float64Array(parts);
  const owners = new Int32Array(new SharedArrayBuffer(leafCounts.length * 4));
  for (const leaf of order) {
    let least = 0;
    for (let s = 1; s < parts; s++) if (held[s]! < held[least]!) least = s;
    owners[leaf] = least;
    held[least]! += leafCounts[leaf]!;
  }
  return owners;
}

/** Where the parts begin when `total` things in a row are split evenly, and where the last one ends: [parts + 1]. */
export function evenStarts(total: number, parts: number): number[] {
  return Array.from({ length: parts + 1 }, (_, i) => Math.floor((i * total) / parts));
}
