import { type ClusteredOptions, clustered } from './clustered.ts';
import { type GloveOptions, loadGlove } from './glove.ts';
import { type Dataset, UnavailableError } from './types.ts';

export { type ClusteredOptions, clustered } from './clustered.ts';
export { type FashionMnistOptions, loadFashionMnist } from './fashion-mnist.ts';
export { defaultCacheDirectory, type GloveOptions, loadGlove } from './glove.ts';
export { type Clusters, type Mixture, type MixtureOptions, mixture } from './mixture.ts';
export { loadMnist, type MnistOptions } from './mnist.ts';
export { loadMovielensGrown, type MovielensGrownOptions } from './movielens-grown.ts';
export { createProgress, type ProgressReporter, type ProgressStream } from './progress.ts';
export { createRandom, type Random } from './random.ts';
export { type Dataset, type Progress, type ProgressListener, UnavailableError } from './types.ts';

/** Options of every data set; each takes what concerns it. */
export type DatasetOptions = GloveOptions & Partial<ClusteredOptions>;

const COUNT = 100_000;
const DIMENSIONS = 100;
const HELD_OUT = 1000;
const SEED = 42;

/**
 * Loads a data set by name.
 *
 * 'glove' is what loadGlove gives. 'clustered' is what clustered gives, with 100,000 x 100 vectors, 1000 queries and
 * the seed 42 unless the options say otherwise.
 */
export async function loadDataset(name: 'glove' | 'clustered', options: DatasetOptions = {}): Promise<Dataset> {
  switch (name) {
    case 'glove':
      return loadGlove(options);
    case 'clustered':
      return clustered({
        count: options.count ?? COUNT,
        dimensions: options.dimensions ?? DIMENSIONS,
        clusters: options.clusters,
        spread: options.spread,
        heldOut: options.heldOut ?? HELD_OUT,
        seed: options.seed ?? SEED,
      });
    default:
      throw new RangeError(`There is no data set named '${name}'; there are 'glove' and 'clustered'.`);
  }
}

/**
 * Loads GloVe or, where it cannot be had, the clustered set of 100,000 x 100 with the same count of queries and the
 * same seed. The first note of the latter says that it is not GloVe, and why.
 */
export async function loadGloveOrClustered(options: GloveOptions = {}): Promise<Dataset> {
  try {
    return await loadGlove(options);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
    const { heldOut = HELD_OUT, seed = SEED } = options;
    const dataset = clustered({ count: COUNT, dimensions: DIMENSIONS, heldOut, seed });
    dataset.notes.unshift(
      'This is NOT GloVe but a made-up clustered set, and its figures say nothing about GloVe. ' +
        `The reason: ${error.message}`,
    );
    return dataset;
  }
}
