// Candidates are u64 keys, kept as two u32 with the low word first: the complement of the id, then the score's bits in an
// order-preserving form. A key is larger when its high word is, or its low word at equal high words; both are unsigned.

const bits = new Int32Array(1);
const float = new Float32Array(bits.buffer);

/** High word of a key: sorts as the score does. -0 becomes +0. */
export function highOf(score: number): number {
  float[0] = score + 0;
  const raw = bits[0]!;
  return (raw ^ ((raw >> 31) | 0x80000000)) >>> 0;
}

/** The score of a key, from its high word. */
export function scoreOf(high: number): number {
  bits[0] = high ^ (~((high | 0) >> 31) | 0x80000000);
  return float[0]!;
}
