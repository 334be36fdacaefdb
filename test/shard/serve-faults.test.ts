import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as C from '../../src/protocol/control-layout.ts';
import {
  MODEL_CENTROIDS,
  RESERVED_BYTES,
  SHARD_LEAVES,
  SHARD_ROW_BYTES,
  TOP_WORD,
} from '../../src/protocol/shard-layout.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { InProcessIndex } from '../support/in-process.ts';
import { Random } from '../support/random.ts';
import { bits, CONFIGS, clustered, rowAt } from '../support/vectors.ts';

const data = clustered(300, 6);
const { dimensions, count } = data;
const queries = new Random(4).normals(12, dimensions);
const query = (i: number): Float32Array => rowAt({ dimensions, vectors: queries }, i);
/** Corrupt pointers trap in WebAssembly; the scalar kernels would read `undefined`. */
const kernels = loadKernels('simd');
const NOWHERE = 0xffffff00 | 0;
const OPTIONS = { ...CONFIGS['tree and hashing'], dimensions, shards: 3 };

afterEach(() => {
  vi.restoreAllMocks();
});

let index: InProcessIndex;
beforeEach(async () => {
  index = await InProcessIndex.build(data, OPTIONS, {}, kernels);
});

const shardWords = (shard: number): Int32Array => new Int32Array(index.data.shards[shard]!.buffer);
const faultOf = (slot: number): number => index.word(slot, C.SLOT_ERROR);

describe('a cancelled request', () => {
  it('is finished without an answer and without work, and others are answered', () => {
    const request = index.request(5, 20, 4);
    const truth = bits(index.search(query(1), request));
    const [before, cancelled, after] = [0, 1, 2].map((i) => index.submit(query(i === 1 ? 0 : 1), request));
    index.slots.cancel(cancelled!);
    index.server.drain();
    for (const slot of [before!, after!]) expect(bits(index.result(slot))).toEqual(truth);
    expect(index.isDone(cancelled!)).toBe(true);
    expect(index.word(cancelled!, C.SLOT_RESULT_COUNT)).toBe(0);
    expect(index.word(cancelled!, C.SLOT_CODES)).toBe(0);
    expect(index.word(cancelled!, C.SLOT_MICROS)).toBe(0);
    expect(faultOf(cancelled!)).toBe(0);
  });

  it('leaves nothing behind: its slot answers the next request', () => {
    const request = index.request(5, 20, 4);
    const truth = bits(index.search(query(2), request));
    const slot = index.submit(query(0), request);
    index.slots.cancel(slot);
    index.server.drain();
    index.slots.free(slot);
    expect(index.submit(query(2), request)).toBe(slot);
    index.server.drain();
    expect(bits(index.result(slot))).toEqual(truth);
  });

  it('stops an exact scan between two steps', async () => {
    const many = { count: 140_000, dimensions: 4, vectors: new Random(1).integers(140_000, 4) };
    index = await InProcessIndex.build(many, { dimensions: 4, shards: 1, tree: false, hashing: false });
    const slot = index.submit([1, 2, 3, 4], index.request(3, 3, 0, true));
    const cancelled = index.slots.header(slot) + C.SLOT_CANCELLED;
    let looks = 0;
    const load = Atomics.load as (words: Int32Array, at: number) => number;
    vi.spyOn(Atomics, 'load').mockImplementation(((words: Int32Array, at: number) => {
      // Looked at before the scan and before each of three steps; the caller cancels during the second.
      if (at === cancelled && ++looks === 4) index.slots.cancel(slot);
      return load(words, at);
    }) as typeof Atomics.load);
    index.server.drain();
    expect(looks).toBeGreaterThanOrEqual(4);
    expect(looks).toBeLessThan(7);
    expect(index.isDone(slot)).toBe(true);
    expect(index.word(slot, C.SLOT_RESULT_COUNT)).toBe(0);
  });
});

describe('a request whose scratch does not fit its shard', () => {
  const full = (shard: number): void => {
    shardWords(shard)[TOP_WORD] = 2 ** 32 - 65536 - 64;
  };

  it('ends with FAULT_OUT_OF_MEMORY, and smaller ones are answered', () => {
    const small = index.request(5, 20, 4);
    const truth = bits(index.search(query(0), small));
    full(1);
    const slots = [
      index.submit(query(0), small),
      index.submit(query(0), index.request(count, count, 12)),
      index.submit(query(0), small),
    ];
    // The scratch that the first request left is large enough for the small ones only.
    index.server.drain();
    expect(slots.map(faultOf)).toEqual([0, C.FAULT_OUT_OF_MEMORY, 0]);
    expect(slots.map((slot) => index.isDone(slot))).toEqual([true, true, true]);
    expect(bits(index.result(slots[0]!))).toEqual(truth);
    expect(bits(index.result(slots[2]!))).toEqual(truth);
    expect(index.word(slots[1]!, C.SLOT_RESULT_COUNT)).toBe(0);
  });

  it('is not scanned in the shards that follow', () => {
    const small = index.submit(query(0), index.request(5, 20, 4));
    index.server.drain();
    // The shard with the query's best leaf comes first.
    full(index.word(small, C.SLOT_FIRST_UNIT));
    index.slots.free(small);
    const slot = index.submit(query(0), index.request(count, count, 12));
    index.server.drain();
    expect(faultOf(slot)).toBe(C.FAULT_OUT_OF_MEMORY);
    expect(index.word(slot, C.SLOT_CODES)).toBe(0);
  });

  it('ends so every time, for what failed to grow has not grown', () => {
    const small = index.request(5, 20, 4);
    const truth = bits(index.search(query(0), small));
    full(1);
    for (let attempt = 0; attempt < 3; attempt++) {
      const slot = index.submit(query(0), index.request(count, count, 12));
      index.server.drain();
      expect(faultOf(slot)).toBe(C.FAULT_OUT_OF_MEMORY);
      index.slots.free(slot);
      expect(bits(index.search(query(0), small))).toEqual(truth);
    }
  });

  it('is answered by a shard that has room again', () => {
    const request = index.request(10, 100, 12);
    const room = shardWords(2)[TOP_WORD]!;
    full(2);
    const slot = index.submit(query(3), request);
    index.server.drain();
    expect(faultOf(slot)).toBe(C.FAULT_OUT_OF_MEMORY);
    index.slots.free(slot);
    shardWords(2)[TOP_WORD] = room;
    expect(index.search(query(3), request).ids).toHaveLength(10);
  });
});

describe('an error in a kernel', () => {
  /** What each query gets, one slot per query. */
  const answerAll = (request = index.request(5, 20, 1)): (string | ReturnType<typeof bits>)[] => {
    const slots = Array.from({ length: 12 }, (_, i) => index.submit(query(i), request));
    index.server.drain();
    return slots.map((slot) => {
      const [done, fault, result] = [index.isDone(slot), faultOf(slot), bits(index.result(slot))];
      index.slots.free(slot);
      return !done ? 'lost' : fault === 0 ? result : `fault ${fault}`;
    });
  };

  it('while scanning ends the queries that meet it with FAULT_INTERNAL; the others are answered', () => {
    const truth = answerAll();
    const words = shardWords(1);
    const leaves = words[(RESERVED_BYTES + SHARD_LEAVES) >>> 2]! >>> 2;
    for (let leaf = 0; leaf < index.data.numLeaves; leaf++) {
      if (words[leaves + leaf] !== 0) words[leaves + leaf] = NOWHERE;
    }
    const found = answerAll();
    const failed = found.filter((each) => each === `fault ${C.FAULT_INTERNAL}`).length;
    expect(failed).toBeGreaterThan(0);
    expect(failed).toBeLessThan(12);
    for (const [i, each] of found.entries()) if (typeof each !== 'string') expect(each).toEqual(truth[i]);
    expect(found).not.toContain('lost');
  });

  it('while rescoring ends the request, and the server goes on', () => {
    const request = index.request(5, 20, 12);
    const truth = answerAll(request);
    const rowBytes = (RESERVED_BYTES + SHARD_ROW_BYTES) >>> 2;
    const bytes = shardWords(0)[rowBytes]!;
    shardWords(0)[rowBytes] = NOWHERE;
    expect(answerAll(request)).toContain(`fault ${C.FAULT_INTERNAL}`);
    shardWords(0)[rowBytes] = bytes;
    expect(answerAll(request)).toEqual(truth);
  });

  it('while preparing ends the request before any shard is scanned', () => {
    const model = new Int32Array(index.data.control.buffer);
    const at = (index.data.model + MODEL_CENTROIDS) >>> 2;
    const centroids = model[at]!;
    model[at] = NOWHERE;
    const slot = index.submit(query(0), index.request(5, 20, 4));
    index.server.drain();
    expect(faultOf(slot)).toBe(C.FAULT_INTERNAL);
    expect(index.isDone(slot)).toBe(true);
    expect(index.word(slot, C.SLOT_CODES)).toBe(0);
    model[at] = centroids;
    expect(index.search(query(0), index.request(5, 20, 4)).ids).toHaveLength(5);
  });

  it('while merging ends the request', () => {
    const slot = index.submit(query(0), index.request(5, 5, 0, true));
    const other = index.submit(query(0), index.request(5, 5, 0, true));
    index.words[index.slots.header(slot) + C.SLOT_MERGED] = NOWHERE;
    index.server.drain();
    expect([slot, other].map(faultOf)).toEqual([C.FAULT_INTERNAL, 0]);
    expect(index.isDone(slot)).toBe(true);
    expect(index.result(other).ids).toHaveLength(5);
  });
});
