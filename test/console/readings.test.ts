import { describe, expect, it } from 'vitest';
import { pointOf, type Reading, readingOf, recent, WINDOW_SECONDS } from '../../src/console/readings.ts';

const bounds = [0.001, 0.01, Number.POSITIVE_INFINITY];
const reading = (time: number, queries: number, counts: number[]): Reading => ({
  ...{ time, queries, recall: undefined, indexBytes: 5, processBytes: undefined },
  latency: { bounds, counts },
});

it('reads what the charts need of a server', () => {
  const text = `scannery_queries_total 42
scannery_http_request_duration_seconds_bucket{le="0.001",method="POST",route="/v1/search",status="200"} 3
scannery_http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/v1/search",status="200"} 4
scannery_http_request_duration_seconds_bucket{le="0.001",method="GET",route="/v1/stats",status="200"} 90
scannery_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/v1/stats",status="200"} 99
scannery_recall_estimate 0.97
scannery_recall_samples_total 3
scannery_memory_bytes 1024
process_resident_memory_bytes 4096`;
  expect(readingOf(text, 7)).toEqual({
    ...{ time: 7, queries: 42, recall: 0.97, indexBytes: 1024, processBytes: 4096 },
    latency: { bounds: [0.001, Number.POSITIVE_INFINITY], counts: [3, 4] },
  });
});

it('knows no recall before it was sampled, and nothing of a server without metrics', () => {
  expect(readingOf('scannery_recall_estimate 0\nscannery_recall_samples_total 0', 1).recall).toBeUndefined();
  expect(readingOf('', 1)).toEqual({
    ...{ time: 1, queries: 0, latency: undefined, recall: undefined, indexBytes: undefined, processBytes: undefined },
  });
});

describe('points', () => {
  it('have rates and quantiles of what came between two readings', () => {
    const point = pointOf([reading(100, 50, [10, 10, 10])], reading(102, 70, [10, 30, 30]));
    expect(point).toMatchObject({ time: 102, queriesPerSecond: 10, recall: null, indexBytes: 5, processBytes: null });
    expect(point.p50).toBeCloseTo(5.5, 10);
    expect(point.p99).toBeCloseTo(9.91, 10);
  });

  it('take quantiles over the last ten seconds', () => {
    const before = [reading(90, 0, [0, 0, 0]), reading(92, 0, [0, 100, 100]), reading(101, 0, [100, 150, 150])];
    const point = pointOf(before, reading(103, 0, [100, 200, 200]));
    expect(point.p50).toBeCloseTo(0.5, 10);
    expect(point.p99).toBeCloseTo(0.99, 10);
  });

  it('have neither after the first reading, after a gap, and where nothing was asked', () => {
    const none = { queriesPerSecond: null, p50: null, p90: null, p99: null };
    expect(pointOf([], reading(100, 50, [1, 1, 1]))).toMatchObject(none);
    expect(pointOf([reading(100, 50, [1, 1, 1])], reading(160, 500, [9, 9, 9]))).toMatchObject(none);
    expect(pointOf([reading(100, 50, [1, 1, 1])], reading(102, 50, [1, 1, 1]))).toMatchObject({
      ...none,
      queriesPerSecond: 0,
    });
  });
});

it('what is older than the window goes', () => {
  const series = [{ time: 0 }, { time: 5 }, { time: WINDOW_SECONDS + 5 }];
  expect(recent(series, WINDOW_SECONDS + 5)).toEqual([{ time: 5 }, { time: WINDOW_SECONDS + 5 }]);
});
