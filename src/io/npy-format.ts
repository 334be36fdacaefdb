import { ScanneryError } from '../../protocol/errors.ts';

/** What the header of a `.npy` file says. */
export interface NpyHeader {
  readonly shape: readonly number[];
  readonly element: ElementType;
  /** Where the numbers begin, in bytes. */
  readonly dataOffset: number;
}

/** How numbers are stored. */
export interface ElementType {
  /** NumPy's name, such as `<f4`. */
  readonly name: string;
  readonly bytes: number;
  /** Converts `count` numbers that begin at byte `at`. */
  readonly decode: (view: DataView, at: number, out: Float32Array, count: number) => void;
}

type Read = (view: DataView, at: number, little: boolean) => number;

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
/** Magic, version, and the length of the header in 2 bytes (version 1) or 4. */
export const MOST_PREAMBLE_BYTES = 12;

const READERS: Record<string, Read> = {
  f2: (view, at, little) => half(view.getUint16(at, little)),
  f4: (view, at, little) => view.getFloat32(at, little),
  f8: (view, at, little) => view.getFloat64(at, little),
  i1: (view, at) => view.getInt8(at),
  u1: (view, at) => view.getUint8(at),
  i2: (view, at, little) => view.getInt16(at, little),
  u2: (view, at, little) => view.getUint16(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  i8: (view, at, little) => Number(view.getBigInt64(at, little)),
  u8: (view, at, little) => Number(view.getBigUint64(at, little)),
};

/**
 * Where the header lies.
 *
 * @param start the first bytes of the file, `MOST_PREAMBLE_BYTES` or all that there are
 * @throws {ScanneryError} SCANNERY_BAD_MAGIC, SCANNERY_TRUNCATED, SCANNERY_INVALID_DATA for an unknown version
 */
export function headerExtent(start: Uint8Array, path: string): { offset: number; length: number; version: number } {
  const common = Math.min(start.length, MAGIC.length);
  const wrong = MAGIC.slice(0, common).findIndex((byte, i) => start[i] !== byte);
  if (wrong >= 0) {
    throw new ScanneryError('SCANNERY_BAD_MAGIC', `${path} is no .npy file: byte ${wrong} is not that of its magic`, {
      path,
    });
  }
  const version = start[6];
  if (version === undefined) throw cut(path, 8, start.length, 'its magic and version');
  if (version < 1 || version > 3) {
    throw invalidAt(path, 6, `the version is ${version}.${start[7] ?? '?'}, and 1.0, 2.0 and 3.0 are known`);
  }
  const offset = version === 1 ? 10 : 12;
  if (start.length < offset) throw cut(path, offset, start.length, 'the length of its header');
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  return { offset, length: version === 1 ? view.getUint16(8, true) : view.getUint32(8, true), version };
}

/**
 * Reads a header, the literal of a Python dict with the keys descr, fortran_order and shape.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_DATA
 */
export function parseHeader(bytes: Uint8Array, offset: number, version: number, path: string): NpyHeader {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(version < 3 ? 'latin1' : 'utf8');
  const dictionary = /^\s*\{([\s\S]*)\}\s*$/.exec(text)?.[1];
  if (dictionary === undefined) throw invalidAt(path, offset, 'the header is no Python dict');
  const value = (key: string, pattern: string): string => {
    const found = new RegExp(`(?:^|,)\\s*(['"])${key}\\1\\s*:\\s*(${pattern})\\s*(?=,|$)`).exec(dictionary)?.[2];
    if (found !== undefined) return found;
    throw invalidAt(path, offset, `the header gives no ${key} that is understood: ${text.trim().slice(0, 200)}`);
  };
  const element = elementType(value('descr', `'[^']*'|"[^"]*"|\\[[\\s\\S]*?\\]`), offset, path);
  if (value('fortran_order', 'True|False') === 'True') {
    const advice = 'save it with np.save(path, np.ascontiguousarray(array))';
    throw invalidAt(path, offset, `the array is in Fortran order, and C order is needed; ${advice}`);
  }
  const sizes = value('shape', '\\([\\dL,\\s]*\\)').slice(1, -1).trim();
  const shape =
    sizes === ''
      ? []
      : sizes
          .replace(/\s*,$/, '')
          .split(',')
          .map((size) => dimension(size));
  const wrong = shape.find((size) => !Number.isSafeInteger(size));
  if (wrong !== undefined) throw invalidAt(path, offset, `the shape (${sizes}) is not one of integers in range`);
  return { shape, element, dataOffset: offset + bytes.length };
}

/** Python 2 wrote some sizes as `3L`. */
function dimension(text: string): number {
  const digits = /^\s*(\d+)L?\s*$/.exec(text)?.[1];
  return digits === undefined ? Number.NaN : Number(digits);
}

function elementType(literal: string, offset: number, path: string): ElementType {
  const name = literal.slice(1, -1);
  const [, order, kind] = /^([<>|])(\w\d)$/.exec(name) ?? [];
  const read = kind === undefined ? undefined : READERS[kind];
  const bytes = Number(kind?.[1]);
  if (read === undefined || (order === '|' && bytes > 1)) {
    const known = 'f2, f4, f8, i1, u1, i2, u2, i4, u4, i8 and u8';
    throw invalidAt(path, offset, `numbers are of type ${literal.slice(0, 60)}, and known are ${known}`);
  }
  const little = order !== '>';
  const decode: ElementType['decode'] = (view, at, out, count) => {
    for (let i = 0; i < count; i++) out[i] = read(view, at + i * bytes, little);
  };
  return { name, bytes, decode };
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

export function cut(path: string, needed: number, size: number, what: string): ScanneryError {
  const message = `${path} is cut: ${what} would end at byte ${needed}, and the file at byte ${size}`;
  return new ScanneryError('SCANNERY_TRUNCATED', message, { path, value: size });
}

export function invalidAt(path: string, offset: number, problem: string): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_DATA', `${path}, byte ${offset}: ${problem}`, { path });
}
