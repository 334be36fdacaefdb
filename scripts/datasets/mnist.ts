import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { withCommas } from './format.ts';
import { defaultCacheDirectory } from './glove.ts';
import { createRandom } from './random.ts';
import { type Dataset, UnavailableError } from './types.ts';

const IMAGES = 'train-images-idx3-ubyte';
const TEST_IMAGES = 't10k-images-idx3-ubyte';
const MAGIC = 0x803;

export interface MnistOptions {
  /** Folder with the files of images; `.cache/mnist` at the root of the repository by default. */
  directory?: string | undefined;
  /** Images to ask with; 1000 by default. */
  heldOut?: number | undefined;
}

/** Reads a file of images, gzipped or not: f32 [images x pixels], each 0 .. 255. Undefined when there is no such file. */
function readImages(directory: string, name: string): { pixels: number; images: Float32Array } | undefined {
  const path = [join(directory, name), join(directory, `${name}.gz`)].find((candidate) => existsSync(candidate));
  if (path === undefined) return undefined;
  const file = readFileSync(path);
  const bytes = path.endsWith('.gz') ? gunzipSync(file) : file;
  if (bytes.length < 16 || bytes.readUInt32BE(0) !== MAGIC) throw new SyntaxError(`${path} is no IDX file of images.`);
  const [count, height, width] = [4, 8, 12].map((at) => bytes.readUInt32BE(at)) as [number, number, number];
  const pixels = height * width;
  if (bytes.length !== 16 + count * pixels)
    throw new SyntaxError(`${path} does not hold ${count} images of ${pixels} pixels.`);
  return { pixels, images: Float32Array.from(bytes.subarray(16)) };
}

/**
 * Loads MNIST, or any set in its format such as Fashion-MNIST: the training images to index, the test images to ask with (or,
 * where there are none, some of the training images, picked by the seed 42 and left out of the index). No registry package
 * that we know of holds the images, so the files have to be there.
 *
 * @throws UnavailableError if they are not
 */
export function loadMnist(options: MnistOptions = {}): Dataset {
  const { directory = join(defaultCacheDirectory(), 'mnist'), heldOut = 1000 } = options;
  const train = readImages(directory, IMAGES);
  if (train === undefined) {
    throw new UnavailableError(
      `MNIST is not there: put ${IMAGES} and ${TEST_IMAGES}, gzipped or not, into ${directory}.`,
    );
  }
  const { pixels, images } = train;
  const test = readImages(directory, TEST_IMAGES);
  let vectors = images;
  let queries: Float32Array;
  if (test === undefined) {
    const count = images.length / pixels;
    const chosen = createRandom(42).sample(count, heldOut);
    queries = new Float32Array(heldOut * pixels);
    for (const [i, row] of chosen.entries()) queries.set(images.subarray(row * pixels, (row + 1) * pixels), i * pixels);
    const out = new Set(chosen);
    vectors = new Float32Array((count - heldOut) * pixels);
    for (let row = 0, kept = 0; row < count; row++)
      if (!out.has(row)) vectors.set(images.subarray(row * pixels, (row + 1) * pixels), kept++ * pixels);
  } else {
    if (test.pixels !== pixels) throw new SyntaxError('The test images have another size than the training images.');
    queries = test.images.subarray(0, heldOut * pixels);
  }
  const names = (prefix: string, numbers: Float32Array): string[] =>
    Array.from({ length: numbers.length / pixels }, (_, i) => `${prefix}${i}`);
  return {
    ...{ name: 'mnist', dimensions: pixels, vectors, queries },
    ids: names('image ', vectors),
    queryIds: names('query ', queries),
    notes: [`MNIST: ${withCommas(vectors.length / pixels)} images of ${pixels} pixels, 0 to 255.`],
  };
}
