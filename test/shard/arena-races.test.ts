import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Piscina } from 'piscina';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RESERVED_BYTES, TOP_WORD } from '../../src/protocol/shard-layout.ts';
import { allocate, createMemory, MAX_PAGES } from '../../src/shard/arena.ts';
import type { Allocation, AllocationTask } from '../support/allocating-thread.ts';
import { failureOf } from '../support/failures.ts';

const PAGE = 65536;
const END = MAX_PAGES * PAGE;
const topOf = (memory: WebAssembly.Memory): Int32Array => new Int32Array(memory.buffer, TOP_WORD * 4, 1);

afterEach(() => {
  vi.restoreAllMocks();
});

function expectNoOverlap(taken: Allocation[]): void {
  const sorted = taken.toSorted((a, b) => a.start - b.start);
  for (let i = 1; i < sorted.length; i++) {
    expect(sorted[i]!.start).toBeGreaterThanOrEqual(sorted[i - 1]!.start + sorted[i - 1]!.bytes);
  }
}

describe('the end of a memory', () => {
  it('is where pointers stop, beyond 2 GiB; what does not fit takes nothing', async () => {
    const memory = createMemory(0);
    topOf(memory)[0] = 2 ** 31 - 10;
    expect(allocate(memory, 64)).toBe(2 ** 31);
    topOf(memory)[0] = END - 128;
    const error = await failureOf(() => allocate(memory, 129));
    expect(error).toMatchObject({ code: 'SCANNERY_OUT_OF_MEMORY', value: 129 });
    expect(allocate(memory, 128)).toBe(END - 128);
    expect(memory.buffer.byteLength).toBe(END);
    await expect(failureOf(() => allocate(memory, 1))).resolves.toMatchObject({ code: 'SCANNERY_OUT_OF_MEMORY' });
  });

  it('is reported with what the system said', async () => {
    const cause = new RangeError('no address space');
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(() => {
      throw cause;
    });
    const error = await failureOf(() => createMemory(1));
    expect([error.code, error.cause]).toEqual(['SCANNERY_OUT_OF_MEMORY', cause]);
  });
});

describe('a memory that several threads allocate from', () => {
  it('is large enough if another thread grew it when this one could not', async () => {
    const memory = createMemory(0);
    const grow = memory.grow.bind(memory);
    const cause = new RangeError('maximum exceeded');
    const refuse = vi.spyOn(memory, 'grow').mockImplementation(() => {
      throw cause;
    });
    const error = await failureOf(() => allocate(memory, PAGE));
    expect([error.code, error.cause]).toEqual(['SCANNERY_OUT_OF_MEMORY', cause]);
    refuse.mockImplementation((pages) => {
      grow(pages);
      throw cause;
    });
    const start = allocate(memory, PAGE);
    expect(memory.buffer.byteLength).toBeGreaterThanOrEqual(start + PAGE);
  });

  it('gives other bytes to the thread that was slower', () => {
    const memory = createMemory(0);
    const exchange = Atomics.compareExchange as (words: Int32Array, at: number, from: number, to: number) => number;
    const taken: Allocation[] = [];
    const slower = (...call: [Int32Array, number, number, number]): number => {
      taken.push({ start: allocate(memory, 200), bytes: 200 });
      return exchange(...call);
    };
    vi.spyOn(Atomics, 'compareExchange').mockImplementationOnce(slower as typeof Atomics.compareExchange);
    taken.push({ start: allocate(memory, 100), bytes: 100 });
    expect(taken.map(({ start }) => start)).toEqual([RESERVED_BYTES, RESERVED_BYTES + 256]);
  });

  it('never gives two threads the same bytes', async () => {
    const memory = createMemory(0);
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
    const filename = new URL('../support/allocating-thread.ts', import.meta.url).href;
    const pool = new Piscina({ filename, minThreads: 2, maxThreads: 2, execArgv: ['--import', tsx] });
    const tasks = [1, 2].map((mark): AllocationTask => ({ memory, gate, threads: 2, mark, pieces: 3000 }));
    const [one, two] = await Promise.all(tasks.map((task): Promise<Allocation[]> => pool.run(task)));
    await pool.destroy();
    expect([one!.length, two!.length]).toEqual([3000, 3000]);
    expectNoOverlap([...one!, ...two!]);
    // Each thread filled its pieces with its number; nobody wrote over them.
    const bytes = new Uint8Array(memory.buffer);
    for (const { start, bytes: length, mark } of [...one!, ...two!]) {
      expect(bytes.subarray(start, start + length).every((byte) => byte === mark)).toBe(true);
    }
    // They did run at the same time.
    expect(Math.min(one!.at(-1)!.start, two!.at(-1)!.start)).toBeGreaterThan(Math.max(one![0]!.start, two![0]!.start));
  });
});
