import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openNpy } from '../../src/io/index.ts';
import { Dataset } from '../../src/recommender/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { collect } from '../support/vector-files.ts';

const root = temporaryDirectory();
let files = 0;

function fileOf(...parts: Uint8Array[]): string {
  const path = join(root, `array-${files++}.npy`);
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

/** The start of a file, as NumPy pads it: the numbers begin at a multiple of 64 bytes. */
function start(header: string, version = 1): Buffer {
  const lengthBytes = version === 1 ? 2 : 4;
  const bytes = Buffer.from(header);
  const padding = 63 - ((8 + lengthBytes + bytes.length) % 64);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntLE(bytes.length + padding + 1, 0, lengthBytes);
  return Buffer.concat([MAGIC, Buffer.of(version, 0), length, bytes, Buffer.from(`${' '.repeat(padding)}\n`)]);
}

const dict = (shape: string, descr = "'<f4'", fortran = 'False'): string =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

/** Numbers as bytes, by a setter of DataView. */
function bytesOf(
  values: readonly number[],
  size: number,
  set: (view: DataView, at: number, value: number) => void,
): Buffer {
  const bytes = Buffer.alloc(values.length * size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [i, value] of values.entries()) set(view, i * size, value);
  return bytes;
}

const f4 = (values: readonly number[]): Buffer =>
  bytesOf(values, 4, (view, at, value) => view.setFloat32(at, value, true));
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('a file of f32', () => {
  const path = fileOf(start(dict('(5, 3)')), f4(upTo(15).map((i) => i / 4)));

  it('tells its shape and gives all its numbers', async () => {
    const file = await openNpy(path);
    expect(file).toMatchObject({ path, shape: [5, 3], rows: 5, dimensions: 3, element: 'float32' });
    expect(await file.read()).toEqual(Float32Array.from(upTo(15), (i) => i / 4));
  });

  it.each([
    [1, [3, 3, 3, 3, 3]],
    [2, [6, 6, 3]],
    [4, [12, 3]],
    [5, [15]],
    [6, [15]],
    [undefined, [15]],
  ])('gives them in batches of %j rows, again and again', async (size, lengths) => {
    const batches = (await openNpy(path)).batches(size);
    for (let pass = 0; pass < 2; pass++) {
      const arrays = await collect(batches);
      expect(arrays.map(({ length }) => length)).toEqual(lengths);
      expect(arrays.every((array) => array instanceof Float32Array)).toBe(true);
      expect(new Set(arrays.map(({ buffer }) => buffer)).size).toBe(arrays.length);
      expect(arrays.flatMap((array) => [...array])).toEqual(upTo(15).map((i) => i / 4));
    }
  });

  it('gives 4,096 rows a batch if nothing else is said', async () => {
    const large = fileOf(start(dict('(10000, 1)')), f4(upTo(10_000)));
    const arrays = await collect((await openNpy(large)).batches());
    expect(arrays.map(({ length }) => length)).toEqual([4096, 4096, 1808]);
    expect(arrays.flatMap((array) => [...array])).toEqual(upTo(10_000));
  });

  it('makes a dataset like any other', async () => {
    const sums = Dataset.from((await openNpy(path)).batches(1)).map((row) => row[0]! + row[1]! + row[2]!);
    expect(await sums.skip(1).take(2).toArray()).toEqual([3, 5.25]);
  });

  it.skipIf(process.platform !== 'linux')('holds no handle between passes, nor after one cut short', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    const file = await openNpy(path);
    expect(open()).toBe(before);
    for await (const batch of file.batches(1)) {
      expect(batch).toHaveLength(3);
      break;
    }
    await file.read();
    expect(open()).toBe(before);
  });

  it('is read in more than one piece when it is large', async () => {
    const count = 700_001; // 2.8 MB
    const large = fileOf(start(dict(`(${count}, 1)`)), f4(upTo(count)));
    const all = await (await openNpy(large)).read();
    expect(all).toHaveLength(count);
    expect(all.every((value, i) => value === i)).toBe(true);
  });

  it('may have no rows', async () => {
    const file = await openNpy(fileOf(start(dict('(0, 3)'))));
    expect(file.shape).toEqual([0, 3]);
    expect(await file.read()).toEqual(new Float32Array(0));
    expect(await collect(file.batches())).toEqual([]);
  });

  it('keeps NaN and infinities', async () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
    expect([...(await (await openNpy(fileOf(start(dict('(1, 4)')), f4(odd)))).read())]).toEqual(odd);
  });

  it('may be followed by other bytes, as when several arrays are saved to one file', async () => {
    const [one, two] = [f4([1, 2]), f4([3, 4])];
    const head = start(dict('(1, 2)'));
    expect(await (await openNpy(fileOf(head, one, head, two))).read()).toEqual(Float32Array.of(1, 2));
  });
});

describe('types of numbers', () => {
  type Case = [string, number, (view: DataView, at: number, value: number) => void, number[]];
  const cases: Case[] = [
    ['<f4', 4, (v, at, x) => v.setFloat32(at, x, true), [1.5, -2.25, 1e-40, 3e38]],
    ['>f4', 4, (v, at, x) => v.setFloat32(at, x, false), [1.5, -2.25, 1e-40, 3e38]],
    ['<f8', 8, (v, at, x) => v.setFloat64(at, x, true), [0.1, -1 / 3, 1e-40, 1e300]],
    ['>f8', 8, (v, at, x) => v.setFloat64(at, x, false), [0.1, -1 / 3, 1e-40, 1e300]],
    ['|i1', 1, (v, at, x) => v.setInt8(at, x), [0, 127, -128, -1]],
    ['|u1', 1, (v, at, x) => v.setUint8(at, x), [0, 127, 128, 255]],
    ['<i2', 2, (v, at, x) => v.setInt16(at, x, true), [0, 32767, -32768, -2]],
    ['<u2', 2, (v, at, x) => v.setUint16(at, x, true), [0, 32767, 32768, 65535]],
    ['>u2', 2, (v, at, x) => v.setUint16(at, x, false), [0, 32767, 32768, 65534]],
    ['<i4', 4, (v, at, x) => v.setInt32(at, x, true), [0, 2 ** 31 - 1, -(2 ** 31), -16_777_217]],
    ['<u4', 4, (v, at, x) => v.setUint32(at, x, true), [0, 2 ** 31, 2 ** 32 - 1, 16_777_217]],
    ['<i8', 8, (v, at, x) => v.setBigInt64(at, BigInt(x), true), [0, -1, 2 ** 53, -(2 ** 40)]],
    ['<u8', 8, (v, at, x) => v.setBigUint64(at, BigInt(x), true), [0, 1, 2 ** 63, 2 ** 40]],
  ];

  it.each(cases)('%s becomes the nearest f32', async (name, size, set, values) => {
    const path = fileOf(start(dict('(2, 2)', `'${name}'`)), bytesOf(values, size, set));
    const file = await openNpy(path);
    expect(await file.read()).toEqual(Float32Array.from(values));
    expect(await collect(file.batches(1))).toEqual([
      Float32Array.from(values.slice(0, 2)),
      Float32Array.from(values.slice(2)),
    ]);
  });

  // Sign, exponent and fraction of each by hand.
  const HALVES: [number, number][] = [
    [0x0000, 0],
    [0x8000, -0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65504],
    [0x0400, 2 ** -14],
    [0x0001, 2 ** -24],
    [0x83ff, -1023 * 2 ** -24],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
  ];

  it.each([true, false])('f2 becomes f32, little-endian: %j', async (little) => {
    const bytes = bytesOf(
      HALVES.map(([bits]) => bits),
      2,
      (view, at, bits) => view.setUint16(at, bits, little),
    );
    const file = await openNpy(fileOf(start(dict('(6, 2)', little ? "'<f2'" : "'>f2'")), bytes));
    expect([...(await file.read())]).toEqual(HALVES.map(([, value]) => value));
  });

  it.each([
    "'<c8'",
    "'|S4'",
    "'<U4'",
    "'|b1'",
    "'|O'",
    "'<f16'",
    "'<i3'",
    "'|f4'",
    "'f4'",
    "''",
    "[('a', '<f4'), ('b', '<f4')]",
  ])('refuses %s', async (descr) => {
    const path = fileOf(start(dict('(1, 1)', descr)), Buffer.alloc(64));
    const error = await failureOf(openNpy(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toContain(`byte 10: numbers are of type ${descr}, and known are f2, f4, f8,`);
  });
});

describe('headers', () => {
  it.each([
    [1, dict('(2, 1)')],
    [2, dict('(2, 1)')],
    [3, dict('(2, 1)')],
    [3, `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), 'ünïcode': 1}`],
    [1, `{'shape': (2, 1), 'fortran_order': False, 'descr': '<f4'}`],
    [1, `{"descr":"<f4","fortran_order":False,"shape":(2,1)}`],
    [1, `{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }`],
    [1, `  {'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 2 , 1 , ) , }`],
  ])('of version %i are understood: %s', async (version, header) => {
    const file = await openNpy(fileOf(start(header, version), f4([5, 6])));
    expect(file.shape).toEqual([2, 1]);
    expect(await file.read()).toEqual(Float32Array.of(5, 6));
  });

  it('may be longer than version 1 allows', async () => {
    const header = `${dict('(2, 1)').slice(0, -1)}'padding': '${'x'.repeat(100_000)}'}`;
    expect(await (await openNpy(fileOf(start(header, 2), f4([5, 6])))).read()).toEqual(Float32Array.of(5, 6));
  });

  it.each([
    ['(4,)', '(4,)'],
    ['()', '()'],
    ['(2, 2, 1)', '(2, 2, 1)'],
    ['(4, 0)', '(4, 0)'],
  ])('of the shape %s are refused', async (given, shown) => {
    const path = fileOf(start(dict(given)), f4([1, 2, 3, 4]));
    const error = await failureOf(openNpy(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toBe(`${path}, byte 10: the array has the shape ${shown} where (rows, dimensions) is needed`);
  });

  it('in Fortran order are refused, with a way out', async () => {
    const path = fileOf(start(dict('(2, 2)', "'<f4'", 'True')), f4([1, 2, 3, 4]));
    const error = await failureOf(openNpy(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toContain('np.save(path, np.ascontiguousarray(array))');
  });

  it.each([
    ['not a dict', 'the header is no Python dict'],
    ['', 'the header is no Python dict'],
    [`{'fortran_order': False, 'shape': (1, 1)}`, 'the header gives no descr'],
    [`{'descr': '<f4', 'shape': (1, 1)}`, 'the header gives no fortran_order'],
    [`{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 1)}`, 'the header gives no fortran_order'],
    [`{'descr': '<f4', 'fortran_order': False}`, 'the header gives no shape'],
    [dict('(-1, 1)'), 'the header gives no shape'],
    [dict('(1.5, 1)'), 'the header gives no shape'],
    [dict('[1, 1]'), 'the header gives no shape'],
    [dict('(1 1)'), 'the shape (1 1) is not'],
    [dict('(1,, 1)'), 'the shape (1,, 1) is not'],
    [dict('(99999999999999999999, 1)'), 'the shape (99999999999999999999, 1) is not'],
  ])('that say something else are refused: %s', async (header, problem) => {
    const path = fileOf(start(header), Buffer.alloc(64));
    const error = await failureOf(openNpy(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toContain(`${path}, byte 10: ${problem}`);
  });

  it.each([0, 4, 255])('of version %i are refused', async (version) => {
    const path = fileOf(MAGIC, Buffer.of(version, 0), Buffer.alloc(100));
    const error = await failureOf(openNpy(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toContain(`byte 6: the version is ${version}.0`);
  });
});

describe('a damaged file', () => {
  it.each([
    ['PK\x03\x04 a zip', 0],
    ['\x93NUMPX', 5],
    ['text', 0],
    ['\x93N-', 2],
  ])('of another kind is told by its first bytes: %j', async (content, byte) => {
    const path = fileOf(Buffer.from(content, 'latin1'));
    const error = await failureOf(openNpy(path));
    expect(error).toMatchObject({ code: 'SCANNERY_BAD_MAGIC', path });
    expect(error.message).toContain(`byte ${byte} `);
  });

  it.each([1, 2, 3])('cut at any byte says so, version %i', async (version) => {
    const whole = Buffer.concat([start(dict('(2, 2)'), version), f4([1, 2, 3, 4])]);
    for (let size = 0; size < whole.length; size++) {
      const path = fileOf(whole.subarray(0, size));
      const error = await failureOf(openNpy(path));
      expect(error).toMatchObject({ code: 'SCANNERY_TRUNCATED', path, value: size });
      expect(error.message).toContain(`the file at byte ${size}`);
    }
  });

  it('reserves no memory for sizes that the file does not have', async () => {
    const long = fileOf(MAGIC, Buffer.of(2, 0, 0xff, 0xff, 0xff, 0xff));
    expect((await failureOf(openNpy(long))).message).toContain(`its header would end at byte ${12 + 2 ** 32 - 1}`);
    for (const shape of ['(1000000000000, 1000)', '(9007199254740991, 9007199254740991)', '(1, 9007199254740991)']) {
      const path = fileOf(start(dict(shape)), f4([1, 2, 3]));
      const error = await failureOf(openNpy(path));
      expect(error).toMatchObject({ code: 'SCANNERY_TRUNCATED', path });
      expect(error.message).toContain('its array would end at byte');
    }
  });

  it('cut or removed after it was opened says so', async () => {
    const path = fileOf(start(dict('(4, 1)')), f4([1, 2, 3, 4]));
    const file = await openNpy(path);
    truncateSync(path, 128 + 9);
    const seen: number[] = [];
    const pass = (async () => {
      for await (const [value] of file.batches(1)) seen.push(value!);
    })();
    expect(await failureOf(pass)).toMatchObject({ code: 'SCANNERY_TRUNCATED', path, value: 137 });
    expect(seen).toEqual([1, 2]);
    expect(await failureOf(file.read())).toMatchObject({ code: 'SCANNERY_TRUNCATED', path });
    await rm(path);
    expect(await failureOf(file.read())).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path });
  });

  it('that is missing or a directory is told apart', async () => {
    const missing = join(root, 'nowhere.npy');
    expect(await failureOf(openNpy(missing))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: missing });
    expect(await failureOf(openNpy(root))).toMatchObject({
      code: 'SCANNERY_IO',
      path: root,
      cause: { code: 'EISDIR' },
    });
  });
});

describe('an array too large for one Float32Array', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('is refused whole, with a way out', async () => {
    const Whole = Float32Array;
    function Limited(length: number): Float32Array {
      if (length > 4) throw new RangeError(`Invalid typed array length: ${length}`);
      return new Whole(length);
    }
    const path = fileOf(start(dict('(4, 2)')), f4(upTo(8)));
    vi.stubGlobal('Float32Array', Limited);
    const file = await openNpy(path);
    const error = await failureOf(file.read());
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toBe(`${path}: 4 rows of 2 dimensions are too many for one array; read fewer at a time`);
  });
});

describe('arguments', () => {
  it.each([5, '', undefined])('%j is no path', async (path) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'path', value: path };
    expect(await failureOf(openNpy(path as string))).toMatchObject(expected);
  });

  it.each([0, -1, 1.5, '4', null])('%j is no size of batches', async (size) => {
    const file = await openNpy(fileOf(start(dict('(1, 1)')), f4([1])));
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'size', value: size };
    expect(await failureOf(() => file.batches(size as number))).toMatchObject(expected);
  });
});
