import { describe, expect, it } from 'vitest';
import type { ShardPlan, StagedSegment } from '../../src/protocol/messages.ts';
import * as L from '../../src/protocol/shard-layout.ts';
import { bindKernels, loadKernels } from '../../src/shard/kernels/load.ts';
import type { Views } from '../../src/shard/views.ts';
import { PhaseMemory } from '../support/phase-memory.ts';
import { Random } from '../support/random.ts';
import { fillShards, lanesOf, storedRows } from '../support/shard-contents.ts';
import { planFor } from '../support/shard-plans.ts';

const kernels = loadKernels();
const [count, stride, blocks, numLeaves] = [150, 8, 5, 6];
const random = new Random(2);
const rows = random.normals(count, stride);
/** Leaf 4 stays empty. */
const leaves = Uint32Array.from({ length: count }, () => [0, 0, 0, 1, 2, 3, 5][random.int(0, 6)]!);
const codes = Array.from({ length: count }, () => Array.from({ length: blocks }, () => random.int(0, 15)));
const biases = Float32Array.from({ length: count }, () => random.int(-1000, 1000));
const leafCounts = Array.from({ length: numLeaves }, (_, leaf) => leaves.filter((each) => each === leaf).length);

/** Rows [from, to) as they are staged: with their leaves, packed codes and biases. */
function stageRows(from: number, to: number): StagedSegment & { lab: PhaseMemory } {
  const lab = new PhaseMemory();
  const packed = codes.slice(from, to).flatMap((row) => [0, 2, 4].map((m) => row[m]! | ((row[m + 1] ?? 0) << 4)));
  while (packed.length % 4 !== 0) packed.push(0);
  return {
    ...{ lab, memory: lab.memory, laneMemory: lab.memory, firstRow: from, count: to - from },
    rows: lab.put(rows.slice(from * stride, to * stride)),
    lanes: {
      leaves: lab.put(leaves.slice(from, to)),
      codes: lab.put(new Uint32Array(Uint8Array.from(packed).buffer)),
      codeBiases: lab.put(biases.slice(from, to)),
    },
    spilled: null,
  };
}

function fill(plan: ShardPlan, numShards: number, cuts = [0, 70, count]): Views[] {
  const segments = cuts.slice(1).map((to, i) => stageRows(cuts[i]!, to));
  return fillShards(plan, numShards, segments);
}

describe('fill', () => {
  it('stores each row once, in row order, in the shard that owns its leaf', () => {
    const plan = planFor(leafCounts, 3);
    const found = fill(plan, 3).map((shard) => storedRows(shard, plan.codec));
    for (const [s, stored] of found.entries()) {
      const own = Array.from(leaves.keys()).filter((row) => plan.leafOwners![leaves[row]!] === s);
      expect(own.length).toBeGreaterThan(0);
      expect(stored.map(({ row }) => row)).toEqual(own);
    }
  });

  it('gives every row a lane in its leaf, with its codes', () => {
    const plan = planFor(leafCounts, 3);
    for (const [s, shard] of fill(plan, 3).entries()) {
      const stored = storedRows(shard, plan.codec);
      for (let leaf = 0; leaf < numLeaves; leaf++) {
        const lanes = lanesOf(shard, plan, leaf);
        const own = plan.leafOwners![leaf] === s ? Array.from(leaves.keys()).filter((row) => leaves[row] === leaf) : [];
        expect(lanes.map(({ local }) => stored[local]!.row)).toEqual(own);
        expect(lanes.map((lane) => lane.codes)).toEqual(own.map((row) => codes[row]));
      }
    }
  });

  it('stores vectors as they are under float32', () => {
    const plan = planFor(leafCounts, 2);
    for (const shard of fill(plan, 2)) {
      for (const { row, vector } of storedRows(shard, plan.codec)) {
        const stored = shard.f32.subarray(vector >>> 2, (vector >>> 2) + stride);
        expect(Array.from(stored)).toEqual(Array.from(rows.subarray(row * stride, (row + 1) * stride)));
      }
    }
  });

  it.each([
    ['bfloat16', L.CODEC_BFLOAT16],
    ['int8', L.CODEC_INT8],
  ])('stores vectors as the kernel compresses them under %s', (_, codec) => {
    const plan = planFor(leafCounts, 2, { codec });
    const rowBytes = codec === L.CODEC_INT8 ? stride : 2 * stride;
    const lab = new PhaseMemory();
    const [out, scales] = [lab.alloc(count * rowBytes), lab.alloc(count * 4)];
    bindKernels(kernels, lab.memory).compressRows(lab.put(rows), count, stride, codec, out, scales);
    for (const shard of fill(plan, 2)) {
      for (const { row, vector, scale } of storedRows(shard, codec)) {
        expect(shard.u8.slice(vector, vector + rowBytes)).toEqual(lab.u8(out + row * rowBytes, rowBytes));
        if (codec === L.CODEC_INT8) expect(shard.f32[scale >>> 2]).toBe(lab.f32(scales, count)[row]);
      }
    }
  });

  it('stores biases in 15 bits of their range', () => {
    const [biasMinimum, biasRange] = [-1000, 2000];
    const plan = planFor(leafCounts, 2, { hasBias: true, metric: L.METRIC_L2, biasMinimum, biasRange });
    for (const shard of fill(plan, 2)) {
      const stored = storedRows(shard, plan.codec);
      for (let leaf = 0; leaf < numLeaves; leaf++) {
        for (const { local, bias, codes: found } of lanesOf(shard, plan, leaf)) {
          const { row } = stored[local]!;
          expect(Math.abs(biasMinimum + (bias * biasRange) / 32767 - biases[row]!)).toBeLessThan(0.031);
          expect(found).toEqual(codes[row]);
        }
      }
    }
  });

  it('stores biases that are all the same as zero', () => {
    const plan = planFor(leafCounts, 1, { hasBias: true, biasMinimum: 3, biasRange: 0 });
    const [shard] = fill(plan, 1);
    const lanes = leafCounts.flatMap((_, leaf) => lanesOf(shard!, plan, leaf));
    expect(lanes.map(({ bias }) => bias)).toEqual(new Array(count).fill(0));
  });

  it('cuts the rows into runs without a tree, wherever segments begin', () => {
    const plan = planFor([count], 4, { tree: false });
    for (const cuts of [
      [0, count],
      [0, 70, count],
      [0, 1, 37, 38, 112, count],
    ]) {
      const shards = fill(plan, 4, cuts);
      const found = shards.map((shard) => storedRows(shard, plan.codec).map(({ row }) => row));
      expect(found.flat()).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(found.map((run) => run.length)).toEqual([37, 38, 37, 38]);
      for (const [s, shard] of shards.entries()) {
        const lanes = lanesOf(shard, plan, 0);
        expect(lanes.map(({ local }) => found[s]![local])).toEqual(found[s]);
        expect(lanes.map((lane) => lane.codes)).toEqual(found[s]!.map((row) => codes[row]));
      }
    }
  });

  it('keeps rows only, without leaves and codes', () => {
    const plan = planFor([], 2, { tree: false, blocks: 0, rowStarts: [0, 60, count] });
    const found = fill(plan, 2).map((shard) => storedRows(shard, plan.codec).map(({ row }) => row));
    expect(found.map((run) => run.length)).toEqual([60, 90]);
    expect(found.flat()).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it('keeps codes only, without vectors', () => {
    const plan = planFor(leafCounts, 1, { codec: L.CODEC_NONE });
    const [shard] = fill(plan, 1);
    const stored = storedRows(shard!, plan.codec);
    expect(stored.map(({ row }) => row)).toEqual(Array.from({ length: count }, (_, i) => i));
    const lanes = leafCounts.flatMap((_, leaf) => lanesOf(shard!, plan, leaf));
    for (const lane of lanes) expect(lane.codes).toEqual(codes[stored[lane.local]!.row]);
    expect(lanes).toHaveLength(count);
  });
});
