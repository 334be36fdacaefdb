/** Powers of ten that are exact as doubles. */
const POWERS = Array.from({ length: 23 }, (_, power) => 10 ** power);
/** Digits that are read: as many as fit 32 bits, and as many as are exact in a double. */
const FIRST_DIGITS = 9;
const ALL_DIGITS = 15;
/** What a number of so many digits must be, if more follow, so that they are less than `OFF` of the last digits of a double. */
const ENOUGH = 1e11;
const OFF = 1 << 17;
/** The bits of a double that float32 has no room for, of which the highest alone is half way between two float32. */
const BEYOND_FLOAT = 0x1fffffff;
const HALF_WAY = 0x10000000;
/** Magnitudes between which a float32 has all its bits, and the index takes it. */
const LEAST = 1e-37;
const MOST = 1e17;

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
const LOW = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1;

const ZERO = 0x30;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const SMALL_E = 0x65;
const LARGE_E = 0x45;

/**
 * Reads arrays of numbers out of the bytes of JSON as the float32 that `Float32Array.from(JSON.parse(text))` has, in less than half
 * of the time: most of what parsing takes is digits that float32 has no room for. 15 digits tell the float32, unless they are
 * so near to half way between two that the others decide (the idea of Clinger 1990); then, and for what is very large or small, JavaScript reads
 * the number.
 */
export class FloatReader {
  /** Where reading goes on: behind what was read. */
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Reads an array of exactly so many numbers; returns whether there was one. */
  row(into: Float32Array, from: number, count: number): boolean {
    const bytes = this.#bytes;
    if (bytes[this.at] !== OPEN) return false;
    this.at = afterSpace(bytes, this.at + 1);
    for (let i = 0; i < count; i++) {
      const value = this.#number();
      if (Number.isNaN(value)) return false;
      into[from + i] = value;
      const at = afterSpace(bytes, this.at);
      if (bytes[at] !== (i === count - 1 ? CLOSE : COMMA)) return false;
      this.at = afterSpace(bytes, at + 1);
    }
    return count > 0;
  }

  /** Reads a number; NaN if there is none, or one that the index would refuse. */
  #number(): number {
    const bytes = this.#bytes;
    const start = this.at;
    const first = bytes[start] === MINUS ? start + 1 : start;
    let at = first;
    let digit = bytes[at]! - ZERO;
    // The first digits in 32 bits, which is several times as fast as in doubles.
    let high = 0;
    for (const end = at + FIRST_DIGITS; at < end && digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) {
      high = (high * 10 + digit) | 0;
    }
    const whole = at - first;
    // Whole numbers of more digits are rare.
    if (whole === 0 || (whole > 1 && bytes[first] === ZERO) || (digit >= 0 && digit <= 9)) return this.#slowly(start);
    // Zeros in front of the point say nothing.
    const taken = high === 0 ? 0 : whole;
    let low = 0;
    let lowDigits = 0;
    let exponent = 0;
    let isCut = false;
    if (bytes[at] === POINT) {
      const fraction = ++at;
      digit = bytes[at]! - ZERO;
      for (const end = at + FIRST_DIGITS - taken; at < end && digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) {
        high = (high * 10 + digit) | 0;
      }
      const middle = at;
      for (
        const end = fraction + ALL_DIGITS - taken;
        at < end && digit >= 0 && digit <= 9;
        digit = bytes[++at]! - ZERO
      ) {
        low = (low * 10 + digit) | 0;
      }
      if (at === fraction) return Number.NaN;
      lowDigits = at - middle;
      exponent = fraction - at;
      for (; digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) isCut = true;
    }
    const mark = bytes[at]!;
    if (mark === SMALL_E || mark === LARGE_E) {
      const sign = bytes[++at];
      if (sign === MINUS || sign === PLUS) at++;
      const from = at;
      let power = 0;
      for (digit = bytes[at]! - ZERO; digit >= 0 && digit <= 9; digit = bytes[++at]! - ZERO) {
        power = Math.min(1000, power * 10 + digit);
      }
      if (at === from) return Number.NaN;
      exponent += sign === MINUS ? -power : power;
    }
    const mantissa = high * POWERS[lowDigits]! + low;
    if (exponent < -22 || exponent > 22 || (isCut && mantissa < ENOUGH)) return this.#slowly(start);
    const value = exponent < 0 ? mantissa / POWERS[-exponent]! : mantissa * POWERS[exponent]!;
    double[0] = value;
    const beyond = (words[LOW]! & BEYOND_FLOAT) - HALF_WAY;
    if (value < LEAST ? mantissa !== 0 : value > MOST || (beyond <= OFF && beyond >= -OFF)) return this.#slowly(start);
    this.at = at;
    return first > start ? -value : value;
  }

  /** Has JavaScript read a number. */
  #slowly(start: number): number {
    const bytes = this.#bytes;
    let end = start;
    while (isOfNumber(bytes[end]!)) end++;
    this.at = end;
    const text = String.fromCharCode(...bytes.subarray(start, Math.min(end, start + LONGEST)));
    if (text.length === LONGEST || !NUMBER.test(text)) return Number.NaN;
    const value = Number(text);
    return Math.abs(value) <= MOST ? value : Number.NaN;
  }
}

/** Bytes of a number at the most; longer ones are left to JSON.parse. */
const LONGEST = 400;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

const isOfNumber = (byte: number): boolean =>
  (byte >= ZERO && byte <= ZERO + 9) ||
  byte === MINUS ||
  byte === PLUS ||
  byte === POINT ||
  byte === SMALL_E ||
  byte === LARGE_E;

/** The first place from here on that holds no white space of JSON. */
export function afterSpace(bytes: Uint8Array, at: number): number {
  let byte = bytes[at]!;
  while (byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)) byte = bytes[++at]!;
  return at;
}
