const P1: u32 = 2654435761, P2: u32 = 2246822519, P3: u32 = 3266489917, P4: u32 = 668265263, P5: u32 = 374761393;

// @ts-ignore: decorator
@inline function round(acc: u32, p: usize): u32 { return rotl(acc + load<u32>(p) * P2, 13) * P1; }

/** XXH32 of a run of bytes (xxHash specification, Y. Collet). */
export function xxh32(p: usize, length: u32, seed: u32): u32 {
  const end = p + length;
  let h: u32;
  if (length >= 16) {
    let a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
    const limit = end - 16;
    do {
      a = round(a, p); b = round(b, p + 4); c = round(c, p + 8); d = round(d, p + 12);
      p += 16;
    } while (p <= limit);
    h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
  } else h = seed + P5;
  h += length;
  while (p + 4 <= end) { h = rotl(h + load<u32>(p) * P3, 17) * P4; p += 4; }
  while (p < end) { h = rotl(h + <u32>load<u8>(p) * P5, 11) * P1; p++; }
  h ^= h >> 15; h *= P2; h ^= h >> 13; h *= P3; h ^= h >> 16;
  return h;
}
