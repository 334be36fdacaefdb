import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createRandom } from './random.ts';
import type { Dataset } from './types.ts';

export const TRAINING_IMAGES = 'train-images-idx3-ubyte';
export const TEST_IMAGES = 't10k-images-idx3-ubyte';
const MAGIC = 0x803;
const HEADER_BYTES = 16;

/** Path of an IDX file, gzipped or not; undefined where there is neither. */
export function findIdx(directory: string, name: string): string | undefined {
  return [join(directory, name), join(directory, `${name}.gz`)].find((path) => existsSync(path));
}

interface Images {
  readonly pixels: number;
  /** f32 [images x pixels], each 0 .. 255 */
  readonly images: Float32Array;
}

function unzipped(path: string): Buffer {
  const file = readFileSync(path);
  if (!path.endsWith('.gz')) return file;
  try {
    return gunzipSync(file);
  } catch (cause) {
    throw new SyntaxError(`${path} is damaged, or no gzip file.`, { cause });
  }
}

function readImages(path: string): Images {
  const bytes = unzipped(path);
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC)
    throw new SyntaxError(`${path} is no IDX file of images.`);
  const [count, height, width] = [4, 8, 12].map((at) => bytes.readUInt32BE(at)) as [number, number, number];
  const pixels = height * width;
  if (bytes.length !== HEADER_BYTES + count * pixels)
    throw new SyntaxError(`${path} does not hold ${count} images of ${pixels} pixels.`);
  return { pixels, images: new Float32Array(bytes.subarray(HEADER_BYTES)) };
}

/** Splits images into those to index and those to ask with, picked by the seed 42. */
function holdOut({ pixels, images }: Images, heldOut: number): Pick<Dataset, 'vectors' | 'queries'> {
  const count = images.length / pixels;
  const chosen = createRandom(42).sample(count, heldOut);
  const queries = new Float32Array(heldOut * pixels);
  for (const [i, row] of chosen.entries()) queries.set(images.subarray(row * pixels, (row + 1) * pixels), i * pixels);
  const out = new Set(chosen);
  const vectors = new Float32Array((count - heldOut) * pixels);
  for (let row = 0, kept = 0; row < count; row++)
    if (!out.has(row)) vectors.set(images.subarray(row * pixels, (row + 1) * pixels), kept++ * pixels);
  return { vectors, queries };
}

/**
 * Loads a set in the format of MNIST: the training images to index, the first test images to ask with or, where there are no
 * test images, some of the training images, which are then left out of the index.
 *
 * @param heldOut images to ask with, at the most where there are test images
 * @returns all but the name and the notes; undefined when there are no training images in the folder
 * @throws SyntaxError if a file is damaged
 */
export function loadIdx(directory: string, heldOut: number): Omit<Dataset, 'name' | 'notes'> | undefined {
  const [train, test] = [TRAINING_IMAGES, TEST_IMAGES].map((name) => findIdx(directory, name));
  if (train === undefined) return undefined;
  const training = readImages(train);
  const { pixels } = training;
  let split: Pick<Dataset, 'vectors' | 'queries'>;
  if (test === undefined) {
    split = holdOut(training, heldOut);
  } else {
    const tests = readImages(test);
    if (tests.pixels !== pixels) throw new SyntaxError('The test images have another size than the training images.');
    split = { vectors: training.images, queries: tests.images.slice(0, heldOut * pixels) };
  }
  const names = (prefix: string, numbers: Float32Array): string[] =>
    Array.from({ length: numbers.length / pixels }, (_, i) => `${prefix}${i}`);
  return {
    ...{ dimensions: pixels, ...split },
    ids: names('image ', split.vectors),
    queryIds: names('query ', split.queries),
  };
}
