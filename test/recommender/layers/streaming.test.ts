import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Threads } from '../../../src/coordinator/threads.ts';
import type { Id } from '../../../src/coordinator/types.ts';
import { BruteForce } from '../../../src/recommender/layers/brute-force.ts';
import type { CandidateBatch, CandidateDataset } from '../../../src/recommender/layers/candidate-batches.ts';
import { Streaming } from '../../../src/recommender/layers/streaming.ts';
import type { TopKOptions, TopKResult } from '../../../src/recommender/layers/top-k.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';

const open: { close(): Promise<void> }[] = [];
function opened<T extends { close(): Promise<void> }>(layer: T): T {
  open.push(layer);
  return layer;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((layer) => layer.close()));
});

const streaming = (options?: TopKOptions): Streaming => opened(new Streaming({ threads: 2, ...options }));

/** Room for a few queries only in each pass. */
class Cramped extends Streaming {
  protected override readonly passBytes = 1000;
}

/** Batches of these sizes over and over, and a count of how often they were read. */
class Source implements AsyncIterable<CandidateBatch> {
  readonly vectors: Float32Array;
  readonly dimensions: number;
  readonly ids: readonly Id[] | undefined;
  readonly sizes: readonly number[];
  started = 0;
  running = 0;
  given = 0;

  constructor(vectors: Float32Array, dimensions: number, sizes: readonly number[], ids?: readonly Id[]) {
    this.vectors = vectors;
    this.dimensions = dimensions;
    this.sizes = sizes;
    this.ids = ids;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CandidateBatch> {
    this.started++;
    this.running++;
    try {
      const count = this.vectors.length / this.dimensions;
      // The arrays of a batch are used again for the next.
      const room = new Float32Array(Math.max(...this.sizes) * this.dimensions);
      const names: Id[] = [];
      for (let row = 0, i = 0; row < count; i++) {
        const size = Math.min(count - row, this.sizes[i % this.sizes.length]!);
        const batch = room.subarray(0, size * this.dimensions);
        batch.set(this.vectors.subarray(row * this.dimensions, (row + size) * this.dimensions));
        this.given++;
        if (this.ids === undefined) yield batch;
        else {
          names.splice(0, names.length, ...this.ids.slice(row, row + size));
          yield [names, batch];
        }
        row += size;
      }
    } finally {
      this.running--;
    }
  }
}

async function bruteForce(vectors: Float32Array, dimensions: number, ids?: readonly Id[]): Promise<BruteForce> {
  return opened(new BruteForce({ threads: 2, dimensions })).index(vectors, ids);
}

const bits = ([scores, ids]: TopKResult): [string[], Id[][]] => [
  scores.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString('hex')),
  ids,
];

describe('gives the answers of BruteForce, bit by bit,', () => {
  // Chunks hold 2^16 rows at the most, and some 4 MB.
  it.each([
    [1, 70_000, [1000], 5, 20],
    [3, 1000, [1], 40, 10],
    [4, 1000, [7, 300, 1], 3, 1000],
    [7, 5000, [5000], 70, 5],
    [33, 3000, [64], 33, 100],
    [64, 20_000, [20_000], 10, 50],
    [100, 9000, [2000], 2, 9000],
    [4096, 700, [100, 350], 5, 600],
  ])(
    'with %i dimensions, %i candidates in batches of %j, %i queries, k = %i',
    async (dimensions, count, sizes, m, k) => {
      const random = new Random(dimensions);
      const vectors = random.normals(count, dimensions);
      // Repeated candidates tie.
      vectors.copyWithin(Math.floor(count / 2) * dimensions, 0, Math.floor(count / 4) * dimensions);
      const queries = random.normals(m, dimensions);
      const ids = Array.from({ length: count }, (_, i) => `i${i % 997}`);
      const exact = await bruteForce(vectors, dimensions, ids);
      const named = await streaming({ dimensions }).indexFromDataset(new Source(vectors, dimensions, sizes, ids));
      const right = bits(await exact.call(queries, k));
      expect(bits(await named.call(queries, k))).toEqual(right);
      expect(bits((await named.callPositions(queries, k)) as TopKResult)).toEqual(
        bits((await exact.callPositions(queries, k)) as TopKResult),
      );
      const rows = await streaming({ dimensions }).indexFromDataset(new Source(vectors, dimensions, sizes));
      expect(await rows.call(queries, k)).toEqual(await exact.callPositions(queries, k));
      expect(rows).toMatchObject({ size: count, dimensions });
    },
  );

  // Each identifier has hundreds of candidates in several chunks; some queries exclude all, none, or most of what is best for them.
  it.each([
    [3, 66_000, [1000], 9, 10, streaming],
    [100, 20_000, [2000], 40, 20, streaming],
    [40, 3000, [64, 700], 30, 5, (options: TopKOptions) => opened(new Cramped({ threads: 2, ...options }))],
    [2, 200, [7], 3, 500, streaming],
  ] as const)(
    'without excluded candidates, with %i dimensions, %i candidates in batches of %j, %i queries, k = %i',
    async (dimensions, count, sizes, m, k, make) => {
      const random = new Random(dimensions);
      const vectors = random.normals(count, dimensions);
      const queries = random.normals(m, dimensions);
      const ids = Array.from({ length: count }, (_, i) => `i${i % 97}`);
      const exact = await bruteForce(vectors, dimensions, ids);
      const [, best] = await exact.call(queries, 3 * k);
      const exclusions = best.map((found, query) => {
        if (query % 5 === 0) return [];
        return query % 7 === 3 ? [...new Set(ids)] : [...found.filter((_, i) => i % 3 !== 0), 'nothing', 5];
      });
      const named = await make({ dimensions }).indexFromDataset(new Source(vectors, dimensions, sizes, ids));
      expect(bits(await named.queryWithExclusions(queries, exclusions, k))).toEqual(
        bits(await exact.queryWithExclusions(queries, exclusions, k)),
      );
      expect(bits(await named.call(queries, k))).toEqual(bits(await exact.call(queries, k)));

      const [, bestRows] = await exact.callPositions(queries, 3 * k);
      const excludedRows = bestRows.map((found) => [...found.filter((_, i) => i % 3 !== 0), 'i1', count]);
      const [byRow, rows] = [await bruteForce(vectors, dimensions), make({ dimensions })];
      await rows.indexFromDataset(new Source(vectors, dimensions, sizes));
      expect(bits(await rows.queryWithExclusions(queries, excludedRows, k))).toEqual(
        bits(await byRow.queryWithExclusions(queries, excludedRows, k)),
      );
    },
  );

  it('reads the candidates once, however many are excluded', async () => {
    const random = new Random(4);
    const source = new Source(
      random.normals(500, 8),
      8,
      [100],
      Array.from({ length: 500 }, (_, i) => i % 2),
    );
    const layer = await streaming().indexFromDataset(source);
    const [, found] = await layer.queryWithExclusions(random.normals(2, 8), [[0], [0, 1]], 3);
    expect(found).toEqual([[1, 1, 1], []]);
    expect(source.started).toBe(1);
  });

  it.each(['scalar', 'simd'])('with %s kernels', async (tier) => {
    const random = new Random(5);
    const vectors = random.normals(2000, 19);
    const queries = random.normals(9, 19);
    const right = bits(await (await bruteForce(vectors, 19)).call(queries, 30));
    const before = process.env.SCANNERY_KERNELS;
    process.env.SCANNERY_KERNELS = tier;
    try {
      const layer = await streaming({ dimensions: 19 }).indexFromDataset(new Source(vectors, 19, [300]));
      expect(bits(await layer.call(queries, 30))).toEqual(right);
    } finally {
      if (before === undefined) delete process.env.SCANNERY_KERNELS;
      else process.env.SCANNERY_KERNELS = before;
    }
  });

  it.each([1, 3])('with %i threads', async (threads) => {
    const random = new Random(6);
    const vectors = random.integers(3000, 5);
    const queries = random.integers(100, 5);
    const layer = await streaming({ threads, dimensions: 5 }).indexFromDataset(new Source(vectors, 5, [999]));
    expect(bits(await layer.call(queries, 40))).toEqual(bits(await (await bruteForce(vectors, 5)).call(queries, 40)));
  });

  it('for thousands of queries', async () => {
    const random = new Random(7);
    const vectors = random.integers(1500, 8);
    const queries = random.integers(8192, 8);
    const ids = Array.from({ length: 1500 }, (_, i) => `i${i}`);
    const layer = await streaming().indexFromDataset(new Source(vectors, 8, [512], ids));
    expect(bits(await layer.call(queries, 100))).toEqual(
      bits(await (await bruteForce(vectors, 8, ids)).call(queries, 100)),
    );
  });

  it('when there is room for a few queries at a time only, in as many passes', async () => {
    const random = new Random(8);
    const vectors = random.integers(300, 4);
    const queries = random.integers(20, 4);
    const ids = Array.from({ length: 300 }, (_, i) => i * 2);
    const source = new Source(vectors, 4, [64], ids);
    const layer = await opened(new Cramped({ threads: 2 })).indexFromDataset(source);
    const exact = await bruteForce(vectors, 4, ids);
    for (const k of [1, 10, 100, 1000])
      expect(bits(await layer.call(queries, k))).toEqual(bits(await exact.call(queries, k)));
    expect(source.started).toBeGreaterThan(20);
    expect(await layer.call(queries.subarray(0, 4))).toEqual(await exact.call(queries.subarray(0, 4)));
  });
});

const random = new Random(11);
const vectors = random.normals(500, 4);
const queries = random.normals(6, 4);
const some = (sizes: readonly number[] = [50]): Source => new Source(vectors, 4, sizes);

it('reads the candidates once per call, in turns', async () => {
  const source = some();
  const layer = await streaming({ dimensions: 4 }).indexFromDataset(source);
  expect(source.started).toBe(0);
  const most: number[] = [];
  const watch = setInterval(() => most.push(source.running), 0);
  const answers = await Promise.all([1, 2, 3, 4].map((k) => layer.call(queries, k)));
  clearInterval(watch);
  expect(source).toMatchObject({ started: 4, running: 0, given: 40 });
  expect(Math.max(0, ...most)).toBeLessThanOrEqual(1);
  answers.forEach(([scores], i) => {
    expect(scores.every((row) => row.length === i + 1)).toBe(true);
  });
});

it('sees what the dataset holds by the time of the call', async () => {
  const batches: number[][][] = [[[1, 0]]];
  const layer = await streaming().indexFromDataset(batches);
  expect((await layer.call([[1, 1]]))[1]).toEqual([[0]]);
  batches.push([[2, 0]]);
  expect((await layer.call([[1, 1]]))[1]).toEqual([[1, 0]]);
  expect(layer.size).toBe(2);
});

it('serves one call from what can be iterated only once', async () => {
  for (const once of [some()[Symbol.asyncIterator](), [[[1, 2, 3, 4]]][Symbol.iterator]()] as CandidateDataset[]) {
    const layer = await streaming({ dimensions: 4 }).indexFromDataset(once);
    expect((await layer.call(queries))[0]).toHaveLength(6);
    const error = await failureOf(layer.call(queries));
    expect(error.code).toBe('SCANNERY_INVALID_OPTION');
    expect(error.message).toContain('once');
  }
});

it('gives up between batches when aborted, and closes the dataset', async () => {
  const source = some([1]);
  const layer = await streaming({ dimensions: 4 }).indexFromDataset(source);
  const controller = new AbortController();
  const slow = (async function* () {
    for await (const batch of source) {
      if (source.given === 30) controller.abort('enough');
      yield batch;
    }
  })();
  await layer.indexFromDataset(slow);
  const queued = [
    layer.call(queries, { signal: controller.signal }),
    layer.call(queries, { signal: controller.signal }),
  ];
  for (const call of queued) {
    expect(await failureOf(call)).toMatchObject({ code: 'SCANNERY_ABORTED', cause: 'enough' });
  }
  expect(source).toMatchObject({ started: 1, given: 30, running: 0 });
});

it('passes errors of the dataset on, and answers the next call', async () => {
  const failure = new Error('source');
  let broken = true;
  const dataset = {
    async *[Symbol.asyncIterator](): AsyncGenerator<Float32Array> {
      yield vectors;
      if (broken) throw failure;
    },
  };
  const layer = await streaming({ dimensions: 4 }).indexFromDataset(dataset);
  await expect(layer.call(queries)).rejects.toBe(failure);
  broken = false;
  expect((await layer.call(queries))[1]).toEqual((await (await bruteForce(vectors, 4)).call(queries))[1]);
});

it.each([
  [
    'a NaN',
    [
      [[1, 2]],
      [
        [3, 4],
        [5, Number.NaN],
      ],
    ],
    'SCANNERY_INVALID_VECTOR',
    2,
  ],
  [
    'a number too large',
    [
      [[1, 2]],
      [
        [3, 4],
        [1e18, 1],
      ],
    ],
    'SCANNERY_INVALID_VECTOR',
    2,
  ],
  [
    'text',
    [
      [
        [1, 2],
        [1, '2'],
      ],
    ],
    'SCANNERY_INVALID_VECTOR',
    1,
  ],
  ['a short row', [[[1, 2], [1]]], 'SCANNERY_INVALID_VECTOR', 1],
  ['no row', [[[1, 2], null]], 'SCANNERY_INVALID_VECTOR', 1],
  [
    'a bad identifier',
    [
      [['a'], [[1, 2]]],
      [
        ['b', {}],
        [
          [1, 2],
          [3, 4],
        ],
      ],
    ],
    'SCANNERY_INVALID_ID',
    2,
  ],
  [
    'too few identifiers',
    [
      [['a'], [[1, 2]]],
      [
        ['b'],
        [
          [1, 2],
          [3, 4],
        ],
      ],
    ],
    'SCANNERY_INVALID_ID',
    2,
  ],
  [
    'identifiers in some batches',
    [
      [['a'], [[1, 2]]],
      [
        [1, 2],
        [3, 4],
      ],
    ],
    'SCANNERY_INVALID_ID',
    1,
  ],
  ['a flat array of a broken length', [[[1, 2]], new Float32Array(3)], 'SCANNERY_INVALID_VECTOR', 2],
  ['numbers', [1], 'SCANNERY_INVALID_OPTION', undefined],
])('refuses candidates with %s when called, naming the row', async (_, batches, code, row) => {
  const layer = await streaming().indexFromDataset(batches as number[][][]);
  expect(await failureOf(layer.call([[1, 2]]))).toMatchObject({ code, ...(row === undefined ? {} : { row }) });
});

it('refuses what is no dataset', async () => {
  for (const bad of [undefined, null, 5, {}]) {
    expect(await failureOf(streaming().indexFromDataset(bad as unknown as number[][][]))).toMatchObject({
      ...{ code: 'SCANNERY_INVALID_OPTION', option: 'dataset' },
    });
  }
});

it('finishes the calls made before it was closed', async () => {
  const layer = await streaming({ dimensions: 4 }).indexFromDataset(some());
  const calls = [layer.call(queries), layer.call(queries, 3)];
  await layer.close();
  expect((await Promise.all(calls)).map(([scores]) => scores[0]!.length)).toEqual([10, 3]);
  expect(await failureOf(layer.call(queries))).toMatchObject({ code: 'SCANNERY_CLOSED' });
});

it('starts new threads when one died in the middle of a call', async () => {
  const phases = vi.spyOn(Threads.prototype, 'runPhase');
  try {
    const many = new Random(12).normals(200_000, 8);
    const layer = await streaming({ dimensions: 8 }).indexFromDataset([many]);
    const asked = many.slice(0, 8 * 2000);
    const right = await layer.call(asked, 3);
    const before = phases.mock.contexts.length;
    const doomed = failureOf(layer.call(asked, 3));
    while (phases.mock.contexts.length === before) await nextTurn();
    await (phases.mock.contexts[0] as Threads).workers[0]!.terminate();
    expect((await doomed).code).toBe('SCANNERY_WORKER_FAILED');
    expect(await layer.call(asked, 3)).toEqual(right);
  } finally {
    phases.mockRestore();
  }
});
