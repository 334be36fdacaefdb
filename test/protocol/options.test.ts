import { describe, expect, it } from 'vitest';
import { resolveOpenOptions } from '../../src/protocol/live-options.ts';
import {
  resolveBuildOptions,
  resolveHashingOptions,
  resolveSearchOptions,
  resolveTreeOptions,
} from '../../src/protocol/options.ts';

describe('defaults', () => {
  it('are those that are documented', () => {
    expect(resolveBuildOptions({})).toEqual({
      ...{ dimensions: undefined, metric: 'dot_product', shards: undefined, threads: undefined, seed: 42 },
      rebalanceAt: 0.5,
      threadPriority: 0,
      ...{ maxInFlight: 1024, onProgress: undefined, signal: undefined, tree: undefined, hashing: undefined },
      reordering: { vectors: 'float32' },
      defaults: { k: 10, numLeavesToSearch: undefined, numReorderingCandidates: undefined },
    });
    expect(resolveTreeOptions({})).toEqual({
      ...{ numLeaves: undefined, trainingSampleSize: 100_000, trainingIterations: 12, spherical: false },
      ...{ minPartitionSize: 1, seeding: 'random', soarLambda: null },
    });
    expect(resolveHashingOptions({})).toEqual({
      ...{ dimensionsPerBlock: 2, anisotropicQuantizationThreshold: 0.2 },
      ...{ trainingSampleSize: 100_000, trainingIterations: 10 },
    });
    expect(resolveSearchOptions({})).toEqual({
      ...{ k: undefined, numLeavesToSearch: undefined, numReorderingCandidates: undefined },
      ...{ exact: false, signal: undefined },
    });
    expect(resolveOpenOptions({})).toEqual({
      ...{ threads: undefined, threadPriority: 0, maxInFlight: 1024, verifyChecksums: true, signal: undefined },
      ...{ durability: undefined, checkpointBytes: undefined, readOnly: false, rebalanceAt: 0.5 },
    });
  });

  it('stand in for undefined, as a whole and one by one', () => {
    expect(resolveBuildOptions(undefined)).toEqual(resolveBuildOptions({}));
    expect(resolveBuildOptions({ seed: undefined, metric: undefined, reordering: undefined })).toEqual(
      resolveBuildOptions({}),
    );
  });
});

describe('resolved options', () => {
  const given = () => ({
    metric: 'cosine',
    tree: { numLeaves: 5 },
    hashing: { dimensionsPerBlock: 4 },
    reordering: { vectors: 'int8' },
    defaults: { k: 3 },
  });

  it('are frozen, in their groups too', () => {
    for (const options of [resolveBuildOptions({}), resolveBuildOptions(given())]) {
      for (const group of [options, options.reordering, options.defaults]) expect(Object.isFrozen(group)).toBe(true);
    }
    const { tree, hashing } = resolveBuildOptions(given());
    expect([tree, hashing].every(Object.isFrozen)).toBe(true);
  });

  it("do not keep the caller's objects, nor change them", () => {
    const own = given();
    const resolved = resolveBuildOptions(own);
    expect(own).toEqual(given());
    own.metric = 'squared_l2';
    own.tree.numLeaves = 99;
    own.hashing.dimensionsPerBlock = 9;
    own.reordering.vectors = 'float32';
    own.defaults.k = 99;
    expect(resolved).toMatchObject(given());
  });

  it('take the ends of every range', () => {
    expect(
      resolveBuildOptions({ dimensions: 4096, shards: 1024, threads: 64, seed: 2 ** 32 - 1, maxInFlight: 65_536 }),
    ).toMatchObject({ dimensions: 4096, shards: 1024, threads: 64, seed: 2 ** 32 - 1, maxInFlight: 65_536 });
    expect(resolveBuildOptions({ dimensions: 1, shards: 1, threads: 1, seed: 0, maxInFlight: 32 })).toMatchObject({
      seed: 0,
    });
    for (const threshold of [0, 0.0001, 0.999]) {
      const { anisotropicQuantizationThreshold } = resolveHashingOptions({
        anisotropicQuantizationThreshold: threshold,
      });
      expect(anisotropicQuantizationThreshold).toBe(threshold);
    }
  });

  it('read every option of the caller once', () => {
    let reads = 0;
    const options = {
      get seed() {
        return ++reads;
      },
    };
    expect(resolveBuildOptions(options).seed).toBe(1);
    expect(reads).toBe(1);
  });

  it('ignore what the prototype has', () => {
    expect(resolveBuildOptions(Object.create({ toast: 1 }))).toEqual(resolveBuildOptions({}));
  });
});
