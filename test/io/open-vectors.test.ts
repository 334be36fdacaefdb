import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { openFvecs, openVectors, readIntegers } from '../../src/io/index.ts';
import { openNpy } from '../../src/io/npy.ts';
import { BruteForce, openNpy as sameOpenNpy } from '../../src/recommender/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { bin, bytesOf, vecs, written } from '../support/vector-files.ts';

const root = temporaryDirectory();
const fileOf = (name: string, bytes: Uint8Array): string => written(join(root, name), bytes);

/** A file of f32 as np.save writes it. */
function npy(rows: number, dimensions: number, values: readonly number[]): Buffer {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dimensions}), }`.padEnd(117);
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, 118, 0]);
  return Buffer.concat([start, Buffer.from(`${header}\n`), bytesOf('float32', values)]);
}

const VALUES = [1, 2, 3, 4, 5, 6];
const PAIR = [
  [1, 2, 3],
  [4, 5, 6],
];

describe('openVectors', () => {
  it.each([
    ['a.npy', npy(2, 3, VALUES), 'float32'],
    ['a.fvecs', vecs('float32', PAIR), 'float32'],
    ['a.BVECS', vecs('uint8', PAIR), 'uint8'],
    ['a.ivecs', vecs('int32', PAIR), 'int32'],
    ['a.b.fbin', bin('float32', 2, 3, VALUES), 'float32'],
    ['a.u8bin', bin('uint8', 2, 3, VALUES), 'uint8'],
    ['A.I8BIN', bin('int8', 2, 3, VALUES), 'int8'],
    ['a.ibin', bin('int32', 2, 3, VALUES), 'int32'],
  ])('opens %s', async (name, bytes, element) => {
    const path = fileOf(name, bytes);
    const file = await openVectors(path);
    expect(file).toMatchObject({ path, rows: 2, dimensions: 3, element });
    expect(await file.read()).toEqual(Float32Array.from(VALUES));
  });

  it.each(['a.csv', 'a', '.fbin', 'a.fbin.gz', 'fbin'])('does not know %s, and lists what it knows', async (path) => {
    const error = await failureOf(openVectors(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'path', value: path, path });
    expect(error.message).toContain('.npy, .fvecs, .bvecs, .ivecs, .fbin, .u8bin, .i8bin, .ibin, .hdf5, .h5');
  });

  it.each([5, '', undefined])('takes no path %j', async (path) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'path', value: path };
    expect(await failureOf(openVectors(path as string))).toMatchObject(expected);
    expect(await failureOf(readIntegers(path as string))).toMatchObject(expected);
  });

  it.each(['a.npy', 'a.fvecs', 'a.fbin', 'a.hdf5'])('tells that %s is missing, or a directory', async (name) => {
    const missing = join(root, 'nowhere', name);
    expect(await failureOf(openVectors(missing))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: missing });
    const folder = temporaryDirectory();
    const { mkdirSync } = await import('node:fs');
    mkdirSync(join(folder, name));
    const expected = { code: 'SCANNERY_IO', path: join(folder, name), cause: { code: 'EISDIR' } };
    expect(await failureOf(openVectors(join(folder, name)))).toMatchObject(expected);
  });

  it('takes options for HDF5 only', async () => {
    const path = fileOf('options.fbin', bin('float32', 2, 3, VALUES));
    const error = await failureOf(openVectors(path, { dataset: 'train' }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'dataset', value: 'train' });
    expect((await openVectors(path, {})).rows).toBe(2);
  });
});

describe('readIntegers', () => {
  const values = [7, -1, 2 ** 31 - 1, -(2 ** 31), 16_777_217, 0];

  it.each([
    ['n.ivecs', vecs('int32', [values.slice(0, 3), values.slice(3)])],
    ['n.IBIN', bin('int32', 2, 3, values)],
  ])('reads %s', async (name, bytes) => {
    const path = fileOf(name, bytes);
    expect(await readIntegers(path)).toEqual({ rows: 2, dimensions: 3, data: Int32Array.from(values) });
  });

  it('reads none', async () => {
    const path = fileOf('none.ibin', bin('int32', 0, 3, []));
    expect(await readIntegers(path)).toEqual({ rows: 0, dimensions: 3, data: new Int32Array(0) });
  });

  it('checks each dimension', async () => {
    const path = fileOf('unequal.ivecs', vecs('int32', [[1, 2], [3], [4, 5, 6]]));
    expect(await failureOf(readIntegers(path))).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: 1 });
  });

  it.each(['a.fbin', 'a.npy', 'a'])('does not know %s', async (path) => {
    const error = await failureOf(readIntegers(path));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'path', value: path });
    expect(error.message).toContain('known are .ivecs, .ibin, .hdf5, .h5');
  });
});

describe('an index', () => {
  const [rows, dimensions] = [500, 4];
  const vectors = Array.from({ length: rows }, (_, row) => [row, row % 7, (row * 13) % 101, 1]);

  it.each([
    ['build.fvecs', vecs('float32', vectors)],
    ['build.fbin', bin('float32', rows, dimensions, vectors.flat())],
    ['build.npy', npy(rows, dimensions, vectors.flat())],
  ])('is built of %s, and finds its rows', async (name, bytes) => {
    const file = await openVectors(fileOf(name, bytes));
    await using index = await Index.build(file.chunks({ rowsPerChunk: 77 }), {
      dimensions: file.dimensions,
      metric: 'squared_l2',
      threads: 1,
    });
    expect(index.size).toBe(rows);
    for (const row of [0, 76, 77, 499]) {
      const { ids, scores } = await index.search(vectors[row]!, { k: 1 });
      expect([ids[0], scores[0]]).toEqual([row, 0]);
    }
  });

  it('numbers rows from the first that is read, or as the file does', async () => {
    const file = await openFvecs(fileOf('part.fvecs', vecs('float32', vectors)));
    for (const ids of ['none', 'row'] as const) {
      await using index = await Index.build(file.chunks({ firstRow: 100, count: 50, ids }), {
        dimensions,
        metric: 'squared_l2',
        threads: 1,
      });
      expect(index.size).toBe(50);
      expect((await index.search(vectors[120]!, { k: 1 })).ids).toEqual([ids === 'row' ? 120 : 20]);
    }
  });

  it('of the recommender is built of batches', async () => {
    expect(sameOpenNpy).toBe(openNpy);
    const file = await openNpy(fileOf('layer.npy', npy(rows, dimensions, vectors.flat())));
    const layer = await new BruteForce({ dimensions }).indexFromDataset(file.batches(99));
    const [, [found]] = await layer.call([[1, 0, 0, 0]], 1);
    expect([...found!]).toEqual([499]);
    await layer.close();
  });
});
