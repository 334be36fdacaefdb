import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as C from '../../src/protocol/control-layout.ts';
import { QueryEngine } from '../../src/shard/query.ts';
import { Server } from '../../src/shard/serve.ts';
import { InProcessIndex } from '../support/in-process.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const data = clustered(200, 5);
const { dimensions } = data;
const vectors = new Random(6).normals(100, dimensions);
const query = (i: number): Float32Array => rowAt({ dimensions, vectors }, i);
const OPTIONS = { ...CONFIGS['tree and hashing'], dimensions };

type Exchange = (words: Int32Array, at: number, expected: number, value: number) => number;
const exchange = Atomics.compareExchange as Exchange;
const load = Atomics.load as (words: Int32Array, at: number) => number;

afterEach(() => {
  vi.restoreAllMocks();
});

/** Calls `see` before each attempt to move the queue's head. */
function beforeTaking(see: (head: number, next: number) => void): void {
  vi.spyOn(Atomics, 'compareExchange').mockImplementation(((
    words: Int32Array,
    at: number,
    from: number,
    to: number,
  ) => {
    if (at === C.QUEUE_HEAD) see(from, to);
    return exchange(words, at, from, to);
  }) as typeof Atomics.compareExchange);
}

async function sharesTaken(threads: number, requests: number): Promise<number[]> {
  const index = await InProcessIndex.build(data, { ...OPTIONS, shards: 1 }, { numSlots: 128, threads });
  for (let i = 0; i < requests; i++) index.submit(query(i), index.request(3, 12, 2));
  const shares: number[] = [];
  beforeTaking((head, next) => shares.push(next - head));
  index.server.drain();
  for (let slot = 0; slot < requests; slot++) expect(index.isDone(slot)).toBe(true);
  return shares;
}

describe('the queue', () => {
  it('is taken in long runs at first and in single units at the end', async () => {
    expect(await sharesTaken(1, 100)).toEqual([50, 25, 13, 6, 3, 2, 1]);
  });

  it('is taken in smaller shares when more threads take from it', async () => {
    const shares = await sharesTaken(8, 100);
    expect(shares.slice(0, 4)).toEqual([7, 6, 6, 6]);
    expect(shares.at(-1)).toBe(1);
    expect(shares.reduce((sum, share) => sum + share)).toBe(100);
  });

  it('goes around its ring, and its positions around 2^32', async () => {
    const index = await InProcessIndex.build(data, { ...OPTIONS, shards: 3 }, { numSlots: 4 });
    const request = index.request(3, 12, 2);
    const truth = bits(index.search(query(0), request));
    for (const word of [C.QUEUE_HEAD, C.QUEUE_TAIL]) index.words[word] = 2 ** 31 - 5;
    for (let i = 0; i < 40; i++) expect(bits(index.search(query(0), request))).toEqual(truth);
    expect(index.words[C.QUEUE_HEAD]).toBe((2 ** 31 - 5 + 120) | 0);
    expect(index.words[C.QUEUE_HEAD]).toBeLessThan(0);
  });

  it('gives each unit to one server only, when another is quicker', async () => {
    const index = await InProcessIndex.build(data, { ...OPTIONS, shards: 3 }, { threads: 2 });
    const request = index.request(3, 12, 2);
    const truth = Array.from({ length: 8 }, (_, i) => bits(index.search(query(i), request)));
    const other = new Server(index.serveTask(1));
    const done = index.words[C.DONE_SEQUENCE]!;
    const slots = truth.map((_, i) => index.submit(query(i), request));
    let attempts = 0;
    beforeTaking(() => {
      if (++attempts === 2) other.drain();
    });
    index.server.drain();
    expect(attempts).toBeGreaterThan(2);
    expect(slots.map((slot) => bits(index.result(slot)))).toEqual(truth);
    expect(index.words[C.DONE_SEQUENCE]).toBe(done + 8);
  });
});

describe('a worker', () => {
  let index: InProcessIndex;
  beforeEach(async () => {
    index = await InProcessIndex.build(data, { ...OPTIONS, shards: 3 }, { threads: 2 });
  });

  it('says which slot it works on, and zero afterwards', () => {
    const request = index.request(3, 12, 2);
    const slots = [index.submit(query(0), request), index.submit(query(1), request)];
    const server = new Server(index.serveTask(1));
    const seen = new Set<number>();
    const finish = vi.spyOn(QueryEngine.prototype, 'finish').mockImplementation(() => {
      seen.add(index.words[C.WORKER_SLOTS + 1]!);
    });
    server.drain();
    expect(finish).toHaveBeenCalledTimes(2);
    expect(Array.from(seen).sort()).toEqual(slots.map((slot) => slot + 1).sort());
    expect(index.words[C.WORKER_SLOTS + 1]).toBe(0);
  });

  it('waits for another that prepares the query', () => {
    const request = index.request(3, 12, 2);
    const truth = bits(index.search(query(5), request));
    const slot = index.submit(query(5), request);
    const header = index.slots.header(slot);
    const other = new QueryEngine(index.serveTask(1));
    index.words[header + C.SLOT_STATE] = C.SLOT_PREPARING;
    const wait = vi.spyOn(Atomics, 'wait').mockImplementation(((words: Int32Array, at: number, value: number) => {
      expect([at, value]).toEqual([header + C.SLOT_STATE, C.SLOT_PREPARING]);
      other.prepare(header);
      words[at] = C.SLOT_PREPARED;
      return 'ok';
    }) as typeof Atomics.wait);
    index.server.drain();
    expect(wait).toHaveBeenCalledTimes(1);
    expect(bits(index.result(slot))).toEqual(truth);
  });
});

describe('the loop of a worker', () => {
  /** Ends the loop, which ends by itself with its thread only. */
  class Ended extends Error {}

  /** Runs the loop; `sleeps[i]` happens while it sleeps for the i-th time, and after the last it ends. */
  function run(index: InProcessIndex, sleeps: (() => void)[]): void {
    let slept = 0;
    vi.spyOn(Atomics, 'wait').mockImplementation(((_: Int32Array, at: number, tail: number) => {
      expect(at).toBe(C.QUEUE_TAIL);
      expect(tail).toBe(index.words[C.QUEUE_TAIL]);
      expect(index.words[C.SLEEPERS]).toBe(1);
      const event = sleeps[slept++];
      if (event === undefined) throw new Ended();
      event();
      return 'ok';
    }) as typeof Atomics.wait);
    expect(() => index.server.run()).toThrow(Ended);
    expect(slept).toBe(sleeps.length + 1);
  }

  it('answers what waits, sleeps, and answers what comes then', async () => {
    const index = await InProcessIndex.build(data, { ...OPTIONS, shards: 3 });
    const request = index.request(3, 12, 2);
    const first = index.submit(query(0), request);
    let second = -1;
    run(index, [
      () => {
        expect(index.isDone(first)).toBe(true);
        second = index.submit(query(1), request);
      },
    ]);
    expect(index.isDone(second)).toBe(true);
    expect(bits(index.result(second))).toEqual(bits(index.search(query(1), request)));
  });

  it('looks for more for a moment before it sleeps, if it has a core of its own', async () => {
    const index = await InProcessIndex.build(data, { ...OPTIONS, shards: 3 }, { spareCore: true });
    let [looks, slot] = [0, -1];
    vi.spyOn(Atomics, 'load').mockImplementation(((words: Int32Array, at: number) => {
      // The first look finds an empty queue; the fourth one is within the spin.
      if (at === C.QUEUE_TAIL && ++looks === 4) slot = index.submit(query(1), index.request(3, 12, 2));
      return load(words, at);
    }) as typeof Atomics.load);
    run(index, []);
    expect(index.isDone(slot)).toBe(true);
    expect(looks).toBeGreaterThan(100);
  });

  it('sleeps at once if it has none', async () => {
    const index = await InProcessIndex.build(data, { ...OPTIONS, shards: 3 });
    const looks = vi.spyOn(Atomics, 'load');
    run(index, []);
    expect(looks.mock.calls.filter(([, at]) => at === C.QUEUE_TAIL)).toHaveLength(1);
  });
});
