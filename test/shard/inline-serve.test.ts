import { beforeAll, describe, expect, it } from 'vitest';
import type { IndexData } from '../../src/coordinator/build.ts';
import { METRICS, type Metric } from '../../src/index.ts';
import {
  DONE_SEQUENCE,
  FAULT_INTERNAL,
  FAULT_OUT_OF_MEMORY,
  QUEUE_HEAD,
  QUEUE_TAIL,
  SLOT_CODES,
  SLOT_DONE,
  SLOT_ERROR,
  SLOT_LEAVES_TO_SEARCH,
  SLOT_MERGED,
  SLOT_RESULT_COUNT,
  SLOT_STATE,
  START_FAILED,
  STARTED,
  WORKER_SLOTS,
} from '../../src/protocol/control-layout.ts';
import { TOP_WORD } from '../../src/protocol/shard-layout.ts';
import { MAX_PAGES } from '../../src/shard/arena.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import run from '../../src/shard/worker.ts';
import { buildInline, InlineServer } from '../support/inline-build.ts';
import { Random } from '../support/random.ts';
import { CONFIG_NAMES, CONFIGS, clustered, naiveScore, rowAt } from '../support/vectors.ts';

const data = clustered(900, 8);
const queries = Array.from({ length: 20 }, (_, i) => new Random(i).normals(1, 8));
const build = (rest: object): Promise<IndexData> => buildInline(data, { ...CONFIGS['tree and hashing'], ...rest });

/** Scores where higher is nearer, best first, of all vectors. */
function bestScores(metric: Metric, query: Float32Array): number[] {
  const sign = metric === 'squared_l2' ? -1 : 1;
  return Array.from({ length: data.count }, (_, i) => sign * naiveScore(metric, rowAt(data, i), query)).sort(
    (a, b) => b - a,
  );
}

describe.each(CONFIG_NAMES)('%s', (name) => {
  it.each(METRICS)('answers queued queries with the nearest vectors, under %s', async (metric) => {
    for (const shards of [1, 3]) {
      const served = new InlineServer(await build({ ...CONFIGS[name], metric, shards }));
      const unit = (query: Float32Array): Float32Array => query.map((value) => value / Math.hypot(...query));
      const asked = queries.map((query) => (metric === 'cosine' ? unit(query) : query));
      const everything = served.request(10, { limit: data.count, leaves: 12 });
      const exact = asked.map((query) => served.enqueue(query, served.request(10, { exact: true })));
      served.server.drain();
      exact.forEach((slot, i) => {
        const { rows, scores } = served.result(slot);
        expect(new Set(rows).size).toBe(10);
        const best = bestScores(metric, queries[i]!);
        for (const [r, score] of scores.entries()) expect(Math.abs(score - best[r]!)).toBeLessThan(1e-3);
        served.slots.free(slot);
      });
      const right = exact.map((slot) => served.result(slot));
      const slots = asked.map((query) => served.enqueue(query, everything));
      served.server.drain();
      expect(slots.map((slot) => served.result(slot)).map(({ rows }) => rows)).toEqual(right.map(({ rows }) => rows));
    }
  });
});

it.each(['scalar', 'simd'] as const)('the %s kernels serve the same', async (tier) => {
  const kernels = loadKernels(tier);
  const base = new InlineServer(await build({ shards: 2 }));
  const other = new InlineServer(
    await buildInline(data, { ...CONFIGS['tree and hashing'], shards: 2 }, undefined, kernels),
    { kernels },
  );
  const [first, second] = [base, other].map((served) => {
    const slots = queries.map((query) => served.enqueue(query, served.request(5, { limit: 9 })));
    served.server.drain();
    return slots.map((slot) => served.result(slot));
  });
  expect(second).toEqual(first);
});

it('codes alone give approximate answers', async () => {
  const served = new InlineServer(await build({ shards: 3, reordering: false }));
  const slots = queries.map((query) => served.enqueue(query, served.request(20, { leaves: 12 })));
  served.server.drain();
  slots.forEach((slot, i) => {
    const { rows, scores } = served.result(slot);
    expect(rows).toHaveLength(20);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    const best = bestScores('dot_product', queries[i]!);
    expect(naiveScore('dot_product', rowAt(data, rows[0]!), queries[i]!)).toBeGreaterThan(best[60]!);
  });
});

describe('a server', () => {
  let served: InlineServer;
  beforeAll(async () => {
    served = new InlineServer(await build({ shards: 3 }));
  });

  it('publishes each answer: state, done bit and sequence', () => {
    const { words, layout } = served.slots;
    const before = words[DONE_SEQUENCE]!;
    const slots = queries.map((query) => served.enqueue(query, served.request(4, { leaves: 12 })));
    expect((words[QUEUE_TAIL]! - words[QUEUE_HEAD]!) | 0).toBe(3 * queries.length);
    served.server.drain();
    expect(words[QUEUE_TAIL]).toBe(words[QUEUE_HEAD]);
    expect(words[DONE_SEQUENCE]! - before).toBe(queries.length);
    expect(words[WORKER_SLOTS]).toBe(0);
    for (const slot of slots) {
      expect(served.word(slot, SLOT_STATE)).toBe(SLOT_DONE);
      expect(served.word(slot, SLOT_CODES)).toBe(data.count);
      expect((words[(layout.done >>> 2) + (slot >>> 5)]! >>> (slot & 31)) & 1).toBe(1);
      served.slots.free(slot);
    }
  });

  it('goes round its queue many times', () => {
    const expected = served.enqueue(queries[0]!, served.request(4));
    served.server.drain();
    const right = served.result(expected);
    served.slots.free(expected);
    for (let i = 0; i < 4 * served.slots.layout.queueCapacity; i++) {
      const slot = served.enqueue(queries[0]!, served.request(4));
      served.server.drain();
      if (i % 50 === 0) expect(served.result(slot)).toEqual(right);
      served.slots.free(slot);
    }
    expect(served.slots.anyFree).toBe(true);
  });

  it('skips what was cancelled, and publishes it all the same', () => {
    const cancelled = served.enqueue(queries[0]!, served.request(4));
    const other = served.enqueue(queries[1]!, served.request(4));
    served.slots.cancel(cancelled);
    served.server.drain();
    expect(served.word(cancelled, SLOT_STATE)).toBe(SLOT_DONE);
    expect(served.word(cancelled, SLOT_RESULT_COUNT)).toBe(0);
    expect(served.word(cancelled, SLOT_CODES)).toBe(0);
    expect(served.word(other, SLOT_RESULT_COUNT)).toBe(4);
    for (const slot of [cancelled, other]) served.slots.free(slot);
  });

  it('answers a query that is started afresh as if it were the first time', () => {
    const slot = served.enqueue(queries[3]!, served.request(6));
    served.server.drain();
    const right = served.result(slot);
    served.slots.reset(slot, true);
    expect(served.word(slot, SLOT_RESULT_COUNT)).toBe(0);
    served.slots.enqueue(slot);
    served.server.drain();
    expect(served.result(slot)).toEqual(right);
    served.slots.free(slot);
  });

  it('fails a query that breaks, and goes on with the next', () => {
    const broken = served.enqueue(queries[0]!, served.request(4));
    served.slots.words[served.slots.header(broken) + SLOT_MERGED] = -8;
    served.slots.words[served.slots.header(broken) + SLOT_LEAVES_TO_SEARCH] = 2 ** 29;
    const other = served.enqueue(queries[1]!, served.request(4));
    served.server.drain();
    expect([FAULT_INTERNAL, FAULT_OUT_OF_MEMORY]).toContain(served.word(broken, SLOT_ERROR));
    expect(served.word(broken, SLOT_STATE)).toBe(SLOT_DONE);
    expect(served.word(other, SLOT_ERROR)).toBe(0);
    expect(served.word(other, SLOT_RESULT_COUNT)).toBe(4);
  });

  it('says so when a shard has no memory left', async () => {
    const full = new InlineServer(await build({ shards: 2 }));
    new Int32Array(full.data.shards[1]!.buffer)[TOP_WORD] = (MAX_PAGES * 65536 - 64) | 0;
    const slot = full.enqueue(queries[0]!, full.request(4));
    full.server.drain();
    expect(full.word(slot, SLOT_ERROR)).toBe(FAULT_OUT_OF_MEMORY);
    expect(full.word(slot, SLOT_RESULT_COUNT)).toBe(0);
  });
});

describe('the serve task', () => {
  it('ends at once when another worker failed to start', async () => {
    const { task, slots } = new InlineServer(await build({ shards: 1 }));
    Atomics.store(slots.words, STARTED, START_FAILED);
    expect(await run(task)).toEqual({ ok: null });
  });

  it('waits for the other workers, and ends when one of them fails', async () => {
    const { task, slots } = new InlineServer(await build({ shards: 1 }));
    let ended = false;
    const reply = run({ ...task, threads: 2 }).then((value) => {
      ended = true;
      return value;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ended).toBe(false);
    expect(Atomics.load(slots.words, STARTED)).toBe(1);
    Atomics.store(slots.words, STARTED, START_FAILED);
    expect(await reply).toEqual({ ok: null });
  });
});
