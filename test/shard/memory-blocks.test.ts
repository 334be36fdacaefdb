import { describe, expect, it } from 'vitest';
import { Extents } from '../../src/coordinator/extents.ts';
import { Fifo } from '../../src/coordinator/fifo.ts';
import { ALIGNMENT, RESERVED_BYTES, TOP_WORD, VISIT_BYTES } from '../../src/protocol/shard-layout.ts';
import { align, allocate, createMemory, MAX_PAGES } from '../../src/shard/arena.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { ShardScratch } from '../../src/shard/shard-scratch.ts';
import { Views } from '../../src/shard/views.ts';

const outOfMemory = expect.objectContaining({ code: 'SCANNERY_OUT_OF_MEMORY' });

describe('allocate', () => {
  it('hands out aligned blocks that do not overlap, and never the reserved bytes', () => {
    const memory = createMemory(10);
    let end = RESERVED_BYTES;
    for (const bytes of [1, 64, 65, 0, 100_000, 3]) {
      const pointer = allocate(memory, bytes);
      expect(pointer % ALIGNMENT).toBe(0);
      expect(pointer).toBeGreaterThanOrEqual(end);
      end = pointer + bytes;
      expect(memory.buffer.byteLength).toBeGreaterThanOrEqual(end);
    }
  });

  it('refuses what is beyond 4 GiB, and takes nothing then', () => {
    const memory = createMemory(10);
    const before = new Int32Array(memory.buffer)[TOP_WORD];
    expect(() => allocate(memory, 2 ** 32)).toThrow(outOfMemory);
    expect(new Int32Array(memory.buffer)[TOP_WORD]).toBe(before);
    expect(() => createMemory(MAX_PAGES * 65536)).toThrow(outOfMemory);
  });
});

it('align rounds up', () => {
  expect([0, 1, 63, 64, 65].map((bytes) => align(bytes))).toEqual([0, 64, 64, 64, 128]);
  expect(align(9, 8)).toBe(16);
});

it('views follow a memory that grows', () => {
  const memory = createMemory(10);
  const views = new Views(memory);
  const before = views.u8.length;
  views.u32[500] = 7;
  memory.grow(3);
  expect(views.refresh().u8.length).toBe(before + 3 * 65536);
  expect(views.u32[500]).toBe(7);
  const { f64 } = views;
  expect(views.refresh().f64).toBe(f64);
});

describe('extents', () => {
  it('are used again, by size', () => {
    const memory = createMemory(10);
    const extents = new Extents(memory);
    const small = extents.take(10);
    const large = extents.take(5000);
    expect(large.bytes).toBe(8192);
    expect(small.bytes).toBeLessThan(large.bytes);
    extents.give(small);
    extents.give(large);
    expect(extents.take(4097)).toEqual(large);
    expect(extents.take(1)).toEqual(small);
    expect(extents.take(1)).not.toEqual(small);
  });
});

describe('a fifo', () => {
  it('gives things in the order they came, over many turns', () => {
    const fifo = new Fifo<number>();
    let next = 0;
    for (let i = 0; i < 10_000; i++) {
      fifo.push(i);
      if (i % 3 > 0) expect(fifo.shift()).toBe(next++);
    }
    expect(fifo.size).toBe(10_000 - next);
    while (fifo.size > 0) expect(fifo.shift()).toBe(next++);
    expect(next).toBe(10_000);
    expect(fifo.shift()).toBeUndefined();
  });

  it('gives all that it has at once', () => {
    const fifo = new Fifo<number>();
    for (let i = 0; i < 5; i++) fifo.push(i);
    fifo.shift();
    expect(fifo.takeAll()).toEqual([1, 2, 3, 4]);
    expect(fifo.size).toBe(0);
  });
});

describe('scratch', () => {
  it('grows when more is asked for, and stays when it is enough', () => {
    const scratch = new ShardScratch(loadKernels(), createMemory(10));
    const size = { queries: 1, tablesBytes: 100, visits: 5, limit: 20 };
    scratch.reserve(size);
    const { visits, state, tables, keys, rowKeys } = scratch;
    const places = [visits, state, tables, keys, rowKeys];
    expect(places.toSorted((a, b) => a - b)).toEqual(places);
    expect([tables - state, keys - state]).toEqual([scratch.tablesAt, scratch.keysAt]);
    scratch.reserve({ queries: 1, tablesBytes: 50, visits: 1, limit: 1 });
    expect(scratch.visits).toBe(visits);
    scratch.reserve({ ...size, limit: 1000 });
    expect(scratch.keys).toBeGreaterThan(rowKeys);
    expect(scratch.rowKeys - scratch.keys).toBeGreaterThanOrEqual(2 * 1000 * 8);
  });

  it('takes no more than the largest request, or twice the one before', () => {
    const memory = createMemory(10);
    const scratch = new ShardScratch(loadKernels(), memory);
    const top = (): number => new Int32Array(memory.buffer)[TOP_WORD]!;
    scratch.reserve({ queries: 64, tablesBytes: 1000, visits: 640, limit: 100 });
    const before = top();
    scratch.reserve({ queries: 1, tablesBytes: 1000, visits: 10, limit: 10_000 });
    expect(top() - before).toBeLessThan(2 * before);
  });

  it('keeps queries apart that are scanned together', () => {
    const scratch = new ShardScratch(loadKernels(), createMemory(10));
    const size = { queries: 3, tablesBytes: 100, visits: 60, limit: 20 };
    scratch.reserve(size);
    const places = [0, 1, 2].map((i) => {
      scratch.use(i);
      expect([scratch.tables - scratch.state, scratch.keys - scratch.state]).toEqual([
        scratch.tablesAt,
        scratch.keysAt,
      ]);
      return { from: scratch.state, to: scratch.rowKeys + size.limit * 8 };
    });
    expect(places[0]!.from).toBeGreaterThanOrEqual(scratch.visits + size.visits * VISIT_BYTES);
    expect(places[1]!.from).toBeGreaterThanOrEqual(places[0]!.to);
    expect(places[2]!.from).toBeGreaterThanOrEqual(places[1]!.to);
    scratch.reserve({ ...size, queries: 1 });
    expect(scratch.state).toBe(places[0]!.from);
  });
});
