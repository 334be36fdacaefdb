import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Request } from '../../src/coordinator/slots.ts';
import type { BuildOptions, SearchResult } from '../../src/index.ts';
import * as C from '../../src/protocol/control-layout.ts';
import { QueryEngine } from '../../src/shard/query.ts';
import { ShardScanner } from '../../src/shard/scan.ts';
import { Server } from '../../src/shard/serve.ts';
import { InProcessIndex } from '../support/in-process.ts';
import { Random } from '../support/random.ts';
import { bits, clustered, rowAt } from '../support/vectors.ts';

// Queries that one worker takes with all their shards, when much is queued.
const data = clustered(900, 5, 2);
const { dimensions } = data;
const vectors = Float32Array.of(...new Random(6).normals(40, dimensions), ...data.vectors.subarray(0, 40 * dimensions));
const query = (i: number): Float32Array => rowAt({ dimensions, vectors }, i);
const tree = { numLeaves: 12, trainingIterations: 3 };
const hashing = { trainingIterations: 3 };
const build = (options: BuildOptions, threads = 1, numSlots = 128): Promise<InProcessIndex> =>
  InProcessIndex.build(data, { dimensions, tree, hashing, shards: 3, ...options }, { threads, numSlots });

afterEach(() => {
  vi.restoreAllMocks();
});

/** How the engine was asked to scan: units one by one, and whole queries in groups. */
function watchScans(): { units: () => number; groups: () => number[] } {
  const [unit, group] = [vi.spyOn(QueryEngine.prototype, 'scan'), vi.spyOn(QueryEngine.prototype, 'scanGroup')];
  return { units: () => unit.mock.calls.length, groups: () => group.mock.calls.map(([slots]) => slots.length) };
}

const free = (index: InProcessIndex, slots: readonly number[]): void => {
  for (const slot of slots) {
    index.slots.free(slot);
    index.words[(index.slots.layout.done >>> 2) + (slot >>> 5)]! &= ~(1 << (slot & 31));
  }
};

/** The answers to queries, each scanned unit by unit by itself. */
function oneByOne(index: InProcessIndex, requests: readonly Request[]): unknown[] {
  const scans = watchScans();
  const found = requests.map((request, i) => bits(index.search(query(i), request)));
  if (index.data.shards.length > 1) expect(scans.groups()).toEqual([]);
  expect(scans.units() + scans.groups().length).toBe(requests.length * index.data.shards.length);
  vi.restoreAllMocks();
  return found;
}

const answersOf = (index: InProcessIndex, slots: readonly number[]): unknown[] =>
  slots.map((slot): ReturnType<typeof bits> => {
    expect(index.isDone(slot)).toBe(true);
    expect(index.word(slot, C.SLOT_ERROR)).toBe(0);
    return bits(index.result(slot) as SearchResult);
  });

/** Limits, k and leaves of several kinds, in runs that may be scanned together and alone. */
function mixedRequests(index: InProcessIndex, count: number): Request[] {
  const kinds = [
    index.request(5, 20, 3),
    index.request(5, 20, 3),
    index.request(3, 20, 3),
    index.request(5, 20, 7),
    index.request(5, 40, 12),
    index.request(5, 20, 1, index.data.config.reordering !== false),
    index.request(900, 1800, 12),
  ];
  return Array.from({ length: count }, (_, i) => kinds[Math.floor(i / 3) % kinds.length]!);
}

describe('whole queries', () => {
  it.each<[string, BuildOptions]>([
    ['hashed', {}],
    ['hashed, squared_l2', { metric: 'squared_l2' }],
    ['codes', { reordering: false }],
    ['tree', { hashing: false }],
    ['exact', { hashing: false, tree: false }],
    ['hashing only', { tree: false }],
    ['hashed, spilled', { tree: { ...tree, soarLambda: 1 } }],
    ['codes, spilled', { tree: { ...tree, soarLambda: 1 }, reordering: false }],
    ['tree, spilled', { tree: { ...tree, soarLambda: 1 }, hashing: false }],
  ])('have the answers of their units: %s', async (_, options) => {
    for (const shards of [1, 3, 40]) {
      const index = await build({ ...options, shards });
      const requests = mixedRequests(index, 60);
      const right = oneByOne(index, requests);
      const codes = requests.map((request, i) => {
        const slot = index.submit(query(i), request);
        index.server.drain();
        free(index, [slot]);
        return index.word(slot, C.SLOT_CODES);
      });
      const scans = watchScans();
      const slots = requests.map((request, i) => index.submit(query(i), request));
      index.server.drain();
      const whole = scans.groups().reduce((sum, count) => sum + count, 0);
      // A part of an exact scan is as much work as several whole queries of the other kind.
      if (options.tree === false && options.hashing === false && shards > 1) expect(whole).toBe(0);
      else expect(whole).toBeGreaterThan(50);
      expect(scans.units()).toBe((60 - whole) * shards);
      expect(answersOf(index, slots)).toEqual(right);
      expect(slots.map((slot) => index.word(slot, C.SLOT_CODES))).toEqual(codes);
      expect(slots.map((slot) => index.word(slot, C.SLOT_REMAINING))).toEqual(new Array(60).fill(0));
    }
  });

  it('are taken as soon as two of them are a share, and not before', async () => {
    const index = await build({}, 2);
    const request = index.request(3, 12, 2);
    const right = oneByOne(index, new Array(9).fill(request));
    // 3 shards, 2 threads: of 8 queries, 24 units, a share is 6 units.
    for (const [queries, expected] of [
      [7, 0],
      [8, 2],
    ] as const) {
      const scans = watchScans();
      const slots = Array.from({ length: queries }, (_, i) => index.submit(query(i), request));
      index.server.drain();
      const wholeAtFirst = scans.groups()[0] ?? 0;
      expect(expected === 0 || wholeAtFirst === expected).toBe(true);
      expect(answersOf(index, slots)).toEqual(right.slice(0, queries));
      free(index, slots);
      vi.restoreAllMocks();
    }
  });

  it('are answered among cancelled ones, which are published without an answer', async () => {
    for (const options of [{}, { tree: { ...tree, soarLambda: 1 } }, { hashing: false as const }]) {
      const index = await build(options);
      const requests = mixedRequests(index, 60);
      const right = oneByOne(index, requests);
      const slots = requests.map((request, i) => index.submit(query(i), request));
      const isCancelled = (i: number): boolean => i % 4 === 1 || (i > 20 && i < 30);
      for (const [i, slot] of slots.entries()) if (isCancelled(i)) index.slots.cancel(slot);
      index.server.drain();
      for (const [i, slot] of slots.entries()) {
        expect(index.isDone(slot)).toBe(true);
        if (!isCancelled(i)) expect(bits(index.result(slot))).toEqual(right[i]);
        else expect([index.word(slot, C.SLOT_RESULT_COUNT), index.word(slot, C.SLOT_CODES)]).toEqual([0, 0]);
      }
    }
  });

  it('that are cancelled while they are scanned do not spoil the others', async () => {
    const index = await build({});
    const requests = new Array<Request>(40).fill(index.request(5, 20, 3));
    const right = oneByOne(index, requests);
    const slots = requests.map((request, i) => index.submit(query(i), request));
    const prepare = QueryEngine.prototype.prepare;
    vi.spyOn(QueryEngine.prototype, 'prepare').mockImplementation(function (this: QueryEngine, slot: number) {
      prepare.call(this, slot);
      const number = (slot - index.slots.header(0)) / C.SLOT_WORDS;
      if (number % 3 === 0) index.slots.cancel(number);
    });
    index.server.drain();
    for (const [i, slot] of slots.entries()) {
      expect(index.isDone(slot)).toBe(true);
      if (slot % 3 !== 0) expect(bits(index.result(slot))).toEqual(right[i]);
    }
  });

  it('are answered once each when another worker is in the middle of a query', async () => {
    const index = await build({}, 2);
    const request = index.request(5, 20, 3);
    const right = oneByOne(index, new Array(30).fill(request));
    const other = new Server(index.serveTask(1));
    const done = index.words[C.DONE_SEQUENCE]!;
    const slots = right.map((_, i) => index.submit(query(i), request));
    const scan = QueryEngine.prototype.scan;
    let turns = 0;
    vi.spyOn(QueryEngine.prototype, 'scan').mockImplementation(function (this: QueryEngine, ...unit) {
      if (turns++ === 1) other.drain();
      scan.apply(this, unit);
    });
    index.server.drain();
    expect(turns).toBeGreaterThan(1);
    expect(answersOf(index, slots)).toEqual(right);
    expect(index.words[C.DONE_SEQUENCE]).toBe(done + 30);
  });

  it('are tried one by one when scanning them together fails', async () => {
    const index = await build({});
    const request = index.request(5, 20, 3);
    const right = oneByOne(index, new Array(30).fill(request));
    const slots = right.map((_, i) => index.submit(query(i), request));
    const broken = index.slots.header(slots[7]!);
    const scanMemory = ShardScanner.prototype.scanMemory;
    vi.spyOn(ShardScanner.prototype, 'scanMemory').mockImplementation(function (this: ShardScanner, group, memory) {
      if (memory === 2 && group.includes(broken)) throw new Error('broken');
      scanMemory.call(this, group, memory);
    });
    index.server.drain();
    for (const [i, slot] of slots.entries()) {
      expect(index.isDone(slot)).toBe(true);
      expect(index.word(slot, C.SLOT_ERROR)).toBe(i === 7 ? C.FAULT_INTERNAL : 0);
      if (i !== 7) expect(bits(index.result(slot))).toEqual(right[i]);
    }
  });

  it('that are started afresh are not scanned together with others', async () => {
    const index = await build({});
    const request = index.request(5, 20, 3);
    const right = oneByOne(index, new Array(24).fill(request));
    const slots = right.map((_, i) => {
      const slot = index.submit(query(i), request);
      if (i % 6 === 2) index.slots.reset(slot, true);
      return slot;
    });
    const alone = slots.filter((_, i) => i % 6 === 2).map((slot) => index.slots.header(slot));
    const scanGroup = vi.spyOn(QueryEngine.prototype, 'scanGroup');
    index.server.drain();
    const groups = scanGroup.mock.calls.map(([group]) => group);
    expect(groups.some((group) => group.length > 1)).toBe(true);
    for (const group of groups) if (group.some((slot) => alone.includes(slot))) expect(group).toHaveLength(1);
    expect(answersOf(index, slots)).toEqual(right);
    index.slots.free(slots[2]!);
    expect(index.slots.take(request)).toBe(slots[2]);
    expect(index.word(slots[2]!, C.SLOT_ALONE)).toBe(0);
  });

  it('that break fail alone', async () => {
    const index = await build({});
    const request = index.request(5, 20, 3);
    const right = oneByOne(index, new Array(30).fill(request));
    const slots = right.map((_, i) => index.submit(query(i), request));
    const broken = slots[4]!;
    const prepare = QueryEngine.prototype.prepare;
    vi.spyOn(QueryEngine.prototype, 'prepare').mockImplementation(function (this: QueryEngine, slot: number) {
      if (slot === index.slots.header(broken)) throw new Error('broken');
      prepare.call(this, slot);
    });
    index.server.drain();
    for (const [i, slot] of slots.entries()) {
      expect(index.isDone(slot)).toBe(true);
      if (slot === broken) expect(index.word(slot, C.SLOT_ERROR)).toBe(C.FAULT_INTERNAL);
      else expect(bits(index.result(slot))).toEqual(right[i]);
    }
  });
});

describe('a share', () => {
  /** The queue's head before and after each share. */
  function sharesOf(index: InProcessIndex): [from: number, to: number][] {
    const exchange = Atomics.compareExchange as (words: Int32Array, at: number, from: number, to: number) => number;
    const shares: [number, number][] = [];
    vi.spyOn(Atomics, 'compareExchange').mockImplementation(((...call: Parameters<typeof exchange>) => {
      if (call[1] === C.QUEUE_HEAD) shares.push([call[2], call[3]]);
      return exchange(...call);
    }) as typeof Atomics.compareExchange);
    index.server.drain();
    vi.restoreAllMocks();
    return shares;
  }

  it.each([2, 3, 7, 40])('that holds two whole queries of %i shards ends where a query ends', async (shards) => {
    for (const threads of [1, 3]) {
      const index = await build({ shards }, threads);
      const request = index.request(3, 12, 2);
      const truth = oneByOne(index, new Array(50).fill(request));
      const start = index.words[C.QUEUE_HEAD]!;
      const slots = truth.map((_, i) => index.submit(query(i), request));
      const shares = sharesOf(index);
      expect(shares[0]![0]).toBe(start);
      expect(shares.at(-1)![1]).toBe(start + 50 * shards);
      let longest = 0;
      for (const [from, to] of shares) {
        const share = Math.ceil((start + 50 * shards - from) / (2 * threads));
        longest = Math.max(longest, to - from);
        if (share >= 2 * shards) expect((to - start) % shards).toBe(0);
        expect(to).toBeGreaterThan(from);
      }
      expect(longest).toBeGreaterThanOrEqual(2 * shards);
      expect(answersOf(index, slots)).toEqual(truth);
    }
  });

  it('that begins within a query takes the rest of it first, and ends where a query ends', async () => {
    const index = await build({ shards: 5 });
    const request = index.request(3, 12, 2);
    const right = oneByOne(index, new Array(20).fill(request));
    const slots = right.map((_, i) => index.submit(query(i), request));
    const head = index.words[C.QUEUE_HEAD]!;
    // Somebody else takes two units of the first query.
    index.words[C.QUEUE_HEAD] = head + 2;
    const other = new QueryEngine(index.serveTask(0));
    const first = index.slots.header(slots[0]!);
    other.prepare(first);
    index.words[first + C.SLOT_STATE] = C.SLOT_PREPARED;
    for (const unit of [0, 1]) other.scan(first, unit);
    Atomics.sub(index.words, first + C.SLOT_REMAINING, 2);
    const [share] = sharesOf(index);
    expect(share![0]).toBe(head + 2);
    expect((share![1] - head) % 5).toBe(0);
    expect(answersOf(index, slots)).toEqual(right);
  });
});
