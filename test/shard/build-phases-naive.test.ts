import { describe, expect, it } from 'vitest';
import { assignScratchBytes, encodeScratchBytes } from '../../src/coordinator/leaf-tables.ts';
import { placeModel } from '../../src/coordinator/model.ts';
import { CURSOR_DONE, CURSOR_NEXT, type StagedLanes } from '../../src/protocol/messages.ts';
import { METRIC_L2 } from '../../src/protocol/shard-layout.ts';
import { runPhase } from '../../src/shard/build-phases.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { newCursor } from '../support/in-process.ts';
import { PhaseMemory, putLeafTables } from '../support/phase-memory.ts';
import { Random } from '../support/random.ts';

const kernels = loadKernels();
const NO_BIAS = { biasMinimum: Number.POSITIVE_INFINITY, biasMaximum: Number.NEGATIVE_INFINITY };
const stride = 8;
const count = 203; // the last of four chunks is cut short
const [rowsPerChunk, chunks] = [64, 4];

/** Whole numbers, so that every sum is exact and ties are common. */
const sample = (seed: number, rows: number) => new Random(seed).integers(rows, 7, stride, 6);
const rowOf = (rows: Float32Array, i: number): number[] => Array.from(rows.subarray(i * stride, (i + 1) * stride));
const rowsOf = (rows: Float32Array): number[][] =>
  Array.from({ length: rows.length / stride }, (_, i) => rowOf(rows, i));
const distance = (a: number[], b: number[]): number => a.reduce((sum, x, j) => sum + (x - b[j]!) ** 2, 0);

function nearest(row: number[], centroids: number[][]): number {
  const distances = centroids.map((centroid) => distance(row, centroid));
  return distances.indexOf(Math.min(...distances));
}

describe('assign', () => {
  const [rows, centroids] = [sample(1, count), sample(2, 40)];
  const truth = rowsOf(rows).map((row) => nearest(row, rowsOf(centroids)));
  const assign = (firstChunk: number) => {
    const lab = new PhaseMemory();
    const leaves = lab.put(new Uint32Array(count).fill(0xabcdef));
    const cursor = newCursor();
    cursor[CURSOR_NEXT] = firstChunk;
    const result = runPhase({
      ...({ kind: 'assign', kernels, cursor, chunks, memory: lab.memory, rowsPerChunk } as const),
      ...{ rows: lab.put(rows), count, stride, leaves, leafTables: putLeafTables(lab, lab.put(centroids), 40, stride) },
      ...{ scratch: lab.alloc(assignScratchBytes(40, stride)), scratchBytes: assignScratchBytes(40, stride) },
    });
    return { result, cursor, leaves: Array.from(lab.u32(leaves, count)) };
  };

  it('finds the nearest centroid of every row, the lower leaf at ties', () => {
    const { result, cursor, leaves } = assign(0);
    expect(leaves).toEqual(truth);
    expect(result).toEqual(NO_BIAS);
    expect(cursor[CURSOR_DONE]).toBe(chunks);
  });

  it('leaves alone the chunks that another worker took', () => {
    const { cursor, leaves } = assign(2);
    expect(leaves).toEqual([...new Array(128).fill(0xabcdef), ...truth.slice(128)]);
    expect(cursor[CURSOR_DONE]).toBe(2);
  });
});

describe('mean', () => {
  it('is the mean of the members of each leaf; a leaf without any keeps its centroid', () => {
    const lab = new PhaseMemory();
    const [rows, centroids] = [sample(3, 20), sample(4, 3)];
    const groups = [[4, 7, 11, 2], [], [0, 19, 5, 5, 5, 5, 1, 3]];
    const at = lab.put(centroids);
    runPhase({
      ...({
        kind: 'mean',
        kernels,
        cursor: newCursor(),
        chunks: 3,
        memory: lab.memory,
        stride,
        centroids: at,
      } as const),
      ...{ rows: lab.put(rows), starts: lab.put(Uint32Array.of(0, 4, 4, 12)) },
      members: lab.put(Uint32Array.from(groups.flat())),
    });
    const truth = groups.map((group, leaf) => {
      if (group.length === 0) return rowOf(centroids, leaf);
      return rowOf(rows, 0).map((_, j) => group.reduce((sum, i) => sum + rowOf(rows, i)[j]!, 0) / group.length);
    });
    expect(rowsOf(lab.f32(at, 3 * stride))).toEqual(truth);
  });
});

describe('residual', () => {
  it('is the row less the mean and its centroid', () => {
    const lab = new PhaseMemory();
    const [rows, centroids, mean] = [sample(5, count), sample(6, 9), sample(7, 1)];
    const leaves = Uint32Array.from({ length: count }, (_, i) => (i * 5) % 9);
    const at = lab.put(rows);
    runPhase({
      ...({ kind: 'residual', kernels, cursor: newCursor(), chunks, memory: lab.memory, rowsPerChunk } as const),
      ...{ rows: at, count, stride, leaves: lab.put(leaves), centroids: lab.put(centroids), mean: lab.put(mean) },
    });
    const truth = rowsOf(rows).map((row, i) => row.map((x, j) => x - mean[j]! - rowOf(centroids, leaves[i]!)[j]!));
    expect(rowsOf(lab.f32(at, count * stride))).toEqual(truth);
  });
});

describe('codebook', () => {
  const rows = new Random(10).normals(count, 7, stride);
  const points = (m: number): number[][] => rowsOf(rows).map((row) => row.slice(m * 2, m * 2 + 2));

  /** 16 centres of 2 numbers for each of 4 blocks. */
  function train(iterations: number, seed = 9, firstBlock = 0, used = rows): number[][][] {
    const lab = new PhaseMemory();
    const scratchBytes = 16 * 3 * 8 + count * 2 * 4 + 64;
    const codebooks = lab.alloc(4 * 2 * 64);
    const cursor = newCursor();
    cursor[CURSOR_NEXT] = firstBlock;
    runPhase({
      ...({ kind: 'codebook', kernels, cursor, chunks: 4, memory: lab.memory, rows: lab.put(used), seed } as const),
      ...{ count: used.length / stride, stride, dimensionsPerBlock: 2, iterations, codebooks },
      ...{ scratch: lab.alloc(scratchBytes), scratchBytes },
    });
    const values = lab.f32(codebooks, 4 * 2 * 16);
    const centre = (m: number, c: number) => [values[m * 32 + c]!, values[m * 32 + 16 + c]!];
    return Array.from({ length: 4 }, (_, m) => Array.from({ length: 16 }, (__, c) => centre(m, c)));
  }

  it('starts from 16 different points of the block', () => {
    for (const [m, centres] of train(0).entries()) {
      const known = new Set(points(m).map(String));
      expect(centres.every((centre) => known.has(String(centre)))).toBe(true);
      expect(new Set(centres.map(String)).size).toBe(16);
    }
  });

  it('moves each centre to the mean of its points, iteration by iteration', () => {
    for (let iterations = 0; iterations < 3; iterations++) {
      const [before, after] = [train(iterations), train(iterations + 1)];
      for (let m = 0; m < 4; m++) {
        const owners = points(m).map((point) => nearest(point, before[m]!));
        for (let c = 0; c < 16; c++) {
          const own = points(m).filter((_, i) => owners[i] === c);
          if (own.length === 0) continue;
          const mean = [0, 1].map((j) => own.reduce((sum, point) => sum + point[j]!, 0) / own.length);
          expect(distance(after[m]![c]!, mean)).toBeLessThan(1e-10);
        }
      }
    }
  });

  it('depends on the seed, and each block on its number only', () => {
    expect(train(3)).toEqual(train(3));
    expect(train(3)).not.toEqual(train(3, 10));
    expect(train(3, 9, 2).slice(2)).toEqual(train(3).slice(2));
  });

  it('makes do with fewer points than centres', () => {
    for (const [m, centres] of train(2, 9, 0, rows.slice(0, 3 * stride)).entries()) {
      expect(new Set(centres.map(String))).toEqual(new Set(points(m).slice(0, 3).map(String)));
    }
  });
});

describe('encode', () => {
  const [rows, centroids] = [sample(11, count), sample(12, 5)];
  const codebooks = Float32Array.from({ length: 4 * 2 * 16 }, (_, k) => ((k * 7) % 23) - 11);

  function encode(numLeaves: number, hashing: boolean, soarLambda: number | null = null) {
    const lab = new PhaseMemory();
    const used = centroids.slice(0, numLeaves * stride);
    const shape = { stride, metric: METRIC_L2, numLeaves, blocks: 4, dimensionsPerBlock: 2, codebooks };
    const model = placeModel(lab.memory, { ...shape, centroids: used, mean: new Float32Array(stride) });
    const leafCounts = new Int32Array(new SharedArrayBuffer(numLeaves * 4));
    const allocateLanes = (): StagedLanes => ({
      ...{ leaves: lab.alloc(count * 4), codes: lab.alloc(count * 2), codeBiases: lab.alloc(count * 4) },
    });
    const [out, spilled] = [allocateLanes(), soarLambda === null ? null : allocateLanes()];
    const scratchBytes = encodeScratchBytes(numLeaves, stride, 4, rowsPerChunk, spilled !== null);
    const at = lab.put(used);
    const result = runPhase({
      ...({ kind: 'encode', kernels, cursor: newCursor(), chunks, memory: lab.memory, rowsPerChunk } as const),
      ...{ rows: lab.put(rows), count, stride, model, leafCounts, weight: 0, hashing, codeBytes: 2 },
      ...{ centroids: at, leafTables: putLeafTables(lab, at, numLeaves, stride), soarLambda },
      ...{ laneMemory: lab.memory, lanes: out, spilled },
      ...{ scratch: lab.alloc(scratchBytes), scratchBytes },
    });
    const read = (lanes: StagedLanes) => ({
      leaves: Array.from(lab.u32(lanes.leaves, count)),
      biases: Array.from(lab.f32(lanes.codeBiases, count)),
      codes: lab.u8(lanes.codes, count * 2),
    });
    const second = spilled === null ? null : read(spilled);
    return { result, ...read(out), leafCounts: Array.from(leafCounts), second };
  }

  /** Each code must be that of the nearest centre to the residual, and its bias exact. */
  function expectCodes(leaves: number[], codes: Uint8Array, biases: number[]): void {
    for (let i = 0; i < count; i++) {
      let bias = 0;
      for (let m = 0; m < 4; m++) {
        const centroid = rowOf(centroids, leaves[i]!).slice(m * 2, m * 2 + 2);
        const residual = centroid.map((x, j) => rowOf(rows, i)[m * 2 + j]! - x);
        const centres = Array.from({ length: 16 }, (_, c) => [codebooks[m * 32 + c]!, codebooks[m * 32 + 16 + c]!]);
        const code = (codes[i * 2 + (m >> 1)]! >> (m & 1 ? 4 : 0)) & 15;
        expect(code).toBe(nearest(residual, centres));
        for (const [j, r] of centres[code]!.entries()) bias += r * (centroid[j]! + r / 2);
      }
      expect(biases[i]).toBe(bias);
    }
  }

  it('assigns every row, counts the rows of each leaf, and takes the nearest codes', () => {
    const { result, leaves, leafCounts, biases, codes } = encode(5, true);
    expect(leaves).toEqual(rowsOf(rows).map((row) => nearest(row, rowsOf(centroids))));
    expect(leafCounts).toEqual([0, 1, 2, 3, 4].map((leaf) => leaves.filter((each) => each === leaf).length));
    expectCodes(leaves, codes, biases);
    expect(result).toEqual({ biasMinimum: Math.min(...biases), biasMaximum: Math.max(...biases) });
  });

  it('spills every row to a second leaf, with codes and a bias of its own there', () => {
    const { result, leaves, leafCounts, biases, codes, second } = encode(5, true, 0);
    const plain = encode(5, true);
    expect({ leaves, leafCounts, biases, codes }).toEqual({
      ...{ leaves: plain.leaves, leafCounts: plain.leafCounts, biases: plain.biases, codes: plain.codes },
    });
    const others = rowsOf(rows).map((row, i) => {
      const distances = rowsOf(centroids).map((centroid, leaf) =>
        leaf === leaves[i] ? Number.POSITIVE_INFINITY : distance(row, centroid),
      );
      return distances.indexOf(Math.min(...distances));
    });
    expect(second!.leaves).toEqual(others);
    expectCodes(second!.leaves, second!.codes, second!.biases);
    const all = [...biases, ...second!.biases];
    expect(result).toEqual({ biasMinimum: Math.min(...all), biasMaximum: Math.max(...all) });
  });

  it('heeds lambda', () => {
    const [zero, one] = [encode(5, false, 0), encode(5, false, 1)];
    expect(one.leaves).toEqual(zero.leaves);
    expect(one.second!.leaves).not.toEqual(zero.second!.leaves);
    for (const [i, leaf] of one.second!.leaves.entries()) expect(leaf).not.toBe(one.leaves[i]);
    expect(one.second!.codes).toEqual(new Uint8Array(count * 2));
    expect(one.result).toEqual(NO_BIAS);
  });

  it('only assigns without hashing', () => {
    const { result, leaves, codes } = encode(5, false);
    expect(leaves).toEqual(rowsOf(rows).map((row) => nearest(row, rowsOf(centroids))));
    expect(codes).toEqual(new Uint8Array(count * 2));
    expect(result).toEqual(NO_BIAS);
  });

  it('puts everything into the one leaf that there is without a tree', () => {
    const { leaves, leafCounts, codes } = encode(1, true);
    expect(leaves).toEqual(new Array(count).fill(0));
    expect(leafCounts).toEqual([count]);
    expect(codes.some((byte) => byte !== 0)).toBe(true);
  });
});
