import { endianness } from 'node:os';

/** How a file stores its numbers. */
export type ElementName =
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64';

/** Numbers as they are given out. */
export type Numbers = Float32Array | Int32Array;

/** A type of numbers in a file, in one byte order. */
export interface Element {
  readonly name: ElementName;
  readonly bytes: number;
  /** Converts `count` numbers that begin at byte `at`, to the nearest that `out` can hold. */
  readonly decode: (view: DataView, at: number, out: Numbers, count: number) => void;
}

type Read = (view: DataView, at: number, little: boolean) => number;

const READERS: Readonly<Record<ElementName, readonly [bytes: number, read: Read]>> = {
  float16: [2, (view, at, little) => half(view.getUint16(at, little))],
  float32: [4, (view, at, little) => view.getFloat32(at, little)],
  float64: [8, (view, at, little) => view.getFloat64(at, little)],
  int8: [1, (view, at) => view.getInt8(at)],
  uint8: [1, (view, at) => view.getUint8(at)],
  int16: [2, (view, at, little) => view.getInt16(at, little)],
  uint16: [2, (view, at, little) => view.getUint16(at, little)],
  int32: [4, (view, at, little) => view.getInt32(at, little)],
  uint32: [4, (view, at, little) => view.getUint32(at, little)],
  int64: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  uint64: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
};

const LITTLE_HOST = endianness() === 'LE';

/** A type of numbers, in little-endian order unless it is said otherwise. */
export function element(name: ElementName, little = true): Element {
  const [bytes, read] = READERS[name];
  const one: Element['decode'] = (view, at, out, count) => {
    for (let i = 0; i < count; i++) out[i] = read(view, at + i * bytes, little);
  };
  return { name, bytes, decode: whole(name, little) ?? one };
}

/** The frequent types, a whole array at a time. */
function whole(name: ElementName, little: boolean): Element['decode'] | undefined {
  if (name === 'uint8') {
    return (view, at, out, count) => out.set(new Uint8Array(view.buffer, view.byteOffset + at, count));
  }
  if (name === 'int8') {
    return (view, at, out, count) => out.set(new Int8Array(view.buffer, view.byteOffset + at, count));
  }
  if (little !== LITTLE_HOST || (name !== 'float32' && name !== 'int32')) return undefined;
  const same = name === 'float32' ? Float32Array : Int32Array;
  return (view, at, out, count) => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, 4 * count);
    if (out instanceof same) return new Uint8Array(out.buffer, out.byteOffset, 4 * count).set(bytes);
    out.set(new same(bytes.slice().buffer)); // a copy, since numbers may begin at any byte
  };
}

/** An IEEE 754 half: sign, 5 bits of exponent, 10 of fraction. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
