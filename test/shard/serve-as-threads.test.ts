import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeQuery } from '../../src/coordinator/call.ts';
import { type BuildOptions, METRICS } from '../../src/index.ts';
import { MODE_CODES, MODE_EXACT, MODE_HASHED, MODE_LEAVES, SLOT_CODES } from '../../src/protocol/control-layout.ts';
import { InProcessIndex } from '../support/in-process.ts';
import { LiveIndex } from '../support/live-index.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered, naiveRanking, rowAt } from '../support/vectors.ts';

const data = clustered(701, 9);
const { count, dimensions } = data;
const vectors = new Random(3).normals(20, dimensions);

const WAYS = {
  exact: { mode: MODE_EXACT, options: CONFIGS['tree and hashing'], exact: true },
  leaves: { mode: MODE_LEAVES, options: CONFIGS['tree only'], exact: false },
  hashed: { mode: MODE_HASHED, options: CONFIGS['tree and hashing'], exact: false },
  'hashed without a tree': { mode: MODE_HASHED, options: CONFIGS['hashing only'], exact: false },
  codes: { mode: MODE_CODES, options: { ...CONFIGS['tree and hashing'], reordering: false }, exact: false },
} as const;

const CASES = Object.entries(WAYS).flatMap(([way, rest]) => METRICS.map((metric) => ({ way, metric, ...rest })));

describe.each(CASES)('drain answers as worker threads do: $way, $metric', ({ metric, mode, options, exact }) => {
  let [one, three, live]: [InProcessIndex?, InProcessIndex?, LiveIndex?] = [];
  beforeAll(async () => {
    const all: BuildOptions = { ...options, metric, dimensions };
    one = await InProcessIndex.build(data, { ...all, shards: 1 });
    three = await InProcessIndex.build(data, { ...all, shards: 3 });
    live = await LiveIndex.build(data, { ...all, shards: 3, threads: 1 });
  });
  afterAll(async () => live?.[Symbol.asyncDispose]());

  it('gives the same ids and scores from one shard, three shards and threads', async () => {
    for (const [k, limit, leaves] of [
      [1, 1, 1],
      [10, 40, 4],
      [40, 300, 12],
      [count, count, 12],
    ] as const) {
      const request = live!.request(k, limit, leaves, exact);
      expect(request.mode).toBe(mode);
      for (let i = 0; i < 20; i++) {
        const query = rowAt({ dimensions, vectors }, i);
        const truth = await live!.search(query, request);
        expect(truth.ids.length).toBeGreaterThan(0);
        const ready = new Float32Array(dimensions);
        writeQuery(query, undefined, { dimensions, stride: dimensions, normalise: metric === 'cosine' }, ready, 0);
        const [fromOne, fromThree] = [one!.search(ready, request), three!.search(ready, request)];
        expect(fromThree).toEqual(fromOne);
        expect(fromThree.ids).toEqual(truth.ids);
        // Distances that codes give need the query's norm, too; their order is all there is to compare here.
        if (metric === 'squared_l2' && mode === MODE_CODES) continue;
        expect(fromThree.scores.map((score) => (metric === 'squared_l2' ? 0 - score : score))).toEqual(truth.scores);
      }
    }
  });
});

describe('an exact scan of more vectors than one step', () => {
  it('ranks vectors of all steps together', async () => {
    const large = { count: 70_000, dimensions: 4, vectors: new Random(8).integers(70_000, 4) };
    const index = await InProcessIndex.build(large, { dimensions: 4, shards: 1, tree: false, hashing: false });
    const found = index.search([1, -2, 3, 5], index.request(200, 200, 0, true));
    expect(found.ids).toEqual(naiveRanking('dot_product', large, [1, -2, 3, 5]).slice(0, 200));
    expect(found.ids.some((id) => Number(id) >= 65_536)).toBe(true);
  });
});

describe('codes scanned', () => {
  it('are counted: all of them when every leaf is searched, some when few are', async () => {
    const index = await InProcessIndex.build(data, { ...CONFIGS['tree and hashing'], dimensions, shards: 3 });
    const query = rowAt({ dimensions, vectors }, 1);
    const all = index.submit(query, index.request(10, 100, 12));
    const some = index.submit(query, index.request(10, 100, 2));
    index.server.drain();
    expect(index.word(all, SLOT_CODES)).toBeGreaterThanOrEqual(count);
    expect(index.word(some, SLOT_CODES)).toBeGreaterThan(0);
    expect(index.word(some, SLOT_CODES)).toBeLessThan(count);
  });
});
