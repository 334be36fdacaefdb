// The one ordering rule: higher score first, then the lower id (insertion order). Candidates are u64 keys, kept as two u32
// words (low first), that compare as integers: above, the score's bits made order-preserving; below, the id's complement.
// Kernels build the same keys (shard/kernels/assembly/order.ts).

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The score in the high word of a key. */
export function scoreOfHigh(high: number): number {
  bits[0] = high & 0x80000000 ? high ^ 0x80000000 : ~high;
  return float[0]!;
}

/** The high word of a key with this score. */
export function highOfScore(score: number): number {
  float[0] = score + 0; // -0 becomes +0
  const b = bits[0]!;
  return (b & 0x80000000 ? ~b : b ^ 0x80000000) >>> 0;
}

/** The id (row or local number) in the low word of a key. */
export function idOfLow(low: number): number {
  return ~low >>> 0;
}

/** Whether key a is at least key b, as unsigned 64-bit integers. */
export function keyAtLeast(aHigh: number, aLow: number, bHigh: number, bLow: number): boolean {
  return aHigh > bHigh || (aHigh === bHigh && aLow >= bLow);
}
