import type { Views } from '../../views.ts';

const P1 = 2654435761;
const P2 = 2246822519;
const P3 = 3266489917;
const P4 = 668265263;
const P5 = 374761393;

function rotl(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

function round(acc: number, word: number): number {
  return Math.imul(rotl((acc + Math.imul(word, P2)) | 0, 13), P1);
}

/** XXH32 of a run of bytes (xxHash specification, Y. Collet). As from WebAssembly, the u32 comes out as a signed number. */
export function xxh32(views: Views, bytes: number, length: number, seed: number): number {
  const { u8 } = views;
  const word = (p: number): number => u8[p]! | (u8[p + 1]! << 8) | (u8[p + 2]! << 16) | (u8[p + 3]! << 24);
  let p = bytes >>> 0;
  const end = p + (length >>> 0);
  let h: number;
  if (end - p >= 16) {
    let a = (seed + P1 + P2) | 0;
    let b = (seed + P2) | 0;
    let c = seed | 0;
    let d = (seed - P1) | 0;
    do {
      a = round(a, word(p));
      b = round(b, word(p + 4));
      c = round(c, word(p + 8));
      d = round(d, word(p + 12));
      p += 16;
    } while (p <= end - 16);
    h = (rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18)) | 0;
  } else h = (seed + P5) | 0;
  h = (h + length) | 0;
  for (; p + 4 <= end; p += 4) h = Math.imul(rotl((h + Math.imul(word(p), P3)) | 0, 17), P4);
  for (; p < end; p++) h = Math.imul(rotl((h + Math.imul(u8[p]!, P5)) | 0, 11), P1);
  h = Math.imul(h ^ (h >>> 15), P2);
  h = Math.imul(h ^ (h >>> 13), P3);
  return h ^ (h >>> 16);
}
