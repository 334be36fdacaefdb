const P1 = 2654435761;
const P2 = 2246822519;
const P3 = 3266489917;
const P4 = 668265263;
const P5 = 374761393;

const rotl = (x: number, r: number): number => (x << r) | (x >>> (32 - r));

/** XXH32 (xxHash specification, Y. Collet) of bytes [start, start + length), as a u32. Kernels compute the same. */
export function xxh32(bytes: Uint8Array, start = 0, length = bytes.length, seed = 0): number {
  let p = start;
  const end = start + length;
  const word = (at: number): number =>
    bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  const round = (accumulator: number, at: number): number =>
    Math.imul(rotl((accumulator + Math.imul(word(at), P2)) | 0, 13), P1);
  let h: number;
  if (length >= 16) {
    let [a, b, c, d] = [(seed + P1 + P2) | 0, (seed + P2) | 0, seed | 0, (seed - P1) | 0];
    for (const limit = end - 16; p <= limit; p += 16) {
      a = round(a, p);
      b = round(b, p + 4);
      c = round(c, p + 8);
      d = round(d, p + 12);
    }
    h = (rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)) | 0;
  } else h = (seed + P5) | 0;
  h = (h + length) | 0;
  for (; p + 4 <= end; p += 4) h = Math.imul(rotl((h + Math.imul(word(p), P3)) | 0, 17), P4);
  for (; p < end; p++) h = Math.imul(rotl((h + Math.imul(bytes[p]!, P5)) | 0, 11), P1);
  h = Math.imul(h ^ (h >>> 15), P2);
  h = Math.imul(h ^ (h >>> 13), P3);
  return (h ^ (h >>> 16)) >>> 0;
}
