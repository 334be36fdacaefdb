import { describe, expect, it } from 'vitest';
import { layOut, ticks } from '../../src/console/timeline.ts';

const shard = (scanMicroseconds: number, reorderMicroseconds = 0) => ({
  ...{ codesScanned: 1, candidates: 1, reordered: 1 },
  ...{ scanMicroseconds, reorderMicroseconds },
});
const microseconds = { total: 0, prepare: 10, scan: 0, reorder: 0, merge: 5 };

describe('layOut', () => {
  it('scans side by side, reorders after the longest scan, and merges last', () => {
    const { lanes, length, hidden } = layOut({ microseconds, shards: [shard(20, 3), shard(30), shard(25, 4)] });
    expect(lanes).toEqual([
      { name: 'prepare', spans: [{ stage: 'prepare', from: 0, to: 10 }] },
      {
        name: 'shard 0',
        spans: [
          { stage: 'scan', from: 10, to: 30 },
          { stage: 'reorder', from: 40, to: 43 },
        ],
      },
      { name: 'shard 1', spans: [{ stage: 'scan', from: 10, to: 40 }] },
      {
        name: 'shard 2',
        spans: [
          { stage: 'scan', from: 10, to: 35 },
          { stage: 'reorder', from: 43, to: 47 },
        ],
      },
      { name: 'merge', spans: [{ stage: 'merge', from: 47, to: 52 }] },
    ]);
    expect([length, hidden]).toEqual([52, 0]);
  });

  it('of many shards shows those that took longest, in their order', () => {
    const { lanes, hidden } = layOut({ microseconds, shards: Array.from({ length: 40 }, (_, i) => shard(i % 20)) });
    const names = lanes.slice(1, -1).map(({ name }) => name);
    const expected = Array.from({ length: 40 }, (_, i) => i).filter((i) => i % 20 >= 12);
    expect(names).toEqual(expected.map((i) => `shard ${i}`));
    expect(hidden).toBe(24);
  });

  it('of an empty index has no shards', () => {
    const { lanes, length } = layOut({ microseconds: { ...microseconds, prepare: 0, merge: 0 }, shards: [] });
    expect(lanes.map(({ name }) => name)).toEqual(['prepare', 'merge']);
    expect(length).toBe(0);
  });
});

describe('ticks', () => {
  it.each([
    [0, 100, 5, [0, 20, 40, 60, 80, 100]],
    [0, 103, 5, [0, 50, 100]],
    [0, 7, 3, [0, 5]],
    [0, 0.3, 3, [0, 0.1, 0.2, 0.3]],
    [0.9335, 0.9987, 4, [0.94, 0.96, 0.98]],
    [5, 5, 4, [5]],
  ])('from %d to %d, about %d, are %j', (least, most, about, marks) => {
    expect(ticks(least, most, about)).toEqual(marks);
  });
});
