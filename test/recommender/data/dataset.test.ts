import { Readable } from 'node:stream';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { Random } from '../../../src/protocol/random.ts';
import { type Batched, Dataset } from '../../../src/recommender/data/dataset.ts';
import { failureOf } from '../../support/failures.ts';

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const ascending = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);

/** A source that counts what is pulled from it and whether it was closed. */
class Watched {
  opened = 0;
  pulled = 0;
  closed = 0;
  readonly #length: number;

  constructor(length: number) {
    this.#length = length;
  }

  *[Symbol.iterator](): Generator<number> {
    this.opened++;
    try {
      for (let i = 0; i < this.#length; i++) {
        this.pulled++;
        yield i;
      }
    } finally {
      this.closed++;
    }
  }
}

describe('Dataset.from', () => {
  const sources: [string, () => Dataset<number>][] = [
    ['an array', () => Dataset.from([1, 2, 3])],
    ['a set', () => Dataset.from(new Set([1, 2, 3]))],
    ['a typed array', () => Dataset.from(Float32Array.of(1, 2, 3))],
    ['a dataset', () => Dataset.from(Dataset.from([1, 2, 3]))],
    ['a function that gives an array', () => Dataset.from(() => [1, 2, 3])],
    [
      'a generator function',
      () =>
        Dataset.from(function* () {
          yield* [1, 2, 3];
        }),
    ],
    [
      'an async generator function',
      () =>
        Dataset.from(async function* () {
          yield* [1, 2, 3];
        }),
    ],
    ['a function that gives streams', () => Dataset.from<number>(() => Readable.from([1, 2, 3]))],
  ];

  it.each(sources)('iterates %s again and again', async (_, make) => {
    const dataset = make();
    expect(await dataset.toArray()).toEqual([1, 2, 3]);
    expect(await dataset.toArray()).toEqual([1, 2, 3]);
    const iterated: number[] = [];
    for await (const element of dataset) iterated.push(element);
    expect(iterated).toEqual([1, 2, 3]);
  });

  it('reads nothing until it is iterated', async () => {
    let calls = 0;
    const source = new Watched(3);
    const dataset = Dataset.from(() => {
      calls++;
      return source;
    })
      .map((x) => x)
      .shuffle(2)
      .batch(2);
    const iterator = dataset[Symbol.asyncIterator]();
    await iterator.return(undefined);
    expect([calls, source.opened]).toEqual([0, 0]);
    await dataset.toArray();
    expect([calls, source.opened, source.closed]).toEqual([1, 1, 1]);
  });

  const oneShot: [string, () => Iterable<number> | AsyncIterable<number>][] = [
    ['a generator object', () => new Watched(3)[Symbol.iterator]()],
    ['an iterator of an array', () => [0, 1, 2][Symbol.iterator]()],
    [
      'an async generator object',
      () =>
        (async function* () {
          yield* [0, 1, 2];
        })(),
    ],
    ['a stream of Node', () => Readable.from([0, 1, 2])],
    ['a stream of the web', () => ReadableStream.from([0, 1, 2])],
  ];

  it.each(oneShot)('refuses a second pass over %s', async (_, make) => {
    const source = make();
    const dataset = Dataset.from(source);
    expect(await dataset.toArray()).toEqual([0, 1, 2]);
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'source', value: source };
    for (const again of [dataset, dataset.map((x) => x), Dataset.from(source), Dataset.from(() => source)]) {
      const error = await failureOf(again.toArray());
      expect(error).toMatchObject(expected);
      expect(error.message).toMatch(/pass a function .* or call cache\(\)/);
    }
  });

  it.each(oneShot)('iterates %s again when it is cached', async (_, make) => {
    const dataset = Dataset.from(make()).cache();
    expect(await dataset.toArray()).toEqual([0, 1, 2]);
    expect(await dataset.repeat(2).toArray()).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it.each([5, null, undefined, {}, { next: () => 1 }])('refuses %j', async (source) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'source', value: source };
    expect(await failureOf(() => Dataset.from(source as never))).toMatchObject(expected);
    expect(await failureOf(Dataset.from(() => source as never).toArray())).toMatchObject(expected);
  });

  it('lets errors of the source through', async () => {
    const broken = new Error('broken');
    const dataset = Dataset.from(function* () {
      yield 1;
      throw broken;
    });
    await expect(dataset.batch(1).toArray()).rejects.toBe(broken);
  });
});

describe('map and filter', () => {
  it('map each element, with async functions too, in order', async () => {
    const dataset = Dataset.from([1, 2, 3]);
    const texts = dataset.map((x) => `${x}`);
    expectTypeOf(texts).toEqualTypeOf<Dataset<string>>();
    expect(await texts.toArray()).toEqual(['1', '2', '3']);
    const slow = dataset.map(async (x) => {
      await new Promise((resolve) => setTimeout(resolve, 4 - x));
      return x * 10;
    });
    expectTypeOf(slow).toEqualTypeOf<Dataset<number>>();
    expect(await slow.toArray()).toEqual([10, 20, 30]);
  });

  it('call the function with the element alone', async () => {
    expect(await Dataset.from(['10', '10', '10']).map(Number.parseInt).toArray()).toEqual([10, 10, 10]);
  });

  it('keep what the function says, be it async or a guard', async () => {
    const dataset = Dataset.from<number | string>([1, 'a', 2, 'b']);
    const texts = dataset.filter((x) => typeof x === 'string');
    expectTypeOf(texts).toEqualTypeOf<Dataset<string>>();
    expect(await texts.toArray()).toEqual(['a', 'b']);
    expect(await dataset.filter(async (x) => x === 2).toArray()).toEqual([2]);
  });

  const steps: [string, (dataset: Dataset<number>, fn: (x: number) => boolean) => Dataset<unknown>][] = [
    ['map', (dataset, fn) => dataset.map(fn)],
    ['filter', (dataset, fn) => dataset.filter(fn)],
  ];

  it.each(steps)('%s lets errors of the function through, and closes the source', async (_, step) => {
    const source = new Watched(10);
    const broken = new Error('broken');
    const dataset = step(Dataset.from(source), (x) => {
      if (x === 3) throw broken;
      return true;
    });
    await expect(dataset.toArray()).rejects.toBe(broken);
    expect([source.pulled, source.closed]).toEqual([4, 1]);
  });

  it.each(steps)('%s refuses what is no function', async (_, step) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', value: 5 };
    expect(await failureOf(() => step(Dataset.from([1]), 5 as never))).toMatchObject(expected);
  });
});

describe('take and skip', () => {
  it.each([0, 1, 4, 5, 6, 100])('take(%i) pulls no more than that', async (n) => {
    const source = new Watched(5);
    expect(await Dataset.from(source).take(n).toArray()).toEqual(upTo(Math.min(n, 5)));
    expect(source.pulled).toBe(Math.min(n, 5));
    expect(source.closed).toBe(source.opened);
  });

  it.each([0, 1, 4, 5, 6])('skip(%i) leaves the others', async (n) => {
    expect(await Dataset.from(upTo(5)).skip(n).toArray()).toEqual(upTo(5).slice(n));
  });

  it('split a dataset without overlap', async () => {
    const dataset = Dataset.from(upTo(100)).shuffle(100, { seed: 7 });
    const [train, test] = [await dataset.take(80).toArray(), await dataset.skip(80).toArray()];
    expect([train.length, test.length]).toEqual([80, 20]);
    expect(ascending([...train, ...test])).toEqual(upTo(100));
  });

  it.each([-1, 1.5, Number.NaN, '1', null, undefined])('refuse %j', async (n) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'elements', value: n };
    expect(await failureOf(() => Dataset.from([1]).take(n as number))).toMatchObject(expected);
    expect(await failureOf(() => Dataset.from([1]).skip(n as number))).toMatchObject(expected);
  });
});

describe('concatenate, zip and repeat', () => {
  it('concatenate', async () => {
    const both = Dataset.from([1, 2]).concatenate(Dataset.from(['a']));
    expectTypeOf(both).toEqualTypeOf<Dataset<number | string>>();
    expect(await both.toArray()).toEqual([1, 2, 'a']);
    expect(await both.toArray()).toEqual([1, 2, 'a']);
  });

  it.each([
    [3, 5],
    [5, 3],
    [4, 4],
    [0, 2],
    [2, 0],
  ])('zip %i and %i elements into pairs and close both', async (a, b) => {
    const [first, second] = [new Watched(a), new Watched(b)];
    const pairs = Dataset.zip(
      Dataset.from(first),
      Dataset.from(second).map((x) => `${x}`),
    );
    expectTypeOf(pairs).toEqualTypeOf<Dataset<[number, string]>>();
    expect(await pairs.toArray()).toEqual(upTo(Math.min(a, b)).map((i) => [i, `${i}`]));
    expect([first.closed, second.closed]).toEqual([first.opened, second.opened]);
  });

  it('repeat so many times, or without end', async () => {
    const dataset = Dataset.from([1, 2]);
    expect(await dataset.repeat(0).toArray()).toEqual([]);
    expect(await dataset.repeat(1).toArray()).toEqual([1, 2]);
    expect(await dataset.repeat(3).toArray()).toEqual([1, 2, 1, 2, 1, 2]);
    expect(await dataset.repeat().take(5).toArray()).toEqual([1, 2, 1, 2, 1]);
  });

  it('end when what is repeated is empty', async () => {
    expect(await Dataset.from([]).repeat().toArray()).toEqual([]);
  });

  it('refuse what is no dataset or no count', async () => {
    const dataset = Dataset.from([1]);
    const failure = (option: string) => ({ code: 'SCANNERY_INVALID_OPTION', option });
    expect(await failureOf(() => dataset.concatenate([1] as never))).toMatchObject(failure('other'));
    expect(await failureOf(() => Dataset.zip([1] as never, dataset))).toMatchObject(failure('first'));
    expect(await failureOf(() => Dataset.zip(dataset, [1] as never))).toMatchObject(failure('second'));
    expect(await failureOf(() => dataset.repeat(-1))).toMatchObject(failure('passes'));
  });
});

describe('cache', () => {
  it('keeps the elements of the first full pass', async () => {
    const source = new Watched(3);
    let calls = 0;
    const dataset = Dataset.from(source)
      .map((x) => {
        calls++;
        return { x };
      })
      .cache();
    const first = await dataset.toArray();
    const second = await dataset.toArray();
    expect(second).toEqual([{ x: 0 }, { x: 1 }, { x: 2 }]);
    expect(second.every((element, i) => element === first[i])).toBe(true);
    expect([calls, source.opened]).toEqual([3, 1]);
  });

  it('keeps nothing of a pass cut short', async () => {
    const source = new Watched(3);
    const dataset = Dataset.from(source).cache();
    expect(await dataset.take(2).toArray()).toEqual([0, 1]);
    expect(await dataset.toArray()).toEqual([0, 1, 2]);
    expect(await dataset.take(2).toArray()).toEqual([0, 1]);
    expect([source.opened, source.closed]).toEqual([2, 2]);
  });

  it('serves two passes at once', async () => {
    const dataset = Dataset.from(new Watched(3)).cache();
    expect(await Dataset.zip(dataset, dataset).toArray()).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ]);
    expect(await dataset.toArray()).toEqual([0, 1, 2]);
  });
});

describe('batch', () => {
  it('gathers elements into arrays', async () => {
    const dataset = Dataset.from(upTo(5));
    expectTypeOf(dataset.batch(2)).toEqualTypeOf<Dataset<number[]>>();
    expect(await dataset.batch(2).toArray()).toEqual([[0, 1], [2, 3], [4]]);
    expect(await dataset.batch(2, { dropRemainder: true }).toArray()).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(await dataset.batch(5).toArray()).toEqual([upTo(5)]);
    expect(await dataset.batch(9).toArray()).toEqual([upTo(5)]);
    expect(await dataset.batch(9, { dropRemainder: true }).toArray()).toEqual([]);
    expect(await Dataset.from([]).batch(2).toArray()).toEqual([]);
  });

  it('gathers plain objects into columns', async () => {
    const rows = [
      { userId: 'a', rating: 5 },
      { userId: 'b', rating: 4 },
      { rating: 3, userId: 'c' },
    ];
    const dataset = Dataset.from(rows).batch(2);
    expectTypeOf(dataset).toEqualTypeOf<Dataset<{ userId: string[]; rating: number[] }>>();
    expect(await dataset.toArray()).toEqual([
      { userId: ['a', 'b'], rating: [5, 4] },
      { userId: ['c'], rating: [3] },
    ]);
  });

  it('knows plain objects without a prototype, and odd keys', async () => {
    const bare = Object.assign(Object.create(null) as { a: number }, { a: 1 });
    expect(
      await Dataset.from([bare, { a: 2 }])
        .batch(2)
        .toArray(),
    ).toEqual([{ a: [1, 2] }]);
    const odd = JSON.parse('{ "__proto__": 1, "constructor": 2 }') as Record<string, number>;
    const [batch] = await Dataset.from([odd, odd]).batch(2).toArray();
    expect(Object.entries(batch!)).toEqual([
      ['__proto__', [1, 1]],
      ['constructor', [2, 2]],
    ]);
  });

  it('leaves arrays, typed arrays, tuples and instances of classes whole', async () => {
    const when = new Date(0);
    expect(await Dataset.from([when, when]).batch(2).toArray()).toEqual([[when, when]]);
    const arrays = [Float32Array.of(1, 2), Float32Array.of(3, 4)];
    expect(await Dataset.from(arrays).batch(2).toArray()).toEqual([arrays]);
    const pairs = Dataset.zip(Dataset.from([1, 2]), Dataset.from(['a', 'b'])).batch(2);
    expectTypeOf(pairs).toEqualTypeOf<Dataset<[number, string][]>>();
    expect(await pairs.toArray()).toEqual([
      [
        [1, 'a'],
        [2, 'b'],
      ],
    ]);
    expectTypeOf<Batched<string | number>>().toEqualTypeOf<(string | number)[]>();
    expectTypeOf<Batched<Date>>().toEqualTypeOf<Date[]>();
    expectTypeOf<Batched<Float32Array>>().toEqualTypeOf<Float32Array[]>();
    expectTypeOf<Batched<Map<string, number>>>().toEqualTypeOf<Map<string, number>[]>();
  });

  it.each([
    [[{ a: 1 }, { a: 1 }, { b: 1 }], 2, "element 2 of a batch lacks the key 'a', which the first element has", 'a'],
    [[{ a: 1 }, { a: 1, b: 2 }], 1, "element 1 of a batch has the key 'b', which the first element lacks", 'b'],
    [[{ a: 1, b: 2 }, { a: 1 }], 1, "element 1 of a batch lacks the key 'b', which the first element has", 'b'],
    [[{ a: 1 }, 5], 1, 'batch() wants plain objects only or none; element 1 is 5, and the first is one', 'batch'],
    [
      [5, 6, { a: 1 }],
      2,
      /^batch\(\) wants plain objects only or none; element 2 is .*, and the first is none$/,
      'batch',
    ],
    [[[1], { 0: 1 }], 1, /element 1 is an object \(Object\), and the first is none$/, 'batch'],
  ])('refuses elements that differ, in one batch and across batches: %j', async (elements, row, message, option) => {
    for (const size of [1, 2, 10]) {
      const error = await failureOf(Dataset.from<unknown>(elements).batch(size).toArray());
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', row, option });
      expect(error.message).toMatch(message);
    }
  });

  it('refuses wrong sizes and options', async () => {
    const failure = (option: string) => ({ code: 'SCANNERY_INVALID_OPTION', option });
    const dataset = Dataset.from([1]);
    for (const size of [0, -1, 1.5, '2', undefined]) {
      expect(await failureOf(() => dataset.batch(size as number))).toMatchObject(failure('elements'));
    }
    expect(await failureOf(() => dataset.batch(1, { dropRemainder: 1 as never }))).toMatchObject(
      failure('dropRemainder'),
    );
    expect(await failureOf(() => dataset.batch(1, { drop: true } as never))).toMatchObject(failure('drop'));
  });
});

/** The buffer algorithm once more, on an array. */
function shuffledPlainly(elements: readonly number[], bufferSize: number, seed: number): number[] {
  const random = new Random(seed);
  const buffer = elements.slice(0, bufferSize);
  const rest = elements.slice(bufferSize);
  const out: number[] = [];
  while (buffer.length > 0) {
    const at = random.below(buffer.length);
    out.push(buffer[at]!);
    const last = buffer.pop()!;
    if (at < buffer.length) buffer[at] = last;
    if (rest.length > 0) buffer.push(rest.shift()!);
  }
  return out;
}

describe('shuffle', () => {
  it.each([1, 2, 7, 99, 100, 1000])(
    'with a buffer of %i gives every element once, none before its time',
    async (size) => {
      const order = await Dataset.from(upTo(100)).shuffle(size, { seed: 3 }).toArray();
      expect(ascending(order)).toEqual(upTo(100));
      // The i-th element given out is one of the first i + size.
      expect(order.every((element, i) => element < i + size)).toBe(true);
      expect(order).toEqual(shuffledPlainly(upTo(100), size, 3));
      if (size > 1) expect(order).not.toEqual(upTo(100));
    },
  );

  it('gives the same order for the same seed, 42 if none is given', async () => {
    const dataset = Dataset.from(upTo(50));
    const orders = await Promise.all(
      [undefined, { seed: 42 }, { seed: 43 }].map((options) => dataset.shuffle(50, options).toArray()),
    );
    expect(orders[0]).toEqual(orders[1]);
    expect(orders[0]).not.toEqual(orders[2]);
    const shuffled = dataset.shuffle(50);
    expect(await shuffled.toArray()).toEqual(orders[0]);
    expect(await shuffled.repeat(2).toArray()).toEqual([...orders[0]!, ...orders[0]!]);
  });

  it('gives other orders each time if asked to, the same in every run', async () => {
    const passes = async (): Promise<number[][]> => {
      const dataset = Dataset.from(upTo(20)).shuffle(20, { seed: 1, reshuffleEachIteration: true });
      return [await dataset.toArray(), await dataset.toArray(), ...(await dataset.repeat(2).batch(20).toArray())];
    };
    const first = await passes();
    expect(new Set(first.map(String)).size).toBe(4);
    expect(first.map(ascending)).toEqual([upTo(20), upTo(20), upTo(20), upTo(20)]);
    expect(await passes()).toEqual(first);
  });

  it('is even with a buffer as large as the data', async () => {
    const firsts = new Map<number, number>();
    for (let seed = 0; seed < 1000; seed++) {
      const [first] = await Dataset.from(upTo(4)).shuffle(4, { seed }).take(1).toArray();
      firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
    }
    for (const element of upTo(4)) expect(Math.abs(firsts.get(element)! - 250)).toBeLessThan(60);
  });

  it('refuses wrong buffers and options', async () => {
    const failure = (option: string) => ({ code: 'SCANNERY_INVALID_OPTION', option });
    const dataset = Dataset.from([1]);
    for (const size of [0, -1, 1.5, undefined]) {
      expect(await failureOf(() => dataset.shuffle(size as number))).toMatchObject(failure('bufferSize'));
    }
    expect(await failureOf(() => dataset.shuffle(1, { seed: -1 }))).toMatchObject(failure('seed'));
    expect(await failureOf(() => dataset.shuffle(1, { seed: 2 ** 32 }))).toMatchObject(failure('seed'));
    const reshuffle = { reshuffleEachIteration: 'yes' as never };
    expect(await failureOf(() => dataset.shuffle(1, reshuffle))).toMatchObject(failure('reshuffleEachIteration'));
  });
});

describe('unique', () => {
  it('keeps the first of equal values', async () => {
    const values = Dataset.from(['b', 'a', 'b', 1, '1', 1, 1n, true, Number.NaN, Number.NaN]);
    expect(await values.unique().toArray()).toEqual(['b', 'a', 1, '1', 1n, true, Number.NaN]);
  });

  it('refuses values that it cannot compare', async () => {
    expect(
      await failureOf(
        Dataset.from<unknown>(['a', 'a', { a: 1 }])
          .unique()
          .toArray(),
      ),
    ).toMatchObject({
      ...{ code: 'SCANNERY_INVALID_OPTION', option: 'unique', row: 2 },
    });
  });
});

describe('a consumer that stops early', () => {
  const chains: [string, (dataset: Dataset<number>) => Dataset<unknown>][] = [
    ['from', (dataset) => dataset],
    ['map', (dataset) => dataset.map((x) => x)],
    ['filter', (dataset) => dataset.filter(() => true)],
    ['take', (dataset) => dataset.take(50)],
    ['skip', (dataset) => dataset.skip(1)],
    ['concatenate', (dataset) => dataset.concatenate(Dataset.from([1]))],
    ['repeat', (dataset) => dataset.repeat()],
    ['cache', (dataset) => dataset.cache()],
    ['batch', (dataset) => dataset.batch(2)],
    ['shuffle', (dataset) => dataset.shuffle(3)],
    ['unique', (dataset) => dataset.unique()],
    ['zip, first', (dataset) => Dataset.zip(dataset, Dataset.from([1, 2, 3]).repeat())],
    ['zip, second', (dataset) => Dataset.zip(Dataset.from([1, 2, 3]).repeat(), dataset)],
  ];

  it.each(chains)('closes the source, through %s', async (_, chain) => {
    const source = new Watched(100);
    for await (const element of chain(Dataset.from(source))) {
      expect(element).toBeDefined();
      expect(source.closed).toBe(0);
      break;
    }
    expect([source.opened, source.closed]).toEqual([1, 1]);
    expect(source.pulled).toBeLessThanOrEqual(3);
  });

  it('closes an async source too', async () => {
    let closed = false;
    const dataset = Dataset.from(async function* () {
      try {
        for (;;) yield 1;
      } finally {
        closed = true;
      }
    });
    expect(await dataset.batch(2).take(2).toArray()).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(closed).toBe(true);
  });
});
