import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as h5wasm from 'h5wasm/node';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Index } from '../../src/index.ts';
import { eofAddress } from '../../src/io/hdf5-superblock.ts';
import { type ElementName, openHdf5, openVectors, readIntegers } from '../../src/io/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { collect, written } from '../support/vector-files.ts';

const root = temporaryDirectory();
const path = join(root, 'benchmark.hdf5');
const [rows, dimensions] = [1000, 6];
const train = Float32Array.from({ length: rows * dimensions }, (_, i) => Math.fround(Math.sin(i * i)));
const neighbors = Int32Array.from({ length: 8 }, (_, i) => 900 - i);

type Dataset = Parameters<h5wasm.File['create_dataset']>[0];

function write(to: string, datasets: readonly Dataset[], distance?: string): string {
  const file = new h5wasm.File(to, 'w');
  for (const dataset of datasets) file.create_dataset(dataset);
  if (distance !== undefined) file.create_attribute('distance', distance);
  file.create_group('group').create_dataset({ name: 'inner', data: Float32Array.of(1, 2), shape: [1, 2] });
  file.close();
  return to;
}

beforeAll(async () => {
  await h5wasm.ready;
  const datasets: Dataset[] = [
    { name: 'train', data: train, shape: [rows, dimensions] },
    { name: 'test', data: train.slice(0, 4 * dimensions), shape: [4, dimensions] },
    { name: 'neighbors', data: neighbors, shape: [4, 2] },
    { name: 'distances', data: Float64Array.of(0.1, 1 / 3, 1e300, 2), shape: [2, 2] },
    { name: 'packed', data: train, shape: [rows, dimensions], chunks: [64, dimensions], compression: 6 },
    { name: 'flat', data: train },
    { name: 'cube', data: train.slice(0, 8), shape: [2, 2, 2] },
    { name: 'words', data: ['a', 'b'], shape: [2, 1] },
    { name: 'none', data: new Float32Array(0), shape: [0, 3] },
    { name: 'narrow', data: new Float32Array(0), shape: [3, 0] },
  ];
  write(path, datasets, 'angular');
});

describe('a file of ann-benchmarks', () => {
  it('gives the vectors to search', async () => {
    const file = await openHdf5(path);
    const expected = { path, rows, dimensions, element: 'float32', dataset: 'train', distance: 'angular' };
    expect(file).toMatchObject(expected);
    expect(await file.read()).toEqual(train);
    expect(await file.read({ firstRow: 998, count: 9 })).toEqual(train.slice(998 * dimensions));
  });

  it('gives them in chunks, again and again', async () => {
    const chunks = (await openHdf5(path, { dataset: 'packed' })).chunks({
      rowsPerChunk: 300,
      firstRow: 50,
      ids: 'row',
    });
    for (let pass = 0; pass < 2; pass++) {
      const found = await collect(chunks);
      expect(found.map(({ vectors }) => vectors.length / dimensions)).toEqual([300, 300, 300, 50]);
      expect(found.map(({ ids }) => ids![0])).toEqual([50, 350, 650, 950]);
      expect(found.flatMap(({ vectors }) => [...vectors])).toEqual([...train.slice(50 * dimensions)]);
    }
  });

  it('is opened by its extension, and an index built of it', async () => {
    const file = await openVectors(path);
    await using index = await Index.build(file.chunks({ rowsPerChunk: 300 }), {
      ...{ dimensions, metric: 'cosine', threads: 1 },
    });
    const queries = await (await openVectors(path, { dataset: 'test' })).read();
    const found = await index.searchBatch(queries, { k: 1 });
    expect(found.map(({ ids }) => ids[0])).toEqual([0, 1, 2, 3]);
  });

  it('gives the true neighbours as integers', async () => {
    expect(await readIntegers(path)).toEqual({ rows: 4, dimensions: 2, data: neighbors });
    expect(await readIntegers(path, { dataset: undefined, runtime: h5wasm })).toMatchObject({ rows: 4 });
    const error = await failureOf(readIntegers(path, { dataset: 'distances' }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toContain('the dataset distances is of type float64, and integers are needed');
  });

  it('may hold other datasets, within groups too', async () => {
    expect(await (await openHdf5(path, { dataset: 'distances' })).read()).toEqual(
      Float32Array.of(0.1, 1 / 3, Number.POSITIVE_INFINITY, 2),
    );
    expect(await (await openHdf5(path, { dataset: 'group/inner' })).read()).toEqual(Float32Array.of(1, 2));
    expect(await (await openHdf5(path, { dataset: '/group/inner' })).read()).toEqual(Float32Array.of(1, 2));
  });

  it('may have no rows', async () => {
    const file = await openHdf5(path, { dataset: 'none' });
    expect(file).toMatchObject({ rows: 0, dimensions: 3 });
    expect(await file.read()).toEqual(new Float32Array(0));
    expect(await collect(file.chunks())).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')('leaves no handle open', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    const file = await openHdf5(path);
    const before = open();
    for await (const { vectors } of file.chunks({ rowsPerChunk: 10 })) {
      expect(vectors).toHaveLength(10 * dimensions);
      break;
    }
    await file.read();
    await failureOf(openHdf5(path, { dataset: 'flat' }));
    await failureOf(openHdf5(path, { dataset: 'nothing' }));
    expect(open()).toBe(before);
  });
});

describe('types of numbers', () => {
  it.each<[ElementName, Dataset['data']]>([
    ['int8', Int8Array.of(-128, 127)],
    ['uint8', Uint8Array.of(0, 255)],
    ['int16', Int16Array.of(-32768, 32767)],
    ['uint16', Uint16Array.of(0, 65535)],
    ['int32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
    ['uint32', Uint32Array.of(0, 2 ** 31 - 1)],
    ['int64', BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n)],
    ['uint64', BigUint64Array.of(0n, 2n ** 31n - 1n)],
  ])('%s become f32, and i32', async (element, data) => {
    const numbers = Array.from(data as ArrayLike<number | bigint>, Number);
    const file = write(join(root, `${element}.h5`), [{ name: 'train', data, shape: [1, 2] }]);
    const opened = await openVectors(file);
    expect(opened.element).toBe(element);
    expect(await opened.read()).toEqual(Float32Array.from(numbers));
    expect((await readIntegers(file, { dataset: 'train' })).data).toEqual(Int32Array.from(numbers));
    expect(await openHdf5(file)).toMatchObject({ distance: undefined });
  });

  it('beyond 32 bits are no integers that are read', async () => {
    const data = BigInt64Array.of(1n, 2n, 3n, 2n ** 31n);
    const file = write(join(root, 'wide.h5'), [{ name: 'neighbors', data, shape: [2, 2] }]);
    const error = await failureOf(readIntegers(file));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path: file, row: 1 });
    expect(error.message).toContain('has 2147483648 in row 1, which is no integer of 32 bits');
  });

  it.each([
    ['flat', 'has the shape (6000) where (rows, dimensions) is needed'],
    ['cube', 'has the shape (2, 2, 2) where'],
    ['narrow', 'has the shape (3, 0) where'],
    ['words', 'has elements of type '],
  ])('and shapes of the dataset %s are refused', async (dataset, problem) => {
    const error = await failureOf(openHdf5(path, { dataset }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path });
    expect(error.message).toContain(`${path}: the dataset ${dataset} ${problem}`);
  });
});

describe('what is wrong', () => {
  it.each(['nothing', 'group', 'group/nothing', 'train/inner'])('there is no dataset %s', async (dataset) => {
    const error = await failureOf(openHdf5(path, { dataset }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'dataset', value: dataset, path });
    expect(error.message).toContain('train');
    expect((await openHdf5(path)).rows).toBe(rows);
  });

  it.each(['', 'text', '\x89HDF\r\n\x1a', 'x'.repeat(5000)])('a file of another kind: %j', async (content) => {
    const other = written(join(root, 'other.h5'), Buffer.from(content, 'latin1'));
    expect(await failureOf(openHdf5(other))).toMatchObject({ code: 'SCANNERY_BAD_MAGIC', path: other });
  });

  it('a file that is cut', async () => {
    const whole = readFileSync(path);
    for (const size of [8, 9, 40, 47, 51, 52, 96, 1000, whole.length >> 1, whole.length - 1]) {
      const cut = written(join(root, 'cut.h5'), whole.subarray(0, size));
      const error = await failureOf(openHdf5(cut));
      expect(error).toMatchObject({ code: 'SCANNERY_TRUNCATED', path: cut, value: size });
      expect(error.message).toContain(`the file at byte ${size}`);
    }
  });

  it('a file that is cut, in a newer format or behind bytes of the user', async () => {
    const newer = join(root, 'newer.h5');
    const file = new h5wasm.File(newer, 'w', { libver: 'latest' });
    file.create_dataset({ name: 'train', data: train, shape: [rows, dimensions] });
    file.close();
    for (const [from, before] of [
      [newer, 0],
      [newer, 512],
      [path, 1024],
    ] as const) {
      const whole = Buffer.concat([Buffer.alloc(before, 1), readFileSync(from)]);
      const copy = written(join(root, 'copy.h5'), whole);
      expect(await (await openHdf5(copy)).read()).toEqual(train);
      written(copy, whole.subarray(0, -1));
      expect(await failureOf(openHdf5(copy))).toMatchObject({ code: 'SCANNERY_TRUNCATED', value: whole.length - 1 });
    }
  });

  it('a superblock that is read by its version', () => {
    const addresses = (bytes: number[], base: bigint, end: bigint): Buffer => {
      const three = Buffer.alloc(24, 0xff);
      three.writeBigUInt64LE(base, 0);
      three.writeBigUInt64LE(end, 16);
      return Buffer.concat([Buffer.from(bytes), three]);
    };
    const start = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
    expect(eofAddress(addresses([...start, 0, 0, 0, 0, 0, 8, 8, ...Array(9).fill(0)], 512n, 2560n))).toBe(2048);
    expect(eofAddress(addresses([...start, 1, 0, 0, 0, 0, 8, 8, ...Array(13).fill(0)], 0n, 2560n))).toBe(2560);
    expect(eofAddress(addresses([...start, 3, 8, 8, 0], 512n, 2560n))).toBe(2048);
    expect(eofAddress(Buffer.from([...start, 2, 4, 4, 0, 0, 2, 0, 0, 1, 1, 1, 1, 0, 4, 0, 0]))).toBe(512);
    for (const unknown of [
      [4, 8],
      [2, 16],
    ])
      expect(eofAddress(Buffer.from([...start, ...unknown]))).toBe(0);
  });

  it('a file that is damaged, which leaves others readable', async () => {
    const bytes = Buffer.from(readFileSync(path));
    bytes.fill(0xff, 96, 700);
    const damaged = written(join(root, 'damaged.h5'), bytes);
    const error = await failureOf(openHdf5(damaged));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path: damaged });
    expect(error.message.split('\n')).toHaveLength(1);
    expect(await (await openHdf5(path)).read()).toEqual(train);
  });

  it('numbers that cannot be unpacked', async () => {
    const data = Float32Array.from({ length: 60_000 }, (_, i) => Math.sin(i * i));
    const one: Dataset = { name: 'train', data, shape: [10_000, 6], chunks: [500, 6], compression: 6 };
    const packed = write(join(root, 'packed.h5'), [one]);
    const file = await openHdf5(packed);
    const bytes = readFileSync(packed);
    bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 30_000);
    written(packed, bytes);
    const error = await failureOf(file.read());
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path: packed });
    expect(error.cause).toBeInstanceOf(Error);
    expect(await (await openHdf5(path)).read()).toEqual(train);
  });

  it('a file that is changed or removed after it was opened', async () => {
    const changing = write(join(root, 'changing.h5'), [{ name: 'train', data: train, shape: [rows, dimensions] }]);
    const file = await openHdf5(changing);
    write(changing, [{ name: 'train', data: train, shape: [dimensions, rows] }]);
    const error = await failureOf(file.read());
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path: changing });
    expect(error.message).toContain(
      'was changed: rows, dimensions and type were 1000,6,float32 and are 6,1000,float32',
    );
    rmSync(changing);
    expect(await failureOf(collect(file.chunks()))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: changing });
  });

  it.each([
    ['dataset', ''],
    ['dataset', 5],
    ['runtime', 'h5wasm'],
    ['runtime', { File: 1 }],
    ['name', 'train'],
  ])('the option %s of %j', async (option, value) => {
    const error = await failureOf(openHdf5(path, { [option]: value }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, value });
  });
});

describe('the package h5wasm', () => {
  it.each([
    ['a module', h5wasm],
    ['what a module has as its default', { default: h5wasm.default }],
  ])('may be given: %s', async (_, runtime) => {
    expect((await openHdf5(path, { runtime })).rows).toBe(rows);
  });

  it('is asked for when it is not there', async () => {
    vi.resetModules();
    vi.doMock('h5wasm/node', () => {
      throw new Error('there is none');
    });
    try {
      const { openHdf5: openWithout } = await import('../../src/io/hdf5.ts');
      const error: unknown = await openWithout(path).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'ScanneryError', code: 'SCANNERY_MISSING_PACKAGE' });
      expect((error as Error).message).toContain('npm install h5wasm');
    } finally {
      vi.doUnmock('h5wasm/node');
    }
  });
});
