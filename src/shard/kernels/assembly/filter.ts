// Bits of values that pass a step of a filter, for values [count] of a column, into bits [first, first + count) of `out`, which are
// zero before. Whole words go by vectors of values, the rest one by one.

// @ts-ignore: decorator
@inline function setBit(out: usize, bit: u32, passes: u32): void {
  const at = out + (<usize>(bit >> 5) << 2);
  store<u32>(at, load<u32>(at) | (passes << (bit & 31)));
}

// @ts-ignore: decorator
@inline function equal4(values: usize, code: v128): v128 { return i32x4.eq(v128.load(values), code); }

/** Codes, u32, that are one code. */
export function passCode(values: usize, count: i32, code: u32, out: usize, first: u32): void {
  const wanted = i32x4.splat(<i32>code);
  let i = 0;
  if ((first & 31) == 0) {
    for (; i + 32 <= count; i += 32, values += 128) {
      const a = i16x8.narrow_i32x4_s(equal4(values, wanted), equal4(values + 16, wanted));
      const b = i16x8.narrow_i32x4_s(equal4(values + 32, wanted), equal4(values + 48, wanted));
      const c = i16x8.narrow_i32x4_s(equal4(values + 64, wanted), equal4(values + 80, wanted));
      const d = i16x8.narrow_i32x4_s(equal4(values + 96, wanted), equal4(values + 112, wanted));
      const low = i8x16.bitmask(i8x16.narrow_i16x8_s(a, b)), high = i8x16.bitmask(i8x16.narrow_i16x8_s(c, d));
      store<u32>(out + (<usize>((first + i) >> 5) << 2), <u32>low | (<u32>high << 16));
    }
  }
  for (; i < count; i++, values += 4) setBit(out, first + i, u32(load<u32>(values) == code));
}

/** Codes, u32, whose bit is set in u32 `codes`, which has bits for those below `known`. */
export function passCodes(values: usize, count: i32, codes: usize, known: u32, out: usize, first: u32): void {
  for (let i = 0; i < count; i++, values += 4) {
    const code = load<u32>(values);
    if (code >= known) continue;
    setBit(out, first + i, (load<u32>(codes + (<usize>(code >> 5) << 2)) >> (code & 31)) & 1);
  }
}

// @ts-ignore: decorator
@inline function within2(values: usize, least: v128, most: v128): u32 {
  const two = v128.load(values);
  return <u32>i64x2.bitmask(v128.and(f64x2.ge(two, least), f64x2.le(two, most)));
}

/** Numbers, f64, of at least `least` and at most `most`; NaN is neither. */
export function passRange(values: usize, count: i32, least: f64, most: f64, out: usize, first: u32): void {
  const from = f64x2.splat(least), to = f64x2.splat(most);
  let i = 0;
  if ((first & 31) == 0) {
    for (; i + 32 <= count; i += 32) {
      let word: u32 = 0;
      for (let bit = 0; bit < 32; bit += 8, values += 64) {
        word |= within2(values, from, to) << bit;
        word |= within2(values + 16, from, to) << (bit + 2);
        word |= within2(values + 32, from, to) << (bit + 4);
        word |= within2(values + 48, from, to) << (bit + 6);
      }
      store<u32>(out + (<usize>((first + i) >> 5) << 2), word);
    }
  }
  for (; i < count; i++, values += 8) {
    const value = load<f64>(values);
    setBit(out, first + i, u32(value >= least) & u32(value <= most));
  }
}
