import { growth, type Histogram, histogramGrowth, histogramOf, parseMetrics, quantile, sumOf } from './metrics-text.ts';

/** What one poll of the server gave. */
export interface Reading {
  /** Seconds since 1970. */
  readonly time: number;
  /** Queries answered since the server began. */
  readonly queries: number;
  /** Seconds that requests took. */
  readonly latency: Histogram | undefined;
  /** Undefined as long as it was not measured. */
  readonly recall: number | undefined;
  /** Bytes of shared memory in use by the index. */
  readonly indexBytes: number | undefined;
  /** Bytes of the server's process; undefined where the system does not tell. */
  readonly processBytes: number | undefined;
}

/** What charts show of the time between two readings; null: nothing to show. */
export interface Point {
  readonly time: number;
  readonly queriesPerSecond: number | null;
  /** Milliseconds. */
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly recall: number | null;
  readonly indexBytes: number | null;
  readonly processBytes: number | null;
}

/** Readings are compared with the newest one that is so many seconds older: few queries make quantiles jump. */
const LATENCY_SECONDS = 10;
/** Without a reading for so many seconds, lines have a gap. */
const GAP_SECONDS = 6;
/** Seconds that charts go back. */
export const WINDOW_SECONDS = 300;

/** Routes whose time is that of a query. */
const isSearch = (labels: Readonly<Record<string, string>>): boolean => (labels.route ?? '').startsWith('/v1/search');

export function readingOf(metrics: string, time: number): Reading {
  const samples = parseMetrics(metrics);
  const recall = sumOf(samples, 'scannery_recall_estimate');
  const isSampled = (sumOf(samples, 'scannery_recall_samples_total') ?? 0) > 0;
  return {
    time,
    queries: sumOf(samples, 'scannery_queries_total') ?? 0,
    latency: histogramOf(samples, 'scannery_http_request_duration_seconds', isSearch),
    recall: isSampled ? recall : undefined,
    indexBytes: sumOf(samples, 'scannery_memory_bytes'),
    processBytes: sumOf(samples, 'process_resident_memory_bytes'),
  };
}

/** The point that a new reading adds to those before it, the oldest first. */
export function pointOf(before: readonly Reading[], now: Reading): Point {
  const last = before.at(-1);
  const passed = last === undefined ? 0 : now.time - last.time;
  const isKnown = last !== undefined && passed > 0 && passed <= GAP_SECONDS;
  const base = before.findLast(({ time }) => now.time - time >= LATENCY_SECONDS) ?? before[0];
  const taken = now.latency && base && isKnown ? histogramGrowth(base.latency, now.latency) : undefined;
  const milliseconds = (q: number): number | null => {
    const seconds = taken && quantile(taken, q);
    return seconds === undefined ? null : seconds * 1000;
  };
  return {
    time: now.time,
    queriesPerSecond: isKnown ? growth(last.queries, now.queries) / passed : null,
    ...{ p50: milliseconds(0.5), p90: milliseconds(0.9), p99: milliseconds(0.99) },
    recall: now.recall ?? null,
    indexBytes: now.indexBytes ?? null,
    processBytes: now.processBytes ?? null,
  };
}

/** A series without what is older than the window. */
export const recent = <T extends { readonly time: number }>(series: readonly T[], now: number): T[] =>
  series.filter(({ time }) => now - time <= WINDOW_SECONDS);
