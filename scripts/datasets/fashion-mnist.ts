import { join } from 'node:path';
import { type UnpackOptions, unpackPackage } from './debian-package.ts';
import { withCommas } from './format.ts';
import { defaultCacheDirectory } from './glove.ts';
import { findIdx, loadIdx, TEST_IMAGES, TRAINING_IMAGES } from './idx.ts';
import type { Dataset } from './types.ts';

const PACKAGE = 'dataset-fashion-mnist';
const FOLDER = 'usr/share/datasets/fashion-mnist';
const PACKAGE_BYTES = 30_900_652;

export interface FashionMnistOptions extends Pick<UnpackOptions, 'aptCommand' | 'unpackCommand' | 'progress'> {
  /** Folder with, or for, the files of images; `.cache/fashion-mnist` at the root of the repository by default. */
  directory?: string | undefined;
  /** Where the Debian package puts the files when it is installed; /usr/share/datasets/fashion-mnist by default. */
  installedDirectory?: string | undefined;
  /** Images to ask with, at the most; 1000 by default, of 10,000. */
  heldOut?: number | undefined;
}

/**
 * Loads Fashion-MNIST (Zalando SE, MIT licence): the 60,000 training images to index, test images to ask with, 784 numbers
 * from 0 to 255 each. The files come from the cache or, where the Debian package dataset-fashion-mnist is installed, from
 * there; otherwise the first call downloads that package (31 MB) and keeps its files in the cache.
 *
 * @throws UnavailableError if the files are in neither place and the package cannot be had
 */
export async function loadFashionMnist(options: FashionMnistOptions = {}): Promise<Dataset> {
  const { directory = join(defaultCacheDirectory(), 'fashion-mnist'), heldOut = 1000 } = options;
  const { installedDirectory = `/${FOLDER}`, aptCommand, unpackCommand, progress } = options;
  const isWhole = (folder: string): boolean =>
    [TRAINING_IMAGES, TEST_IMAGES].every((name) => findIdx(folder, name) !== undefined);
  let folder = [directory, installedDirectory].find(isWhole);
  if (folder === undefined) {
    const unpacking = { directory, isWhole, aptCommand, unpackCommand, progress };
    await unpackPackage({ name: PACKAGE, folder: FOLDER, bytes: PACKAGE_BYTES, ...unpacking });
    folder = directory;
  }
  const set = loadIdx(folder, heldOut)!;
  return {
    name: 'fashion-mnist',
    ...set,
    notes: [
      `Fashion-MNIST: ${withCommas(set.ids.length)} training images of ${set.dimensions} pixels, 0 to 255, ` +
        `from the Debian package ${PACKAGE}; ${withCommas(set.queryIds.length)} of the test images ask.`,
    ],
  };
}
