import { describe, expect, it } from 'vitest';
import { dealLeaves } from '../../src/coordinator/dealing.ts';
import {
  CURSOR_DONE,
  CURSOR_NEXT,
  type ShardPlan,
  type StagedLanes,
  type StagedSegment,
} from '../../src/protocol/messages.ts';
import * as L from '../../src/protocol/shard-layout.ts';
import { runPhase } from '../../src/shard/build-phases.ts';
import { bindKernels, loadKernels } from '../../src/shard/kernels/load.ts';
import { layOutShard } from '../../src/shard/shard-image.ts';
import type { Views } from '../../src/shard/views.ts';
import { newCursor } from '../support/in-process.ts';
import { PhaseMemory } from '../support/phase-memory.ts';
import { Random } from '../support/random.ts';
import { fillShards, lanesOf, storedRows } from '../support/shard-contents.ts';
import { planFor } from '../support/shard-plans.ts';

// Rows that are spilled to a second leaf (SOAR).
const kernels = loadKernels();
const [count, stride, blocks, numLeaves] = [301, 8, 5, 7];
const random = new Random(12);
const rows = random.normals(count, stride);

interface Lanes {
  readonly leaves: number[];
  readonly codes: number[][];
  readonly biases: Float32Array;
}

const lanesIn = (choose: (row: number) => number): Lanes => ({
  leaves: Array.from({ length: count }, (_, row) => choose(row)),
  codes: Array.from({ length: count }, () => Array.from({ length: blocks }, () => random.int(0, 15))),
  biases: Float32Array.from({ length: count }, () => random.int(-1000, 1000)),
});
/** Leaf 4 is nobody's first leaf, leaf 2 nobody's second; leaf 6 is empty. */
const first = lanesIn(() => [0, 0, 0, 1, 2, 3, 5][random.int(0, 6)]!);
const second = lanesIn((row) => [0, 1, 3, 4, 5].filter((leaf) => leaf !== first.leaves[row])[random.int(0, 3)]!);
const leafCounts = Array.from({ length: numLeaves }, (_, leaf) => first.leaves.filter((each) => each === leaf).length);

function stageRows(from: number, to: number): StagedSegment {
  const lab = new PhaseMemory();
  const put = ({ leaves, codes, biases }: Lanes): StagedLanes => {
    const packed = codes.slice(from, to).flatMap((row) => [0, 2, 4].map((m) => row[m]! | ((row[m + 1] ?? 0) << 4)));
    while (packed.length % 4 !== 0) packed.push(0);
    return {
      leaves: lab.put(Uint32Array.from(leaves.slice(from, to))),
      codes: lab.put(new Uint32Array(Uint8Array.from(packed).buffer)),
      codeBiases: lab.put(biases.slice(from, to)),
    };
  };
  return {
    ...{ memory: lab.memory, laneMemory: lab.memory, firstRow: from, count: to - from },
    ...{ rows: lab.put(rows.slice(from * stride, to * stride)), lanes: put(first), spilled: put(second) },
  };
}

const stageAll = (cuts: readonly number[]): StagedSegment[] => cuts.slice(1).map((to, i) => stageRows(cuts[i]!, to));

const CUTS = [0, 110, 111, count];

/** What the phase counts: [shards][leaves]. */
function countSpilled(segments: StagedSegment[], leafOwners: Int32Array, numShards: number, firstShard = 0) {
  const spilledCounts = new Int32Array(new SharedArrayBuffer(numShards * numLeaves * 4));
  const cursor = newCursor();
  cursor[CURSOR_NEXT] = firstShard;
  runPhase({
    kind: 'count spilled',
    kernels,
    cursor,
    chunks: numShards,
    segments,
    numLeaves,
    leafOwners,
    spilledCounts,
  });
  return { cursor, spilledCounts };
}

const rowsOfShard = (owners: Int32Array, shard: number): number[] =>
  Array.from({ length: count }, (_, row) => row).filter((row) => owners[first.leaves[row]!] === shard);

function fill(numShards: number, rest: Partial<ShardPlan> = {}, cuts = CUTS): { plan: ShardPlan; shards: Views[] } {
  const segments = stageAll(cuts);
  const { spilledCounts } = countSpilled(segments, dealLeaves(Int32Array.from(leafCounts), numShards), numShards);
  const plan = planFor(leafCounts, numShards, { spilledCounts, ...rest });
  return { plan, shards: fillShards(plan, numShards, segments) };
}

describe('count spilled', () => {
  it.each([1, 2, 3, 8])('counts the second lanes of the rows of each of %i shards, leaf by leaf', (numShards) => {
    const owners = dealLeaves(Int32Array.from(leafCounts), numShards);
    for (const cuts of [[0, count], CUTS, [0, 1, 2, 300, count]]) {
      const { cursor, spilledCounts } = countSpilled(stageAll(cuts), owners, numShards);
      expect(cursor[CURSOR_DONE]).toBe(numShards);
      const expected = Array.from({ length: numShards * numLeaves }, (_, at) => {
        const [shard, leaf] = [Math.floor(at / numLeaves), at % numLeaves];
        return rowsOfShard(owners, shard).filter((row) => second.leaves[row] === leaf).length;
      });
      expect(Array.from(spilledCounts)).toEqual(expected);
      expect(expected.reduce((sum, each) => sum + each)).toBe(count);
    }
  });

  it('leaves alone the shards that another worker took', () => {
    const owners = dealLeaves(Int32Array.from(leafCounts), 3);
    const all = countSpilled(stageAll(CUTS), owners, 3).spilledCounts;
    const { spilledCounts } = countSpilled(stageAll(CUTS), owners, 3, 2);
    expect(Array.from(spilledCounts)).toEqual([...new Array(2 * numLeaves).fill(0), ...all.slice(2 * numLeaves)]);
  });
});

describe('the layout', () => {
  it('has room for the lanes of both kinds, and for each vector once', () => {
    for (const numShards of [1, 3]) {
      const { plan, shards } = fill(numShards);
      let lanes = 0;
      for (let s = 0; s < numShards; s++) {
        const image = layOutShard(plan, s);
        const own = rowsOfShard(plan.leafOwners!, s);
        expect(image.count).toBe(own.length);
        expect(Array.from(image.leafLanes)).toEqual(
          leafCounts.map(
            (_, leaf) =>
              own.flatMap((row) => [first, second].map((each) => each.leaves[row])).filter((each) => each === leaf)
                .length,
          ),
        );
        lanes += image.leafLanes.reduce((sum, each) => sum + each);
        expect(Array.from(image.segments, (segment) => segment > 0)).toEqual(Array.from(image.leafLanes, (n) => n > 0));
        expect(shards[s]!.u32[(L.RESERVED_BYTES + L.SHARD_LANES_PER_VECTOR) >>> 2]).toBe(2);
      }
      expect(lanes).toBe(2 * count);
    }
  });

  it('has one lane per vector without spilling', () => {
    const plan = planFor(leafCounts, 2);
    expect(Array.from(layOutShard(plan, 0).leafLanes)).toEqual(
      leafCounts.map((held, leaf) => (plan.leafOwners![leaf] === 0 ? held : 0)),
    );
  });
});

describe('fill', () => {
  it.each([1, 2, 3, 8])(
    'gives each row of %i shards both lanes in its own shard, in row order, with their codes',
    (numShards) => {
      for (const cuts of [[0, count], CUTS]) {
        const { plan, shards } = fill(numShards, {}, cuts);
        for (const [s, shard] of shards.entries()) {
          const own = rowsOfShard(plan.leafOwners!, s);
          const stored = storedRows(shard, plan.codec).map(({ row }) => row);
          expect(stored).toEqual(own);
          for (let leaf = 0; leaf < numLeaves; leaf++) {
            // A row's two leaves differ, so it has one lane in each.
            const expected = own
              .filter((row) => first.leaves[row] === leaf || second.leaves[row] === leaf)
              .map((row) => ({ row, codes: (first.leaves[row] === leaf ? first : second).codes[row] }));
            const lanes = lanesOf(shard, plan, leaf);
            expect(lanes.map(({ local, codes }) => ({ row: stored[local], codes }))).toEqual(expected);
          }
        }
      }
    },
  );

  it('stores the bias of each lane by itself', () => {
    const [biasMinimum, biasRange] = [-1000, 2000];
    const { plan, shards } = fill(2, { hasBias: true, metric: L.METRIC_L2, biasMinimum, biasRange });
    let seen = 0;
    for (const shard of shards) {
      const stored = storedRows(shard, plan.codec);
      for (let leaf = 0; leaf < numLeaves; leaf++) {
        for (const { local, bias, codes } of lanesOf(shard, plan, leaf)) {
          const { row } = stored[local]!;
          const lane = first.leaves[row] === leaf ? first : second;
          expect(Math.abs(biasMinimum + (bias * biasRange) / 32767 - lane.biases[row]!)).toBeLessThan(0.031);
          expect(codes).toEqual(lane.codes[row]);
          seen++;
        }
      }
    }
    expect(seen).toBe(2 * count);
  });

  it.each([
    ['float32', L.CODEC_FLOAT32, 4],
    ['bfloat16', L.CODEC_BFLOAT16, 2],
    ['int8', L.CODEC_INT8, 1],
  ])('stores each vector once under %s', (_, codec, width) => {
    const { shards } = fill(3, { codec });
    const lab = new PhaseMemory();
    const rowBytes = width * stride;
    const [out, scales] = [lab.alloc(count * rowBytes), lab.alloc(count * 4)];
    const source = lab.put(rows);
    if (codec !== L.CODEC_FLOAT32) {
      bindKernels(kernels, lab.memory).compressRows(source, count, stride, codec, out, scales);
    }
    const truth = lab.u8(codec === L.CODEC_FLOAT32 ? source : out, count * rowBytes);
    const seen: number[] = [];
    for (const shard of shards) {
      for (const { row, vector, scale } of storedRows(shard, codec)) {
        seen.push(row);
        expect(shard.u8.slice(vector, vector + rowBytes)).toEqual(truth.slice(row * rowBytes, (row + 1) * rowBytes));
        if (codec === L.CODEC_INT8) expect(shard.f32[scale >>> 2]).toBe(lab.f32(scales, count)[row]);
      }
    }
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (__, row) => row));
  });

  it('keeps the codes of both lanes only, without vectors', () => {
    const { plan, shards } = fill(1, { codec: L.CODEC_NONE });
    const lanes = leafCounts.flatMap((_, leaf) => lanesOf(shards[0]!, plan, leaf));
    const perLocal = new Map<number, number>();
    for (const { local } of lanes) perLocal.set(local, (perLocal.get(local) ?? 0) + 1);
    expect(Array.from(perLocal.values())).toEqual(new Array(count).fill(2));
  });
});
