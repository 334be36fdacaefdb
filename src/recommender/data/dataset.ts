import { boolean, callback, integer, invalid, type OptionTable, resolveOptions } from '../../protocol/check.ts';
import { Random } from '../../protocol/random.ts';
import {
  type Batched,
  batched,
  concatenated,
  distinct,
  type Elements,
  filtered,
  isIterable,
  mapped,
  opened,
  repeated,
  shuffled,
  skipped,
  taken,
  zipped,
} from './dataset-steps.ts';

export type { Batched, Elements } from './dataset-steps.ts';

export interface BatchOptions {
  /** Leave out a last batch that is not full. Default: false. */
  dropRemainder?: boolean | undefined;
}

export interface ShuffleOptions {
  /** An integer from 0 to 2^32 - 1. Default: 42. */
  seed?: number | undefined;
  /** A different order in each iteration; the orders are the same in every run. Default: false. */
  reshuffleEachIteration?: boolean | undefined;
}

const BATCH: OptionTable<BatchOptions> = { dropRemainder: { default: false, check: boolean } };
const SHUFFLE: OptionTable<ShuffleOptions> = {
  seed: { default: 42, check: integer(0, 2 ** 32 - 1) },
  reshuffleEachIteration: { default: false, check: boolean },
};
const count = integer(0);
const size = integer(1);

/**
 * A sequence of elements in the manner of tf.data: nothing is read until it is iterated, it can be iterated many times, and
 * every method gives a new dataset. Elements are pulled one at a time; who stops early closes the source.
 *
 * Errors of the source and of functions passed to methods come through as they are.
 */
export class Dataset<T> implements AsyncIterable<T> {
  readonly #open: () => AsyncGenerator<T>;

  private constructor(open: () => AsyncGenerator<T>) {
    this.#open = open;
  }

  /**
   * A dataset of what can be iterated, or of what a function gives, which is called once per iteration.
   *
   * A source that can be iterated once only, such as a generator object or a stream, fails with SCANNERY_INVALID_OPTION when
   * it is iterated again; pass a function, or call `cache()`.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION
   */
  static from<T>(source: Elements<T> | (() => Elements<T>)): Dataset<T> {
    if (typeof source === 'function' && !isIterable(source)) {
      return new Dataset(() => steps(() => opened(source())));
    }
    if (!isIterable(source)) throw invalid('source', source, 'an iterable or async iterable, or a function');
    return new Dataset(() => steps(() => opened(source as Elements<T>)));
  }

  /** Pairs of elements, as long as both have one. */
  static zip<A, B>(first: Dataset<A>, second: Dataset<B>): Dataset<[A, B]> {
    const [a, b] = [dataset<A>(first, 'first'), dataset<B>(second, 'second')];
    return new Dataset(() => zipped(a, b));
  }

  /** What `fn` makes of each element; it may be async, and is called for one element at a time. */
  map<U>(fn: (element: T) => U | Promise<U>): Dataset<U> {
    callback(fn, 'fn');
    return new Dataset(() => mapped(this, fn));
  }

  /** The elements for which `keep` gives true; it may be async. */
  filter<S extends T>(keep: (element: T) => element is S): Dataset<S>;
  filter(keep: (element: T) => boolean | Promise<boolean>): Dataset<T>;
  filter(keep: (element: T) => boolean | Promise<boolean>): Dataset<T> {
    callback(keep, 'keep');
    return new Dataset(() => filtered(this, keep));
  }

  /** At most the first `elements`, an integer of at least 0. No more than these are pulled from the source. */
  take(elements: number): Dataset<T> {
    count(elements, 'elements');
    return new Dataset(() => taken(this, elements));
  }

  /** All but the first `elements`, an integer of at least 0. */
  skip(elements: number): Dataset<T> {
    count(elements, 'elements');
    return new Dataset(() => skipped(this, elements));
  }

  /** These elements, then those of another dataset. */
  concatenate<U = T>(other: Dataset<U>): Dataset<T | U> {
    dataset<U>(other, 'other');
    return new Dataset(() => concatenated(this, other));
  }

  /** The elements `passes` times over, an integer of at least 0; without it, again and again until a pass is empty. */
  repeat(passes?: number): Dataset<T> {
    const most = passes === undefined ? Number.POSITIVE_INFINITY : count(passes, 'passes');
    return new Dataset(() => repeated(this, most));
  }

  /** Keeps the elements in memory at the end of the first full pass, and gives these from then on. A pass cut short keeps none. */
  cache(): Dataset<T> {
    const source = this;
    let kept: readonly T[] | undefined;
    return new Dataset(async function* () {
      if (kept === undefined) {
        const elements: T[] = [];
        for await (const element of source) {
          elements.push(element);
          yield element;
        }
        kept ??= elements;
      } else {
        for (const element of kept) yield element;
      }
    });
  }

  /**
   * Groups of `elements` elements, an integer of at least 1; the last may be smaller. Plain objects become one object of
   * columns, `{ userId: string[], … }`; any other elements, tuples and instances of classes included, an array.
   *
   * Iterating fails with SCANNERY_INVALID_OPTION, naming the element in `row`, when plain objects differ in their keys or are
   * mixed with other elements.
   */
  batch(elements: number, options?: BatchOptions): Dataset<Batched<T>> {
    size(elements, 'elements');
    const { dropRemainder } = resolveOptions(BATCH, options);
    return new Dataset(() => batched(this, elements, dropRemainder!));
  }

  /**
   * The elements in random order, by the method of tf.data: a buffer of `bufferSize` elements, an integer of at least 1, is
   * filled, and a random one of it replaced by the next element each time. Only a buffer as large as the dataset makes every
   * order equally likely.
   */
  shuffle(bufferSize: number, options?: ShuffleOptions): Dataset<T> {
    size(bufferSize, 'bufferSize');
    const { seed, reshuffleEachIteration } = resolveOptions(SHUFFLE, options);
    const seeds = new Random(seed!);
    let next = seed!;
    return new Dataset(() => {
      const current = next;
      if (reshuffleEachIteration) next = seeds.word();
      return shuffled(this, bufferSize, current);
    });
  }

  /**
   * Each value once, in the order of first occurrence. Elements are strings, numbers, bigints or booleans; iterating fails with
   * SCANNERY_INVALID_OPTION at any other.
   */
  unique(): Dataset<T> {
    return new Dataset(() => distinct(this));
  }

  /** All elements; without end if the dataset is. */
  async toArray(): Promise<T[]> {
    const elements: T[] = [];
    for await (const element of this) elements.push(element);
    return elements;
  }

  [Symbol.asyncIterator](): AsyncGenerator<T> {
    return this.#open();
  }
}

/** Opens the source at the first pull, so that errors of opening reject, and a dataset never pulled from opens nothing. */
async function* steps<T>(open: () => Elements<T>): AsyncGenerator<T> {
  for await (const element of open()) yield element;
}

function dataset<T>(value: unknown, option: string): Dataset<T> {
  if (value instanceof Dataset) return value;
  throw invalid(option, value, 'a Dataset');
}
