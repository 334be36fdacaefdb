import { describe, expect, it } from 'vitest';
import { METRIC_DOT, METRIC_L2 } from '../../../src/protocol/shard-layout.ts';
import { COUNTS, onEveryTier, packCodes } from '../../support/kernel-memory.ts';
import { layModel, type ModelSpec, randomModel } from '../../support/kernel-model.ts';
import { Random } from '../../support/random.ts';

const SHAPES = [
  { dimensions: 1, dimensionsPerBlock: 1 },
  { dimensions: 3, dimensionsPerBlock: 2 },
  { dimensions: 4, dimensionsPerBlock: 2 },
  { dimensions: 5, dimensionsPerBlock: 1 },
  { dimensions: 8, dimensionsPerBlock: 4 },
  { dimensions: 12, dimensionsPerBlock: 2 },
  { dimensions: 13, dimensionsPerBlock: 3 },
  { dimensions: 20, dimensionsPerBlock: 16 },
  { dimensions: 100, dimensionsPerBlock: 2 },
  { dimensions: 127, dimensionsPerBlock: 2 },
];

interface Encoded {
  /** One code per byte, per row. */
  codes: number[][];
  biases: number[];
}

function encode(model: ModelSpec, rows: Float32Array, leaves: Uint32Array, weight: number): Encoded {
  const { blocks } = model;
  const bytes = Math.ceil(blocks / 2);
  const count = leaves.length;
  return onEveryTier((kernels, arena) => {
    const header = layModel(arena, model);
    const codes = arena.alloc(count * bytes);
    const biases = arena.alloc(count * 4);
    const scratch = arena.alloc(blocks * 129);
    kernels.encodeRows(header, arena.put(rows), count, arena.put(leaves), weight, codes, biases, scratch);
    return {
      codes: Array.from({ length: count }, (_, i) =>
        Array.from({ length: blocks }, (_, m) => (arena.u8(codes + i * bytes, bytes)[m >> 1]! >> (m & 1 ? 4 : 0)) & 15),
      ),
      biases: [...arena.f32(biases, count)],
    };
  });
}

/** What `codes` leave of a row's residual, and the decoded residual, in f64. */
function decode(
  model: ModelSpec,
  row: Float32Array,
  leaf: number,
  codes: number[],
): { error: number[]; decoded: number[] } {
  const { stride, blocks, dimensionsPerBlock: dims, codebooks, centroids, mean } = model;
  const decoded = Array.from({ length: blocks * dims }, (_, k) => codebooks[k * 16 + codes[Math.floor(k / dims)]!]!);
  return { decoded, error: decoded.map((r, k) => row[k]! - mean[k]! - centroids[leaf * stride + k]! - r) };
}

function nearestCodes(model: ModelSpec, row: Float32Array, leaf: number): number[] {
  const { blocks, dimensionsPerBlock: dims } = model;
  const errors = Array.from({ length: 16 }, (_, code) => decode(model, row, leaf, new Array(blocks).fill(code)).error);
  return Array.from({ length: blocks }, (_, m) => {
    const lost = errors.map((error) => error.slice(m * dims, (m + 1) * dims).reduce((sum, e) => sum + e * e, 0));
    return lost.indexOf(Math.min(...lost));
  });
}

function loss(model: ModelSpec, row: Float32Array, leaf: number, codes: number[], weight: number): number {
  const { error } = decode(model, row, leaf, codes);
  const norm = row.reduce((sum, x) => sum + x * x, 0);
  const along = error.reduce((sum, e, k) => sum + e * row[k]!, 0);
  return error.reduce((sum, e) => sum + e * e, 0) + (norm > 0 ? (weight * along * along) / norm : 0);
}

function sample(shape: (typeof SHAPES)[number], count: number, metric: number, whole: boolean) {
  const random = new Random(count);
  const model = randomModel(random, { ...shape, numLeaves: 5, metric, whole });
  const { stride } = model;
  const rows = whole
    ? random.integers(count, shape.dimensions, stride)
    : random.normals(count, shape.dimensions, stride);
  const leaves = Uint32Array.from({ length: count }, () => random.int(0, 4));
  return { model, rows, leaves, row: (i: number) => rows.subarray(i * stride, (i + 1) * stride) };
}

describe.each(SHAPES)('encodeRows of $dimensions dimensions in blocks of $dimensionsPerBlock', (shape) => {
  it('picks the nearest centre of each block without a weight, the lower at ties', () => {
    for (const count of [0, ...COUNTS]) {
      const { model, leaves, rows, row } = sample(shape, count, METRIC_L2, true);
      encode(model, rows, leaves, 0).codes.forEach((codes, i) => {
        expect(codes).toEqual(nearestCodes(model, row(i), leaves[i]!));
      });
    }
  });

  it('never has a higher anisotropic loss with a weight than without', () => {
    for (const metric of [METRIC_DOT, METRIC_L2]) {
      for (const weight of [0.3, 4, 25]) {
        const { model, leaves, rows, row } = sample(shape, 33, metric, false);
        const plain = encode(model, rows, leaves, 0);
        const weighted = encode(model, rows, leaves, weight);
        weighted.codes.forEach((codes, i) => {
          const before = loss(model, row(i), leaves[i]!, plain.codes[i]!, weight);
          expect(loss(model, row(i), leaves[i]!, codes, weight)).toBeLessThanOrEqual(before * (1 + 1e-4));
        });
        if (shape.dimensions > 4) expect(weighted.codes).not.toEqual(plain.codes);
      }
    }
  });

  it('agrees across tiers when many codes come close with a weight', () => {
    for (const weight of [0.1, 0.3, 7]) {
      const { model, leaves, rows } = sample(shape, 97, METRIC_DOT, true);
      expect(encode(model, rows, leaves, weight).codes).toHaveLength(97);
    }
  });

  it('gives the bias of the decoded residual', () => {
    const { model, leaves, rows, row } = sample(shape, 17, METRIC_L2, false);
    const { codes, biases } = encode(model, rows, leaves, 2);
    biases.forEach((bias, i) => {
      const leaf = leaves[i]!;
      const { decoded } = decode(model, row(i), leaf, codes[i]!);
      const exact = decoded.reduce((sum, r, k) => sum + r * (model.centroids[leaf * model.stride + k]! + r / 2), 0);
      expect(bias).toBeCloseTo(exact, 3);
    });
  });
});

it('encodes a zero row, which has no direction, as without a weight', () => {
  const { model } = sample(SHAPES[4]!, 0, METRIC_DOT, false);
  const rows = new Float32Array(model.stride);
  const leaves = Uint32Array.of(1);
  expect(encode(model, rows, leaves, 5)).toEqual(encode(model, rows, leaves, 0));
});

describe('placeCodes', () => {
  it.each([1, 2, 4, 5, 6, 50])('lays %i subspaces so that they read back, in any lane order', (blocks) => {
    const random = new Random(blocks);
    const codes = Array.from({ length: 32 }, () => Uint8Array.from({ length: blocks }, () => random.int(0, 15)));
    const order = random.shuffle(Array.from({ length: 32 }, (_, lane) => lane));
    const block = onEveryTier((kernels, arena) => {
      const packed = codes.map((lane) => arena.put(packCodes(lane)));
      const at = arena.put(Uint8Array.from({ length: blocks * 16 }, () => 0xa5)); // a used block is overwritten
      for (const lane of order) kernels.placeCodes(packed[lane]!, blocks, at, lane);
      return arena.u8(at, blocks * 16).slice();
    });
    codes.forEach((expected, lane) => {
      const found = expected.map((_, m) => (block[m * 16 + (lane & 15)]! >> (lane >= 16 ? 4 : 0)) & 15);
      expect(found).toEqual(expected);
    });
  });
});
