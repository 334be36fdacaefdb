import { describe, expect, it } from 'vitest';
import { planUnits } from '../../src/coordinator/units.ts';
import type { BuildOptions } from '../../src/index.ts';
import { InProcessIndex } from '../support/in-process.ts';
import { bits, clustered, rowAt } from '../support/vectors.ts';

// Shards that share a memory: units of a query's work.
const data = clustered(900, 5, 2);
const { dimensions, count } = data;
const tree = { numLeaves: 12, trainingIterations: 3 };
const hashing = { trainingIterations: 3 };
const BYTES = count * 8 * 4;
const build = (options: BuildOptions, shards: number, bytesPerMemory: number): Promise<InProcessIndex> =>
  InProcessIndex.build(
    data,
    { dimensions, tree, hashing, ...options, shards },
    { numSlots: 128 },
    undefined,
    bytesPerMemory,
  );

describe.each<[string, BuildOptions]>([
  ['hashed', {}],
  ['hashed, int8, squared_l2', { metric: 'squared_l2', reordering: { vectors: 'int8' } }],
  ['codes', { reordering: false }],
  ['tree', { hashing: false }],
  ['hashed, spilled', { tree: { ...tree, soarLambda: 1 } }],
  ['codes, spilled', { tree: { ...tree, soarLambda: 1 }, reordering: false }],
  ['tree, spilled', { tree: { ...tree, soarLambda: 1 }, hashing: false }],
])('%s', (_, options) => {
  it.each([
    [3, BYTES, 1],
    [8, BYTES / 2, 2],
    [5, BYTES / 3, 3],
    [40, BYTES, 1],
  ])('gives the same answers in %i shards of %i bytes a memory', async (shards, bytesPerMemory, memories) => {
    const whole = await build(options, 1, BYTES);
    const index = await build(options, shards, bytesPerMemory);
    expect(index.data.shards).toHaveLength(memories);
    const exact = options.reordering !== false;
    for (let i = 0; i < 40; i++) {
      const query = rowAt(data, i * 7);
      for (const request of [
        index.request(5, 20, 3),
        index.request(10, 20, 12),
        index.request(900, 1800, 12),
        index.request(7, 20, 1, exact),
      ]) {
        expect(bits(index.search(query, request))).toEqual(bits(whole.search(query, request)));
      }
    }
    // Many at once are scanned whole.
    const request = index.request(5, 20, 3);
    const slots = Array.from({ length: 60 }, (__, i) => index.submit(rowAt(data, i), request));
    index.server.drain();
    for (const [i, slot] of slots.entries())
      expect(bits(index.result(slot))).toEqual(bits(whole.search(rowAt(data, i), request)));
  });
});

describe('planUnits', () => {
  it('gives each leaf to one unit of its memory, and each row', async () => {
    const { data: index } = await build({}, 5, BYTES / 2);
    const { units, leafUnits } = planUnits(index);
    expect(units).toHaveLength(5);
    for (const [m, size] of index.rows.sizes.entries()) {
      const own = units.filter((unit) => unit.memory === m);
      expect(size).toBeGreaterThan(0);
      expect(own.map(({ part, parts }) => [part, parts])).toEqual(own.map((__, i) => [i, own.length]));
      const owners = leafUnits!.subarray(m * index.numLeaves, (m + 1) * index.numLeaves);
      for (const unit of owners) expect(units[unit]!.memory).toBe(m);
      expect(new Set(owners).size).toBe(own.length);
    }
  });

  it('has a memory for each unit without a tree', async () => {
    const { data: index } = await build({ tree: false }, 4, BYTES);
    expect(index.shards).toHaveLength(4);
    const { units, leafUnits } = planUnits(index);
    expect(leafUnits).toBeNull();
    expect(units.map(({ memory }) => memory)).toEqual([0, 1, 2, 3]);
  });
});
