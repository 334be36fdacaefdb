import { ScanneryError } from '../protocol/errors.ts';
import { type Element, type ElementName, element } from './elements.ts';
import { cut, invalidAt } from './reading.ts';

/** What the header of a `.npy` file says. */
export interface NpyHeader {
  readonly shape: readonly number[];
  readonly element: Element;
  /** Where the numbers begin, in bytes. */
  readonly dataOffset: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
/** Magic, version, and the length of the header in 2 bytes (version 1) or 4. */
export const MOST_PREAMBLE_BYTES = 12;

/** By NumPy's names: a kind, and the bytes of a number. */
const ELEMENTS: Readonly<Record<string, ElementName>> = {
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  i1: 'int8',
  u1: 'uint8',
  i2: 'int16',
  u2: 'uint16',
  i4: 'int32',
  u4: 'uint32',
  i8: 'int64',
  u8: 'uint64',
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

function elementType(literal: string, offset: number, path: string): Element {
  const [, order, kind = ''] = /^([<>|])(\w\d)$/.exec(literal.slice(1, -1)) ?? [];
  const name = Object.hasOwn(ELEMENTS, kind) ? ELEMENTS[kind] : undefined;
  if (name === undefined || (order === '|' && kind[1] !== '1')) {
    const known = 'f2, f4, f8, i1, u1, i2, u2, i4, u4, i8 and u8';
    throw invalidAt(path, offset, `numbers are of type ${literal.slice(0, 60)}, and known are ${known}`);
  }
  return element(name, order !== '>');
}
