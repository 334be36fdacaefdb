import type { Explanation } from '../coordinator/types.ts';

export type Stage = 'prepare' | 'scan' | 'reorder' | 'merge';

/** A stage's place on the time axis, in microseconds. */
export interface Span {
  readonly stage: Stage;
  readonly from: number;
  readonly to: number;
}

/** What is drawn beside one name. */
export interface Lane {
  readonly name: string;
  readonly spans: readonly Span[];
}

export interface Timeline {
  readonly lanes: readonly Lane[];
  /** Microseconds of the whole axis. */
  readonly length: number;
  /** Shards that have no lane of their own: those that took least. */
  readonly hidden: number;
}

/** Shards drawn at the most. */
const MOST_SHARDS = 16;

/**
 * Lays the stages of a search along a time axis. What is known are times in kernels: shards are drawn as if each had a thread of its
 * own; whoever scans last reorders and merges, so reordering is drawn one shard after the other.
 */
export function layOut({ microseconds, shards }: Pick<Explanation, 'microseconds' | 'shards'>): Timeline {
  const { prepare, merge } = microseconds;
  const shown = shards
    .map((shard, i) => ({ ...shard, i, time: shard.scanMicroseconds + shard.reorderMicroseconds }))
    .sort((a, b) => b.time - a.time || a.i - b.i)
    .slice(0, MOST_SHARDS)
    .sort((a, b) => a.i - b.i);
  const scanned = prepare + Math.max(0, ...shards.map(({ scanMicroseconds }) => scanMicroseconds));
  let end = scanned;
  const reorderings = shards.map(({ reorderMicroseconds }): Span => {
    const from = end;
    end += reorderMicroseconds;
    return { stage: 'reorder', from, to: end };
  });
  const scans = shown.map(({ i, scanMicroseconds }) => {
    const scan: Span = { stage: 'scan', from: prepare, to: prepare + scanMicroseconds };
    const reordering = reorderings[i]!;
    return { name: `shard ${i}`, spans: reordering.to > reordering.from ? [scan, reordering] : [scan] };
  });
  const lanes: Lane[] = [
    { name: 'prepare', spans: [{ stage: 'prepare', from: 0, to: prepare }] },
    ...scans,
    { name: 'merge', spans: [{ stage: 'merge', from: end, to: end + merge }] },
  ];
  return { lanes, length: end + merge, hidden: shards.length - shown.length };
}

/** Round numbers from one to another, for the marks of an axis: about so many of them. */
export function ticks(least: number, most: number, about: number): number[] {
  if (!(most > least)) return [least];
  const raw = (most - least) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9)) ?? 10);
  const [first, last] = [Math.ceil(least / step - 1e-9), Math.floor(most / step + 1e-9)];
  // Multiples of a fraction have digits that nobody wants to see.
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
