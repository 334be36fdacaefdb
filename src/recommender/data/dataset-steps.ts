import { ScanneryError, show } from '../../protocol/errors.ts';
import { Random } from '../../protocol/random.ts';

/** What a dataset can be made from, besides a function that gives one of these. */
export type Elements<T> = Iterable<T> | AsyncIterable<T>;

type Primitive = string | number | bigint | boolean | symbol | null | undefined;
type Whole =
  | Primitive
  | readonly unknown[]
  | ArrayBufferView
  | ArrayBufferLike
  | Date
  | RegExp
  | ((...all: never) => unknown);
type Keyed = ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>;

/** A batch of elements: columns by name if the elements are plain objects, otherwise an array of the elements. */
export type Batched<T> = [T] extends [Whole | Keyed] ? T[] : { -readonly [K in keyof T]: T[K][] };

/** Iterables whose only iterator has been handed out, whichever dataset did so. */
const spent = new WeakSet<object>();

/**
 * Iterates a source. One that can be iterated once only is refused the second time, since it would seem to be empty.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION
 */
export function opened<T>(source: Elements<T>): Elements<T> {
  if (!isIterable(source)) {
    throw new ScanneryError(
      'SCANNERY_INVALID_OPTION',
      `source must be an iterable or async iterable, or a function that gives one, received ${show(source)}`,
      { option: 'source', value: source },
    );
  }
  if (typeof source !== 'object' || source === null) return source;
  if (spent.has(source)) {
    throw new ScanneryError(
      'SCANNERY_INVALID_OPTION',
      'source can be iterated once only, and has been; pass a function that makes a new one each time, or call cache() ' +
        'on the dataset and take the first pass to its end',
      { option: 'source', value: source },
    );
  }
  if (isStream(source)) {
    spent.add(source);
    return source;
  }
  // Asking a generator object for its iterator starts nothing, so it can be asked a second time.
  const iterator: unknown =
    Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : (source as Iterable<T>)[Symbol.iterator]();
  if (iterator === source) {
    spent.add(source);
    return source;
  }
  return Symbol.asyncIterator in source
    ? { [Symbol.asyncIterator]: () => iterator as AsyncIterator<T> }
    : { [Symbol.iterator]: () => iterator as Iterator<T> };
}

export function isIterable(value: unknown): value is Elements<unknown> {
  if (value === null || value === undefined) return false;
  const object = Object(value) as object;
  return Symbol.asyncIterator in object || Symbol.iterator in object;
}

/** Streams of Node and of the web give a new iterator each time, and yet nothing more. */
function isStream(source: object): boolean {
  const { pipe, getReader } = source as { pipe?: unknown; getReader?: unknown };
  return typeof pipe === 'function' || typeof getReader === 'function';
}

export async function* mapped<T, U>(source: Elements<T>, fn: (element: T) => U | Promise<U>): AsyncGenerator<U> {
  for await (const element of source) yield await fn(element);
}

export async function* filtered<T>(
  source: Elements<T>,
  keep: (element: T) => boolean | Promise<boolean>,
): AsyncGenerator<T> {
  for await (const element of source) if (await keep(element)) yield element;
}

export async function* taken<T>(source: Elements<T>, count: number): AsyncGenerator<T> {
  if (count === 0) return;
  let left = count;
  for await (const element of source) {
    yield element;
    if (--left === 0) return;
  }
}

export async function* skipped<T>(source: Elements<T>, count: number): AsyncGenerator<T> {
  let left = count;
  for await (const element of source) {
    if (left > 0) left--;
    else yield element;
  }
}

export async function* concatenated<T, U>(first: Elements<T>, second: Elements<U>): AsyncGenerator<T | U> {
  for await (const element of first) yield element;
  for await (const element of second) yield element;
}

/** Ends at the first empty pass too: repeating nothing without end would never return. */
export async function* repeated<T>(source: Elements<T>, count: number): AsyncGenerator<T> {
  for (let pass = 0; pass < count; pass++) {
    let empty = true;
    for await (const element of source) {
      empty = false;
      yield element;
    }
    if (empty) return;
  }
}

export async function* zipped<A, B>(first: Elements<A>, second: AsyncIterable<B>): AsyncGenerator<[A, B]> {
  const others = second[Symbol.asyncIterator]();
  try {
    for await (const element of first) {
      const other = await others.next();
      if (other.done) return;
      yield [element, other.value];
    }
  } finally {
    await others.return?.();
  }
}

/** The buffer algorithm of tf.data: fill a buffer, give out a random one of it, and put the next element in its place. */
export async function* shuffled<T>(source: Elements<T>, bufferSize: number, seed: number): AsyncGenerator<T> {
  const random = new Random(seed);
  const buffer: T[] = [];
  for await (const element of source) {
    buffer.push(element);
    if (buffer.length < bufferSize) continue;
    yield removeAt(buffer, random.below(buffer.length));
  }
  while (buffer.length > 0) yield removeAt(buffer, random.below(buffer.length));
}

function removeAt<T>(buffer: T[], at: number): T {
  const chosen = buffer[at]!;
  const last = buffer.pop()!;
  if (at < buffer.length) buffer[at] = last;
  return chosen;
}

export async function* distinct<T>(source: Elements<T>): AsyncGenerator<T> {
  const seen = new Set<T>();
  let row = 0;
  for await (const element of source) {
    if (!['string', 'number', 'bigint', 'boolean'].includes(typeof element)) {
      throw new ScanneryError(
        'SCANNERY_INVALID_OPTION',
        `unique() compares strings, numbers, bigints and booleans; element ${row} is ${show(element)}`,
        { option: 'unique', value: element, row },
      );
    }
    row++;
    if (seen.has(element)) continue;
    seen.add(element);
    yield element;
  }
}

export async function* batched<T>(
  source: Elements<T>,
  size: number,
  dropRemainder: boolean,
): AsyncGenerator<Batched<T>> {
  let keys: readonly string[] | null | undefined;
  let elements: T[] = [];
  let row = 0;
  for await (const element of source) {
    if (keys === undefined) keys = isPlainObject(element) ? Object.keys(element) : null;
    checkKeys(element, keys, row++);
    elements.push(element);
    if (elements.length < size) continue;
    yield gathered(elements, keys);
    elements = [];
  }
  if (elements.length > 0 && !dropRemainder) yield gathered(elements, keys!);
}

function gathered<T>(elements: T[], keys: readonly string[] | null): Batched<T> {
  if (keys === null) return elements as Batched<T>;
  const columns = keys.map((key) => [key, elements.map((element) => (element as Record<string, unknown>)[key])]);
  return Object.fromEntries(columns) as Batched<T>;
}

/** Refuses an element that would leave a column of the batch short, or get a column of its own. */
function checkKeys(element: unknown, keys: readonly string[] | null, row: number): void {
  if (isPlainObject(element) !== (keys !== null)) {
    const first = keys === null ? 'is none' : 'is one';
    const message = `batch() wants plain objects only or none; element ${row} is ${show(element)}, and the first ${first}`;
    throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'batch', value: element, row });
  }
  if (keys === null) return;
  const object = element as Record<string, unknown>;
  for (const key of keys) {
    if (!Object.hasOwn(object, key)) throw wrongKey(`lacks the key '${key}', which the first element has`, key, row);
  }
  const own = Object.keys(object);
  if (own.length === keys.length) return;
  const extra = own.find((key) => !keys.includes(key))!;
  throw wrongKey(`has the key '${extra}', which the first element lacks`, extra, row);
}

function wrongKey(problem: string, key: string, row: number): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_OPTION', `element ${row} of a batch ${problem}`, { option: key, row });
}

/** An object literal or the like, of any realm; instances of classes are elements in themselves. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
