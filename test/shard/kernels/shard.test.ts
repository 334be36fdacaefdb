import { describe, expect, it } from 'vitest';
import {
  CODEC_BFLOAT16,
  CODEC_FLOAT32,
  CODEC_INT8,
  METRIC_DOT,
  METRIC_L2,
  STATE_BYTES,
  STATE_CODES,
  STATE_FLOOR,
  TABLES_HEADER_BYTES,
} from '../../../src/protocol/shard-layout.ts';
import {
  COUNTS,
  DIMENSIONS,
  descending,
  idOf,
  keyOf,
  type LeafSpec,
  layShard,
  onEveryTier,
  rowOf,
  type ShardSpec,
  strideOf,
} from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';
import { keptOf, laySearch, layVisits } from '../../support/search-memory.ts';

const CODECS = { float32: CODEC_FLOAT32, bfloat16: CODEC_BFLOAT16, int8: CODEC_INT8 };
const METRICS = { dot: METRIC_DOT, l2: METRIC_L2 };
const KINDS = Object.entries(CODECS).flatMap(([codecName, codec]) =>
  Object.entries(METRICS).map(([metricName, metric]) => ({ codecName, metricName, codec, metric })),
);

/** A shard whose vectors every codec stores exactly: whole numbers, the largest of which is 127. */
function wholeShard(
  seed: number,
  count: number,
  dimensions: number,
  kind: { codec: number; metric: number },
): ShardSpec {
  const stride = strideOf(dimensions);
  const rows = new Random(seed).integers(count, dimensions, stride, 3);
  for (let i = 0; i < count; i++) rows[i * stride + (i % dimensions)] = i & 4 ? -127 : 127;
  return { rows, count, stride, ...kind, chunkShift: 4 };
}

function floatShard(
  seed: number,
  count: number,
  dimensions: number,
  kind: { codec: number; metric: number },
): ShardSpec {
  const stride = strideOf(dimensions);
  return { rows: new Random(seed).normals(count, dimensions, stride), count, stride, ...kind, chunkShift: 3 };
}

function exactScore(spec: ShardSpec, query: Float32Array, local: number): number {
  const row = spec.rows.subarray(local * spec.stride, (local + 1) * spec.stride);
  if (spec.metric === METRIC_DOT) return row.reduce((sum, x, j) => sum + x * query[j]!, 0);
  return -row.reduce((sum, x, j) => sum + (x - query[j]!) ** 2, 0);
}

const range = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

interface Found {
  kept: bigint[];
  floor: bigint;
  codes: number;
}

function scan(
  spec: ShardSpec,
  query: Float32Array,
  parts: [first: number, count: number][],
  limit: number,
  floor = 0n,
): Found {
  return onEveryTier((kernels, arena) => {
    const shard = layShard(kernels, arena, spec);
    const at = arena.put(query);
    const { keys, state } = laySearch(arena, limit, floor);
    let held = 0;
    for (const [first, count] of parts) {
      held = kernels.scanVectors(shard, at, first, count, limit, keys, held, state);
    }
    return {
      kept: [...arena.u64(keys, held)],
      floor: arena.u64(state + STATE_FLOOR, 1)[0]!,
      codes: arena.u32(state + STATE_CODES, 1)[0]!,
    };
  });
}

/** The best keys of `locals`, by full scoring. */
function best(spec: ShardSpec, query: Float32Array, locals: number[], limit: number, floor = 0n): bigint[] {
  const keys = locals.map((local) => keyOf(exactScore(spec, query, local), local));
  return descending(keys.filter((key) => key > floor)).slice(0, limit);
}

describe.each(KINDS)('scanVectors of $codecName by $metricName', (kind) => {
  it.each(DIMENSIONS)('keeps the best of whole-numbered vectors of %i dimensions', (dimensions) => {
    for (const count of COUNTS) {
      const spec = wholeShard(count, count, dimensions, kind);
      const query = new Random(count + 1).integers(1, dimensions, spec.stride);
      for (const limit of [1, 7, count, count + 9]) {
        const { kept, floor } = scan(spec, query, [[0, count]], limit);
        const expected = best(spec, query, range(0, count), limit);
        expect(descending(kept)).toEqual(expected);
        expect(floor).toBe(count >= limit ? expected.at(-1) : 0n);
      }
    }
  });

  it('scores floats alike on every tier, near the exact scores', () => {
    for (const dimensions of [...DIMENSIONS, 301, 1536]) {
      const spec = floatShard(dimensions, 33, dimensions, kind);
      const query = new Random(dimensions + 1).normals(1, dimensions, spec.stride);
      const { kept } = scan(spec, query, [[0, 33]], 33);
      expect(kept.map(idOf).sort((a, b) => a - b)).toEqual(range(0, 33));
      const tolerance = (kind.codec === CODEC_FLOAT32 ? 1e-4 : 0.1) * Math.max(1, Math.sqrt(dimensions));
      for (const key of kept) {
        const exact = exactScore(spec, query, idOf(key));
        expect(key).toBeGreaterThanOrEqual(keyOf(exact - tolerance, idOf(key)));
        expect(key).toBeLessThanOrEqual(keyOf(exact + tolerance, idOf(key)));
      }
    }
  });

  it('fills and cuts back its buffer many times', () => {
    const spec = wholeShard(5, 700, 5, kind);
    for (const direction of [1, -1]) {
      // Scores that rise with the local number make every vector a candidate.
      for (let i = 0; i < 700; i++) spec.rows[i * 8 + 7] = direction * (Math.floor(i / 6) - 58);
      const query = Float32Array.of(0, 0, 0, 0, 0, 0, 0, 58);
      for (const limit of [1, 7, 100]) {
        expect(descending(scan(spec, query, [[0, 700]], limit).kept)).toEqual(best(spec, query, range(0, 700), limit));
      }
    }
  });

  it('honours a range, a carried floor and candidates held from before', () => {
    const spec = wholeShard(6, 97, 12, kind);
    const query = new Random(7).integers(1, 12);
    expect(scan(spec, query, [[5, 0]], 7)).toEqual({ kept: [], floor: 0n, codes: 0 });
    const floor = best(spec, query, range(0, 97), 20).at(-1)!;
    expect(descending(scan(spec, query, [[9, 70]], 7, floor).kept)).toEqual(best(spec, query, range(9, 70), 7, floor));
    expect(descending(scan(spec, query, [[0, 97]], 50, floor).kept)).toEqual(best(spec, query, range(0, 97), 19));
    expect(scan(spec, query, [[0, 97]], 50, floor).floor).toBe(floor);
    const parts: [number, number][] = [
      [60, 37],
      [0, 31],
      [31, 29],
    ];
    for (const limit of [1, 7, 90, 200]) {
      expect(descending(scan(spec, query, parts, limit).kept)).toEqual(best(spec, query, range(0, 97), limit));
    }
  });

  it('rescores candidates by row number, and renames them', () => {
    for (const dimensions of DIMENSIONS) {
      const spec = wholeShard(8, 97, dimensions, kind);
      const query = new Random(9).integers(1, dimensions, spec.stride);
      const locals = new Random(10).shuffle(range(0, 97)).slice(0, 40);
      const rough = BigUint64Array.from(locals, (local) => keyOf(-local / 3, local));
      const { scored, renamed, inPlace } = onEveryTier((kernels, arena) => {
        const shard = layShard(kernels, arena, spec);
        const keys = arena.put(rough);
        const out = arena.alloc(40 * 8);
        kernels.localsToRows(shard, keys, 40, out);
        const same = arena.put(rough);
        kernels.localsToRows(shard, same, 40, same);
        kernels.rescore(shard, arena.put(query), keys, 40, arena.scratch(STATE_BYTES));
        return {
          scored: [...arena.u64(keys, 40)],
          renamed: [...arena.u64(out, 40)],
          inPlace: [...arena.u64(same, 40)],
        };
      });
      expect(scored).toEqual(locals.map((local) => keyOf(exactScore(spec, query, local), rowOf(local))));
      expect(renamed).toEqual(locals.map((local) => keyOf(Math.fround(-local / 3), rowOf(local))));
      expect(inPlace).toEqual(renamed);
    }
  });
});

describe('keys of scores', () => {
  it('order negative scores and take -0 for +0', () => {
    const rows = Float32Array.of(-1, -0, 0, 1, -2, 0.5, -1e-40, 1e-40);
    const stretched = new Float32Array(rows.length * 4);
    rows.forEach((x, i) => {
      stretched[4 * i] = x;
    });
    const spec = { rows: stretched, count: 8, stride: 4, codec: CODEC_FLOAT32, metric: METRIC_DOT, chunkShift: 1 };
    const { kept } = scan(spec, Float32Array.of(1, 0, 0, 0), [[0, 8]], 8);
    expect(descending(kept).map(idOf)).toEqual([3, 5, 7, 1, 2, 6, 0, 4]);
  });

  it('put an exact match first under squared_l2, whose negated distance is -0', () => {
    const spec = {
      rows: Float32Array.of(1, 1, 0, 0, 2, 2, 0, 0),
      count: 2,
      stride: 4,
      codec: CODEC_FLOAT32,
      metric: METRIC_L2,
    };
    const { kept } = scan({ ...spec, chunkShift: 0 }, Float32Array.of(2, 2, 0, 0), [[0, 2]], 2);
    expect(descending(kept)).toEqual([keyOf(0, 1), keyOf(-2, 0)]);
  });
});

describe.each(KINDS)('scanLeafVectors of $codecName by $metricName', (kind) => {
  it.each([
    { subspaces: 0, biased: false },
    { subspaces: 4, biased: true },
  ])('keeps the best of the chosen leaves (subspaces $subspaces)', ({ subspaces, biased }) => {
    const spec = wholeShard(11, 130, 8, kind);
    const members: number[][] = [[], [], range(0, 0)];
    const random = new Random(12);
    for (let local = 0; local < 130; local++) members[random.int(0, 9) < 8 ? 0 : 1]!.push(local);
    const leaves: LeafSpec = { members, segmentBlocks: 1, subspaces, codes: new Uint8Array(130 * subspaces) };
    if (biased) leaves.biases = new Int16Array(130);
    const query = new Random(13).integers(1, 8);
    for (const chosen of [[0], [1], [2], [1, 0], [2, 0, 1], []]) {
      for (const [limit, floor] of [
        [1, 0n],
        [7, 0n],
        [200, 0n],
        [7, keyOf(exactScore(spec, query, 64), 64)],
      ] as const) {
        const { kept, codes } = onEveryTier((kernels, arena) => {
          const shard = layShard(kernels, arena, { ...spec, leaves });
          const search = laySearch(arena, limit, floor, TABLES_HEADER_BYTES + query.byteLength);
          const { state, tablesAt, keysAt } = search;
          arena.f32(search.tables + TABLES_HEADER_BYTES, query.length).set(query);
          const visits = layVisits(
            arena,
            chosen.map((leaf) => ({ leaf, base: 0, state })),
          );
          kernels.scanLeafVectors(shard, visits, chosen.length, limit, tablesAt, keysAt);
          const kept = keptOf(kernels, arena, search, limit);
          return { kept, codes: arena.u32(state + STATE_CODES, 1)[0]! };
        });
        const locals = chosen.flatMap((leaf) => members[leaf]!);
        expect(descending(kept)).toEqual(best(spec, query, locals, limit, floor));
        expect(codes).toBe(locals.length);
      }
    }
  });
});
