import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { SearchResult } from '../src/index.ts';

/** The value below which a fraction `q` of the samples lies (nearest rank). */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** Seconds that `work` takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/** Fraction of the true neighbours' ids that were found, over all queries: recall@k, with k the true lists' length. */
export function recall(found: readonly SearchResult[], truth: readonly SearchResult[]): number {
  let hits = 0;
  let wanted = 0;
  for (const [i, { ids }] of truth.entries()) {
    const set = new Set(ids);
    wanted += ids.length;
    for (const id of found[i]!.ids) if (set.has(id)) hits++;
  }
  return hits / wanted;
}

/** Calls `task(i)` for i of [0, count) with `concurrency` calls in flight. */
export async function concurrently(
  count: number,
  concurrency: number,
  task: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane));
}

/** Event-loop delay of this thread while `work` runs, in milliseconds, beyond the timer's own resolution of 1 ms. */
export async function eventLoopDelay(work: () => Promise<unknown>): Promise<{ p50: number; p99: number; max: number }> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await work();
  histogram.disable();
  const milliseconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - 1);
  return {
    p50: milliseconds(histogram.percentile(50)),
    p99: milliseconds(histogram.percentile(99)),
    max: milliseconds(histogram.max),
  };
}

/** A table in plain text, numbers to the right. The first row holds the headings. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column]!)).join('  ')).join('\n');
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
