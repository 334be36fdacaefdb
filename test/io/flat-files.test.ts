import { readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type ElementName,
  openBvecs,
  openFbin,
  openFvecs,
  openI8bin,
  openIbin,
  openIvecs,
  openU8bin,
  type VectorFile,
} from '../../src/io/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { bin, bytesOf, collect, vecs, written } from '../support/vector-files.ts';

const root = temporaryDirectory();
let files = 0;
const fileOf = (bytes: Uint8Array): string => written(join(root, `file-${files++}`), bytes);

type Opener = (path: string) => Promise<VectorFile>;
const matrix = (rows: number, dimensions: number, value = (i: number): number => i): number[][] =>
  Array.from({ length: rows }, (_, row) => Array.from({ length: dimensions }, (_, i) => value(row * dimensions + i)));

interface Format {
  name: string;
  element: ElementName;
  openFile: Opener;
  values: number[];
  write: (vectors: readonly (readonly number[])[]) => Buffer;
}

const bins = (element: ElementName) => (vectors: readonly (readonly number[])[]) =>
  bin(element, vectors.length, vectors[0]!.length, vectors.flat());
const format = (name: string, element: ElementName, openFile: Opener, values: number[]): Format => ({
  ...{ name, element, openFile, values },
  write: name.endsWith('vecs') ? (vectors) => vecs(element, vectors) : bins(element),
});
const FLOATS = [1.5, -2.25, 1e-40, 3e38, 0, -0, 0.5, 7, Number.NaN, Number.NEGATIVE_INFINITY, 2, 3];
const BYTES = [0, 1, 127, 128, 200, 255, 3, 4, 5, 6, 7, 8];
const INTEGERS = [0, -1, 2 ** 31 - 1, -(2 ** 31), 16_777_217, 5, 6, 7, 8, 9, 10, 11];
const FORMATS = [
  format('fvecs', 'float32', openFvecs, FLOATS),
  format('bvecs', 'uint8', openBvecs, BYTES),
  format('ivecs', 'int32', openIvecs, INTEGERS),
  format('fbin', 'float32', openFbin, FLOATS),
  format('u8bin', 'uint8', openU8bin, BYTES),
  format('i8bin', 'int8', openI8bin, [0, -128, 127, -1, 1, 2, 3, 4, 5, 6, 7, 8]),
  format('ibin', 'int32', openIbin, INTEGERS),
];

describe.each(FORMATS)('$name', ({ name, element, openFile, values, write }) => {
  const path = fileOf(write(matrix(4, 3, (i) => values[i]!)));

  it('gives its numbers as f32', async () => {
    const file = await openFile(path);
    expect(file).toMatchObject({ path, rows: 4, dimensions: 3, element });
    expect(await file.read()).toEqual(Float32Array.from(values));
    expect(await file.read({ firstRow: 1, count: 2 })).toEqual(Float32Array.from(values.slice(3, 9)));
  });

  it('gives them in chunks, again and again', async () => {
    const chunks = (await openFile(path)).chunks({ rowsPerChunk: 3 });
    for (let pass = 0; pass < 2; pass++) {
      const found = await collect(chunks);
      expect(found).toEqual([
        { vectors: Float32Array.from(values.slice(0, 9)) },
        { vectors: Float32Array.from(values.slice(9)) },
      ]);
    }
    const [one, other] = [chunks[Symbol.asyncIterator](), chunks[Symbol.asyncIterator]()];
    expect(await one.next()).toEqual(await other.next());
    await one.return!();
    await other.return!();
  });

  it('is read over the borders of pieces', async () => {
    const [rows, dimensions] = [9001, 120]; // 1 to 4 MB
    const many = matrix(rows, dimensions, (i) => i % 127);
    const file = await openFile(fileOf(write(many)));
    const [found] = await collect(file.chunks({ rowsPerChunk: rows }));
    expect(Buffer.from(found!.vectors.buffer).equals(Buffer.from(Float32Array.from(many.flat()).buffer))).toBe(true);
    const last = await file.read({ firstRow: 8999, count: 5 });
    expect([...last]).toEqual(many.slice(8999).flat());
  });

  it.each(['a missing file', 'a directory'])('is not %s', async (what) => {
    const wrong = what === 'a directory' ? root : join(root, 'nowhere');
    const code = what === 'a directory' ? 'SCANNERY_IO' : 'SCANNERY_NOT_FOUND';
    expect(await failureOf(openFile(wrong))).toMatchObject({ code, path: wrong });
  });

  it('is refused when it was cut anywhere', async () => {
    const whole = write(matrix(3, 2));
    const record = name.endsWith('vecs') ? whole.length / 3 : Number.POSITIVE_INFINITY;
    for (let size = 0; size < whole.length; size++) {
      const cutPath = fileOf(whole.subarray(0, size));
      // Whole vectors of TEXMEX are a file too.
      if (size > 0 && size % record === 0) {
        expect((await openFile(cutPath)).rows).toBe(size / record);
        continue;
      }
      const error = await failureOf(openFile(cutPath));
      expect(error).toMatchObject({ code: 'SCANNERY_TRUNCATED', path: cutPath, value: size });
      expect(error.message).toContain(`the file at byte ${size}`);
    }
  });

  it('that is cut or removed after it was opened says so', async () => {
    const changing = fileOf(write(matrix(4, 3)));
    const file = await openFile(changing);
    const passing = file.chunks({ rowsPerChunk: 2 })[Symbol.asyncIterator]();
    expect((await passing.next()).value.vectors).toEqual(Float32Array.from([0, 1, 2, 3, 4, 5]));
    truncateSync(changing, 13);
    expect(await failureOf(passing.next())).toMatchObject({ code: 'SCANNERY_TRUNCATED', path: changing, value: 13 });
    rmSync(changing);
    expect(await failureOf(file.read())).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: changing });
  });

  it.each([5, '', undefined])('has no path %j', async (wrong) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'path', value: wrong };
    expect(await failureOf(openFile(wrong as string))).toMatchObject(expected);
  });
});

describe('chunks', () => {
  const path = fileOf(bin('float32', 10, 2, matrix(10, 2).flat()));

  it.each([
    [{}, [20]],
    [{ rowsPerChunk: 1 }, Array(10).fill(2)],
    [{ rowsPerChunk: 3 }, [6, 6, 6, 2]],
    [{ rowsPerChunk: 5 }, [10, 10]],
    [{ rowsPerChunk: 11 }, [20]],
    [{ rowsPerChunk: 3, firstRow: 4 }, [6, 6]],
    [{ rowsPerChunk: 3, firstRow: 4, count: 4 }, [6, 2]],
    [{ firstRow: 9, count: 100 }, [2]],
    [{ firstRow: 10 }, []],
    [{ count: 0 }, []],
  ])('of %j have the lengths %j', async (options, lengths) => {
    const file = await openFbin(path);
    const found = await collect(file.chunks(options));
    expect(found.map(({ vectors }) => vectors.length)).toEqual(lengths);
    expect(found.every((chunk) => !('ids' in chunk))).toBe(true);
    expect(new Set(found.map(({ vectors }) => vectors.buffer)).size).toBe(found.length);
    const { firstRow = 0, count = 10 } = options as { firstRow?: number; count?: number };
    const expected = matrix(10, 2)
      .slice(firstRow, firstRow + count)
      .flat();
    expect(found.flatMap(({ vectors }) => [...vectors])).toEqual(expected);
    expect([...(await file.read({ firstRow, count }))]).toEqual(expected);
  });

  it('hold 4,096 rows if nothing else is said', async () => {
    const file = await openU8bin(fileOf(bin('uint8', 10_000, 1, Array(10_000).fill(7))));
    expect((await collect(file.chunks())).map(({ vectors }) => vectors.length)).toEqual([4096, 4096, 1808]);
  });

  it('may name the rows', async () => {
    const found = await collect((await openFbin(path)).chunks({ rowsPerChunk: 2, firstRow: 5, count: 3, ids: 'row' }));
    expect(found.map(({ ids }) => ids)).toEqual([[5, 6], [7]]);
  });

  it.each([
    ['rowsPerChunk', 0],
    ['rowsPerChunk', 1.5],
    ['firstRow', -1],
    ['firstRow', 11],
    ['count', -1],
    ['count', '4'],
    ['ids', 'name'],
    ['rows', 3],
  ])('have no %s of %j', async (option, value) => {
    const file = await openFbin(path);
    const error = await failureOf(() => file.chunks({ [option]: value }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
  });

  it.skipIf(process.platform !== 'linux')('leave no handle open', async () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const file = await openFbin(path);
    for await (const { vectors } of file.chunks({ rowsPerChunk: 1 })) {
      expect(vectors).toHaveLength(2);
      break;
    }
    await file.read();
    expect(count()).toBe(before);
  });
});

describe('vectors behind their dimensions', () => {
  it.each([0, -1, -(2 ** 31)])('of dimension %i are refused', async (dimension) => {
    const path = fileOf(Buffer.concat([bytesOf('int32', [dimension]), Buffer.alloc(64)]));
    const error = await failureOf(openFvecs(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: 0 });
    expect(error.message).toBe(`${path}, byte 0: the dimension is ${dimension}, and at least 1 is needed`);
  });

  it.each([
    [openFvecs, 4 + 4 * (2 ** 31 - 1)],
    [openBvecs, 4 + 2 ** 31 - 1],
  ])('of a dimension that the file has no room for are refused before memory is reserved', async (openFile, end) => {
    const path = fileOf(Buffer.concat([bytesOf('int32', [2 ** 31 - 1]), Buffer.alloc(64)]));
    const error = await failureOf(openFile(path));
    expect(error).toMatchObject({ code: 'SCANNERY_TRUNCATED', path, value: 68 });
    expect(error.message).toContain(`would end at byte ${end}, and the file at byte 68`);
  });

  it('of different dimensions are told by the size of the file', async () => {
    const path = fileOf(vecs('float32', [[1, 2, 3], [4, 5, 6], [7]]));
    const error = await failureOf(openFvecs(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: 2 });
    expect(error.message).toContain(`${path}, byte 32: 8 bytes are left behind 2 vectors of 3 dimensions`);
  });

  it('of different dimensions are told where they are when the size fits', async () => {
    const path = fileOf(vecs('float32', [[1, 2], [3, 4], [5], [6, 7, 8], [9, 10]]));
    const file = await openFvecs(path);
    expect(file.rows).toBe(5);
    const found: number[] = [];
    const pass = (async () => {
      for await (const { vectors } of file.chunks({ rowsPerChunk: 1 })) found.push(...vectors);
    })();
    const error = await failureOf(pass);
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: 2 });
    expect(error.message).toBe(`${path}, byte 24: vector 2 has the dimension 1 where that of the first is 2`);
    expect(found).toEqual([1, 2, 3, 4]);
    expect(await failureOf(file.read())).toMatchObject({ code: 'SCANNERY_INVALID_DATA', row: 2 });
    expect(await file.read({ count: 2 })).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(await failureOf(file.read({ firstRow: 2, count: 1 }))).toMatchObject({ row: 2 });
  });
});

describe('vectors behind one header', () => {
  it('may be none', async () => {
    const file = await openFbin(fileOf(bin('float32', 0, 2 ** 32 - 1, [])));
    expect(file).toMatchObject({ rows: 0, dimensions: 2 ** 32 - 1 });
    expect(await file.read()).toEqual(new Float32Array(0));
    expect(await collect(file.chunks())).toEqual([]);
  });

  it.each([0, 3])('of no dimensions are refused, %i rows', async (rows) => {
    const path = fileOf(bin('float32', rows, 0, []));
    const error = await failureOf(openFbin(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toBe(`${path}, byte 4: the dimension is 0, and at least 1 is needed`);
  });

  it.each([
    [2 ** 32 - 1, 2 ** 32 - 1],
    [1, 2 ** 31 - 1],
    [2 ** 32 - 1, 1],
    [2 ** 31, 2 ** 31],
  ])('of %i rows and %i dimensions that the file has no room for are refused', async (rows, dimensions) => {
    const path = fileOf(bin('float32', rows, dimensions, [1, 2, 3]));
    const error = await failureOf(openFbin(path));
    expect(error).toMatchObject({ code: 'SCANNERY_TRUNCATED', path, value: 20 });
    expect(error.message).toContain(`${rows} rows and ${dimensions} dimensions would end at byte`);
  });

  it('with more bytes than they need are refused', async () => {
    const path = fileOf(Buffer.concat([bin('uint8', 2, 3, [1, 2, 3, 4, 5, 6]), Buffer.alloc(2)]));
    const error = await failureOf(openU8bin(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toBe(
      `${path}, byte 14: its array of 2 rows and 3 dimensions ends here, and the file has 2 bytes more`,
    );
  });
});
