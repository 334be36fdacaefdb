import { extname } from 'node:path';
import { invalid, text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { openBin, openFbin, openI8bin, openIbin, openU8bin } from './big-ann.ts';
import { type Hdf5Options, openHdf5 } from './hdf5.ts';
import { openNpy } from './npy.ts';
import { openBvecs, openFvecs, openIvecs, openVecs } from './texmex.ts';
import type { IntegerMatrix, VectorFile } from './vector-file.ts';

type Open<T> = (path: string, options?: Hdf5Options) => Promise<T>;

/** Those that take no options. */
const plain =
  <T>(openFile: (path: string) => Promise<T>): Open<T> =>
  (path, options = {}) => {
    if (typeof options !== 'object' || options === null) throw invalid('options', options, 'an object');
    const [option] = Object.keys(options);
    if (option === undefined) return openFile(path);
    const message = `the option ${option} is for HDF5 files, and ${path} is of another kind`;
    const value = (options as Record<string, unknown>)[option];
    throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option, value, path });
  };

const VECTORS: Readonly<Record<string, Open<VectorFile>>> = {
  '.npy': plain(openNpy),
  '.fvecs': plain(openFvecs),
  '.bvecs': plain(openBvecs),
  '.ivecs': plain(openIvecs),
  '.fbin': plain(openFbin),
  '.u8bin': plain(openU8bin),
  '.i8bin': plain(openI8bin),
  '.ibin': plain(openIbin),
  '.hdf5': openHdf5,
  '.h5': openHdf5,
};

type Integers = { readIntegers(): Promise<IntegerMatrix> };

const hdf5Integers: Open<Integers> = (path, options) =>
  openHdf5(path, { ...options, dataset: options?.dataset ?? 'neighbors' });

const INTEGERS: Readonly<Record<string, Open<Integers>>> = {
  '.ivecs': plain((path) => openVecs(path, 'int32')),
  '.ibin': plain((path) => openBin(path, 'int32')),
  '.hdf5': hdf5Integers,
  '.h5': hdf5Integers,
};

/**
 * Opens a file of vectors by the extension of its name, in upper or lower case: `.npy`, `.fvecs`, `.bvecs`, `.ivecs`, `.fbin`,
 * `.u8bin`, `.i8bin`, `.ibin`, `.hdf5` or `.h5`. Options are those of `openHdf5`, and for its files only.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION with option 'path' for another extension; what the format's own function
 * throws
 */
export async function openVectors(path: string, options?: Hdf5Options): Promise<VectorFile> {
  return byExtension(VECTORS, path)(path, options);
}

/**
 * Reads a matrix of integers, such as the true neighbours of a benchmark's queries, by the extension of its file's name:
 * `.ivecs`, `.ibin`, `.hdf5` or `.h5`, these two with the dataset `neighbors` unless another is named.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION with option 'path' for another extension; SCANNERY_INVALID_DATA also if a
 * dataset holds floats or integers beyond 32 bits, or is too large for one array; what the format's own function throws
 */
export async function readIntegers(path: string, options?: Hdf5Options): Promise<IntegerMatrix> {
  return (await byExtension(INTEGERS, path)(path, options)).readIntegers();
}

function byExtension<T>(openers: Readonly<Record<string, T>>, path: string): T {
  const extension = extname(text(path, 'path')).toLowerCase();
  if (Object.hasOwn(openers, extension)) return openers[extension]!;
  const known = Object.keys(openers).join(', ');
  const message = `${path} has the extension '${extension}', and known are ${known}`;
  throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'path', value: path, path });
}
