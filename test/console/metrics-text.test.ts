import { describe, expect, it } from 'vitest';
import { growth, histogramGrowth, histogramOf, parseMetrics, quantile, sumOf } from '../../src/console/metrics-text.ts';

const TEXT = `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{route="/a",status="200"} 7
requests_total{route="/b",status="200"} 5 1700000000000

up 1
odd{path="C:\\\\dir\\n\\"x\\", {y}=1",le="+Inf"} 2.5e3
nothing NaN
least -Inf
broken{ 3
not a number
seconds_bucket{route="/a",le="0.1"} 4
seconds_bucket{route="/a",le="0.2"} 6
seconds_bucket{route="/a",le="+Inf"} 6
seconds_bucket{route="/b",le="0.1"} 0
seconds_bucket{route="/b",le="0.2"} 2
seconds_bucket{route="/b",le="+Inf"} 4
seconds_sum{route="/a"} 0.5
# EOF`;
const samples = parseMetrics(TEXT);

describe('parseMetrics', () => {
  it('reads names, labels and numbers, and passes over the rest', () => {
    expect(samples.slice(0, 3)).toEqual([
      { name: 'requests_total', labels: { route: '/a', status: '200' }, value: 7 },
      { name: 'requests_total', labels: { route: '/b', status: '200' }, value: 5 },
      { name: 'up', labels: {}, value: 1 },
    ]);
    expect(samples).toHaveLength(13);
  });

  it('reads escaped labels, infinities and NaN', () => {
    const of = (name: string) => samples.find((sample) => sample.name === name)!;
    expect(of('odd')).toEqual({ name: 'odd', labels: { path: 'C:\\dir\n"x", {y}=1', le: '+Inf' }, value: 2500 });
    expect(of('nothing').value).toBeNaN();
    expect(of('least').value).toBe(Number.NEGATIVE_INFINITY);
  });

  it('finds nothing in nothing', () => {
    expect(parseMetrics('')).toEqual([]);
  });
});

it('sums are over all labels, or those wanted; undefined without samples', () => {
  expect(sumOf(samples, 'requests_total')).toBe(12);
  expect(sumOf(samples, 'requests_total', ({ route }) => route === '/b')).toBe(5);
  expect(sumOf(samples, 'requests_total', () => false)).toBeUndefined();
  expect(sumOf(samples, 'requests')).toBeUndefined();
});

it('histograms are added up over all labels but le', () => {
  const bounds = [0.1, 0.2, Number.POSITIVE_INFINITY];
  expect(histogramOf(samples, 'seconds')).toEqual({ bounds, counts: [4, 8, 10] });
  expect(histogramOf(samples, 'seconds', ({ route }) => route === '/b')).toEqual({ bounds, counts: [0, 2, 4] });
  expect(histogramOf(samples, 'minutes')).toBeUndefined();
});

it('counters that fell began anew', () => {
  expect(growth(10, 25)).toBe(15);
  expect(growth(10, 3)).toBe(3);
  const bounds = [1, Number.POSITIVE_INFINITY];
  const [before, after] = [
    { bounds, counts: [2, 5] },
    { bounds, counts: [4, 9] },
  ];
  expect(histogramGrowth(before, after).counts).toEqual([2, 4]);
  expect(histogramGrowth(after, before)).toBe(before);
  expect(histogramGrowth(undefined, after)).toBe(after);
  expect(histogramGrowth({ bounds: [2, Number.POSITIVE_INFINITY], counts: [1, 1] }, after)).toBe(after);
});

describe('quantile', () => {
  const histogram = { bounds: [1, 2, 4, Number.POSITIVE_INFINITY], counts: [10, 30, 40, 50] };

  it.each([
    [0.1, 0.5],
    [0.2, 1],
    [0.4, 1.5],
    [0.6, 2],
    [0.7, 3],
    [0.8, 4],
  ])('%d lies between two bounds', (q, value) => {
    expect(quantile(histogram, q)).toBeCloseTo(value, 10);
  });

  it('above the last bound is the last bound', () => {
    expect(quantile(histogram, 0.99)).toBe(4);
  });

  it('of nothing is undefined', () => {
    expect(quantile({ bounds: [1, Number.POSITIVE_INFINITY], counts: [0, 0] }, 0.5)).toBeUndefined();
  });

  it('passes over empty steps', () => {
    expect(quantile({ bounds: [1, 2, 4, Number.POSITIVE_INFINITY], counts: [0, 0, 10, 10] }, 0.5)).toBe(3);
  });
});
