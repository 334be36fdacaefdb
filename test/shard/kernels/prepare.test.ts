import { describe, expect, it } from 'vitest';
import * as L from '../../../src/protocol/shard-layout.ts';
import { DIMENSIONS, onEveryTier } from '../../support/kernel-memory.ts';
import { layModel, type ModelSpec, prepareScratchBytes, randomModel, subspacesOf } from '../../support/kernel-model.ts';
import { Random } from '../../support/random.ts';

interface Prepared {
  leaves: { leaf: number; score: number }[];
  lut: number[];
  inverse: number;
  scale: number;
  offset: number;
  biasMultiplier: number;
  queryNorm: number;
}

function prepare(model: ModelSpec, query: Float32Array, wanted: number): Prepared {
  const subspaces = subspacesOf(model);
  return onEveryTier((kernels, arena) => {
    const header = layModel(arena, model);
    const tables = arena.alloc(L.TABLES_HEADER_BYTES + model.stride * 4 + subspaces * 16);
    arena.f32(tables + L.TABLES_HEADER_BYTES, model.stride).set(query);
    const lut = tables + L.TABLES_HEADER_BYTES + model.stride * 4;
    arena.u8(lut, subspaces * 16).fill(0xee);
    const leaves = arena.alloc(wanted * L.LEAF_ENTRY_BYTES);
    const scratch = arena.alloc(prepareScratchBytes(model));
    kernels.prepareQuery(header, tables, leaves, wanted, scratch);
    return {
      leaves: Array.from({ length: wanted }, (_, i) => ({
        leaf: arena.u32(leaves + i * 8, 1)[0]!,
        score: arena.f32(leaves + i * 8 + 4, 1)[0]!,
      })),
      lut: [...arena.u8(lut, subspaces * 16)],
      inverse: arena.f32(tables + L.TABLES_INVERSE_SCALE, 1)[0]!,
      scale: arena.f32(tables + L.TABLES_SCALE, 1)[0]!,
      offset: arena.f32(tables + L.TABLES_OFFSET, 1)[0]!,
      biasMultiplier: arena.u32(tables + L.TABLES_BIAS_MULTIPLIER, 1)[0]!,
      queryNorm: arena.f32(tables + L.TABLES_QUERY_NORM, 1)[0]!,
    };
  });
}

/** The largest sums that lanes can reach in each group of subspaces. */
function groupSums(lut: readonly number[]): number[] {
  const sums: number[] = [];
  for (let m = 0; m * 16 < lut.length; m++) {
    const group = Math.floor(m / L.LUT_GROUP);
    sums[group] = (sums[group] ?? 0) + Math.max(...lut.slice(m * 16, m * 16 + 16));
  }
  return sums;
}

const METRICS = [
  { name: 'dot', metric: L.METRIC_DOT },
  { name: 'l2', metric: L.METRIC_L2 },
];

describe.each(METRICS)('prepareQuery by $name', ({ metric }) => {
  it.each(DIMENSIONS)('chooses the best leaves at %i dimensions, the lower at ties', (dimensions) => {
    for (const numLeaves of [1, 2, 17, 33, 97]) {
      const random = new Random(numLeaves);
      const model = randomModel(random, { numLeaves, dimensions, dimensionsPerBlock: 2, metric, whole: true });
      const { stride, centroids, centroidBias, mean } = model;
      const query = random.integers(1, dimensions, stride);
      const scores = Array.from({ length: numLeaves }, (_, leaf) => {
        const dot = query.reduce((sum, x, j) => sum + (x - mean[j]!) * centroids[leaf * stride + j]!, 0);
        return { leaf, score: dot - centroidBias[leaf]! };
      });
      scores.sort((a, b) => b.score - a.score || a.leaf - b.leaf);
      for (const wanted of [1, Math.ceil(numLeaves / 2), numLeaves]) {
        const prepared = prepare(model, query, wanted);
        expect(prepared.leaves).toEqual(scores.slice(0, wanted).map(({ leaf, score }) => ({ leaf, score: score + 0 })));
        const norm = query.reduce((sum, x, j) => sum + (x - mean[j]!) ** 2, 0);
        expect(prepared.queryNorm).toBe(metric === L.METRIC_L2 ? norm : 0);
      }
    }
  });

  it.each(DIMENSIONS)('builds a LUT that gives dot products with the codes at %i dimensions', (dimensions) => {
    for (const dimensionsPerBlock of [1, 2, 3, 4, 16]) {
      const random = new Random(dimensions);
      const model = randomModel(random, { numLeaves: 5, dimensions, dimensionsPerBlock, metric });
      const query = random.normals(1, dimensions, model.stride);
      const { lut, inverse, scale, offset, biasMultiplier } = prepare(model, query, 3);
      expect(inverse).toBe(Math.fround(1 / scale));
      const largest = Math.max(...groupSums(lut));
      expect(largest).toBeLessThanOrEqual(255);
      // As fine as fits: rounding may take up to LUT_GROUP / 2 either way from what the scale aims at.
      if (metric === L.METRIC_DOT) expect(largest).toBeGreaterThanOrEqual(255 - L.LUT_GROUP - 1);
      expect(lut.slice(model.blocks * 16).every((entry) => entry === 0)).toBe(true);
      expect(biasMultiplier).toBe(Math.floor(Math.fround(Math.fround(model.biasRange * scale) + 0.5)));
      for (let trial = 0; trial < 20; trial++) {
        let exact = -model.biasMinimum;
        let units = 0;
        for (let m = 0; m < model.blocks; m++) {
          const code = random.int(0, 15);
          units += lut[m * 16 + code]!;
          for (let j = m * dimensionsPerBlock; j < Math.min(dimensions, (m + 1) * dimensionsPerBlock); j++) {
            exact += (query[j]! - model.mean[j]!) * model.codebooks[j * 16 + code]!;
          }
        }
        expect(Math.abs(offset + units * inverse - exact)).toBeLessThanOrEqual(model.blocks * inverse * 0.5 + 1e-3);
      }
    }
  });

  it('lets no group of entries exceed 8 bits, nor all of them 15, whatever the query', () => {
    for (const [dimensions, dimensionsPerBlock] of [
      [16, 1],
      [17, 2],
      [100, 2],
      [3000, 1],
      [4096, 1],
    ] as const) {
      for (let seed = 0; seed < 5; seed++) {
        const random = new Random(seed);
        const model = randomModel(random, { numLeaves: 2, dimensions, dimensionsPerBlock, metric });
        // One subspace far above the others, or several in a row, or all alike.
        const query = random.normals(1, dimensions, model.stride).map((x, j) => (j % (1 + 7 * seed) < 5 ? 50 * x : x));
        const sums = groupSums(prepare(model, query, 1).lut);
        expect(Math.max(...sums)).toBeLessThanOrEqual(255);
        expect(Math.max(...sums)).toBeGreaterThan(0);
        expect(sums.reduce((sum, group) => sum + group, 0)).toBeLessThanOrEqual(32767);
      }
    }
  });

  it('has a finite scale where the ranges of a group add up to more than a float holds', () => {
    const model = randomModel(new Random(5), { numLeaves: 2, dimensions: 16, dimensionsPerBlock: 2, metric });
    const query = model.mean.map((x, j) => x + (j < 16 ? 3e37 : 0));
    const { lut, scale, inverse } = prepare(model, query, 1);
    expect(scale).toBeGreaterThan(0);
    expect(inverse).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(Math.max(...groupSums(lut))).toBeGreaterThan(200);
  });

  it('has a LUT of zeros for a query without effect', () => {
    for (const biasRange of [0, 40]) {
      const model = randomModel(new Random(1), { numLeaves: 3, dimensions: 6, dimensionsPerBlock: 2, metric });
      const { lut, scale } = prepare({ ...model, biasRange }, model.mean.slice(), 2);
      expect(lut).toEqual(new Array(64).fill(0));
      expect(scale).toBe(biasRange ? 800 : 1);
    }
  });
});

it('narrows the scale so that a bias fits 16 bits', () => {
  const model = randomModel(new Random(2), { numLeaves: 3, dimensions: 8, dimensionsPerBlock: 2, metric: L.METRIC_L2 });
  const { biasMultiplier, scale } = prepare({ ...model, biasRange: 1e6 }, new Random(3).normals(1, 8), 1);
  expect(scale).toBe(Math.fround(0.032));
  expect(biasMultiplier).toBe(32000);
});

it('saturates, alike on every tier, when the bias and the LUT span next to nothing', () => {
  const model = randomModel(new Random(4), { numLeaves: 3, dimensions: 8, dimensionsPerBlock: 2, metric: L.METRIC_L2 });
  const query = model.mean.map((x, j) => (j === 5 ? x + 1e-30 : x));
  for (const biasRange of [1e-30, 1e-33, 1e-36, 1e-40]) {
    const codebooks = model.codebooks.map((x) => x * 1e-18);
    expect(prepare({ ...model, codebooks, biasRange, mean: new Float32Array(8) }, query, 1).lut).toHaveLength(64);
    const { biasMultiplier } = prepare({ ...model, biasRange }, model.mean.slice(), 1);
    expect(biasMultiplier).toBe(biasRange < 1e-35 ? 0x7fffffff : 32000);
  }
});
