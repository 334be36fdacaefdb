import { describe, expect, it } from 'vitest';
import { placeModel } from '../../../src/coordinator/model.ts';
import * as L from '../../../src/protocol/shard-layout.ts';
import { createMemory } from '../../../src/shard/arena.ts';
import { DIMENSIONS, onEveryTier } from '../../support/kernel-memory.ts';
import { layModel, type ModelSpec, prepareScratchBytes, randomModel, subspacesOf } from '../../support/kernel-model.ts';
import { Random } from '../../support/random.ts';

interface Chosen {
  leaf: number;
  score: number;
}

/** The leaves that `prepareQuery` chooses, by codes first. */
function choose(model: ModelSpec, query: Float32Array, wanted: number, routed = true): Chosen[] {
  return onEveryTier((kernels, arena) => {
    const header = layModel(arena, { ...model, routed });
    const tables = arena.alloc(L.TABLES_HEADER_BYTES + model.stride * 4 + subspacesOf(model) * 16);
    arena.f32(tables + L.TABLES_HEADER_BYTES, model.stride).set(query);
    const leaves = arena.alloc(wanted * L.LEAF_ENTRY_BYTES);
    const scratch = arena.alloc(prepareScratchBytes(model));
    const behind = arena.alloc(64);
    arena.u8(behind, 64).fill(0xee);
    kernels.prepareQuery(header, tables, leaves, wanted, scratch);
    expect(arena.u8(behind, 64).every((byte) => byte === 0xee)).toBe(true);
    return Array.from({ length: wanted }, (_, i) => ({
      leaf: arena.u32(leaves + i * 8, 1)[0]!,
      score: arena.f32(leaves + i * 8 + 4, 1)[0]!,
    }));
  });
}

/** The same by the centroids alone. */
const chooseExactly = (model: ModelSpec, query: Float32Array, wanted: number): Chosen[] =>
  choose(model, query, wanted, false);

function shaped(seed: number, numLeaves: number, dimensions: number, metric = L.METRIC_DOT): ModelSpec {
  return randomModel(new Random(seed), { numLeaves, dimensions, dimensionsPerBlock: 2, metric });
}

const METRICS = [
  { name: 'dot', metric: L.METRIC_DOT },
  { name: 'l2', metric: L.METRIC_L2 },
];

describe.each(METRICS)('choosing leaves by codes, by $name', ({ metric }) => {
  it.each(DIMENSIONS)('finds those of the centroids at %i dimensions, with the same scores', (dimensions) => {
    let wantedInAll = 0;
    let missed = 0;
    for (const numLeaves of [64, 65, 79, 80, 97, 300]) {
      const model = shaped(numLeaves, numLeaves, dimensions, metric);
      const random = new Random(dimensions);
      const scoreOf = (query: Float32Array) => {
        const scores = new Map(chooseExactly(model, query, numLeaves).map(({ leaf, score }) => [leaf, score]));
        return (leaf: number) => scores.get(leaf);
      };
      for (const wanted of [1, 5, numLeaves >> 3, numLeaves >> 2]) {
        const query = random.normals(1, dimensions, model.stride);
        const exact = scoreOf(query);
        const chosen = choose(model, query, wanted);
        for (const { leaf, score } of chosen) expect(score).toBe(exact(leaf));
        const sorted = [...chosen].sort((a, b) => b.score - a.score || a.leaf - b.leaf);
        expect(chosen).toEqual(sorted);
        const best = new Set(chooseExactly(model, query, wanted).map(({ leaf }) => leaf));
        missed += wanted - chosen.filter(({ leaf }) => best.has(leaf)).length;
        wantedInAll += wanted;
      }
    }
    expect(missed / wantedInAll).toBeLessThanOrEqual(0.01);
  });

  it('takes numbers of any size, down to none', () => {
    for (const size of [0, 1e-42, 1e-31, 1.1e-30, 1e-15, 1, 1e8, 1e17]) {
      for (const centroidSize of [1e-42, 1e-20, 1, 1e17]) {
        const model = shaped(3, 100, 12, metric);
        const sized = {
          ...{ ...model, mean: new Float32Array(model.stride) },
          ...{ centroids: model.centroids.map((x) => x * centroidSize * 0.2) },
          ...{ centroidBias: model.centroidBias.map((x) => x * (centroidSize * 0.2) ** 2) },
        };
        const query = new Random(5).normals(1, 12).map((x) => x * size * 0.2);
        const chosen = choose(sized, query, 6);
        const best = chooseExactly(sized, query, 6);
        // Where codes tell no leaves apart, all are scored from the centroids.
        expect(chosen).toEqual(best);
      }
    }
  });

  it('takes the lower leaves when all centroids are equal', () => {
    const model = shaped(6, 100, 8, metric);
    const centroids = Float32Array.from({ length: 800 }, (_, i) => model.centroids[i % 8]!);
    const equal = { ...model, centroids, centroidBias: new Float32Array(100).fill(model.centroidBias[0]!) };
    const query = new Random(7).normals(1, 8);
    for (const wanted of [1, 5, 25]) {
      expect(choose(equal, query, wanted).map(({ leaf }) => leaf)).toEqual(Array.from({ length: wanted }, (_, i) => i));
      expect(choose({ ...equal, centroids: new Float32Array(800) }, query, wanted)).toHaveLength(wanted);
    }
  });

  it('finds them among centroids that share a bucket, far from one that is apart', () => {
    const model = shaped(8, 200, 16, metric);
    for (const sign of [1, -1]) {
      const query = new Random(9).normals(1, 16);
      const centroids = model.centroids.slice();
      centroids.set(
        query.map((x) => x * 1e6 * sign),
        17 * 16,
      );
      const apart = { ...model, centroids };
      expect(choose(apart, query, 10)).toEqual(chooseExactly(apart, query, 10));
    }
  });

  it('equals the choice by centroids when many leaves are wanted', () => {
    const model = shaped(10, 100, 9, metric);
    const query = new Random(11).normals(1, 9, 12);
    for (const wanted of [26, 99, 100])
      expect(choose(model, query, wanted)).toEqual(chooseExactly(model, query, wanted));
  });
});

it.each([4092, 4096])('does not overflow at %i dimensions', (dimensions) => {
  const numLeaves = 64;
  const centroids = new Float32Array(numLeaves * dimensions);
  for (let leaf = 0; leaf < numLeaves; leaf++) {
    centroids.fill((leaf % 2 ? -1 : 1) * 2 ** (leaf / 8), leaf * dimensions, (leaf + 1) * dimensions);
  }
  const model = { ...shaped(12, 1, 4), ...{ numLeaves, stride: dimensions, centroids } };
  const spec = { ...model, centroidBias: new Float32Array(numLeaves), mean: new Float32Array(dimensions) };
  for (const sign of [1, -1]) {
    const query = new Float32Array(dimensions).fill(3 * sign);
    const chosen = choose(spec, query, 8).map(({ leaf }) => leaf);
    expect(chosen).toEqual(Array.from({ length: 8 }, (_, i) => (sign === 1 ? 62 : 63) - 2 * i));
  }
});

describe('a placed model', () => {
  const model = (numLeaves: number) => ({ ...shaped(13, numLeaves, 6), blocks: 0, codebooks: new Float32Array(0) });
  const routesOf = (numLeaves: number, forQueries?: boolean): number => {
    const memory = createMemory(0);
    const at = placeModel(memory, model(numLeaves), forQueries);
    return new Uint32Array(memory.buffer)[(at + L.MODEL_ROUTES) >>> 2]!;
  };

  it('has quantized centroids when it answers queries and has many leaves', () => {
    expect(routesOf(64, true)).toBeGreaterThan(0);
    expect(routesOf(63, true)).toBe(0);
    expect(routesOf(64)).toBe(0);
  });
});
