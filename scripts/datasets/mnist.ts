import { join } from 'node:path';
import { withCommas } from './format.ts';
import { defaultCacheDirectory } from './glove.ts';
import { loadIdx, TEST_IMAGES, TRAINING_IMAGES } from './idx.ts';
import { type Dataset, UnavailableError } from './types.ts';

export interface MnistOptions {
  /** Folder with the files of images; `.cache/mnist` at the root of the repository by default. */
  directory?: string | undefined;
  /** Images to ask with; 1000 by default. */
  heldOut?: number | undefined;
}

/**
 * Loads MNIST, or any set in its format, from files that have been put into a folder: the training images to index, the test
 * images to ask with or, where there are none, some of the training images.
 *
 * @throws UnavailableError if the files are not there
 */
export function loadMnist(options: MnistOptions = {}): Dataset {
  const { directory = join(defaultCacheDirectory(), 'mnist'), heldOut = 1000 } = options;
  const set = loadIdx(directory, heldOut);
  if (set === undefined) {
    throw new UnavailableError(
      `MNIST is not there: put ${TRAINING_IMAGES} and ${TEST_IMAGES}, gzipped or not, into ${directory}.`,
    );
  }
  const notes = [`MNIST: ${withCommas(set.ids.length)} images of ${set.dimensions} pixels, 0 to 255.`];
  return { name: 'mnist', ...set, notes };
}
