import type { TopLevelSpec } from 'vega-lite';
import { toSvg } from '../bench/plots.ts';
import { powerAt, rootAt } from './fit.ts';
import type { SizeResult } from './measure.ts';
import type { Growths } from './report.ts';

const CURVE_POINTS = 60;
const WALL = 'latency, p50';
const WORKER = 'in the worker, p50';
const GUIDE = 'sqrt(n) through the first size';

interface Point {
  readonly n: number;
  readonly microseconds: number;
  readonly series: string;
}
interface CurvePoint extends Point {
  readonly curve: string;
}

/** Points of the fitted curves, and of a root through the first size, evenly spaced by logarithm. */
export function curvesOf(sizes: readonly SizeResult[], { wall, worker }: Growths): CurvePoint[] {
  const [first, last] = [sizes[0]!, sizes.at(-1)!];
  const ns = Array.from({ length: CURVE_POINTS }, (_, i) => first.n * (last.n / first.n) ** (i / (CURVE_POINTS - 1)));
  const guide = (n: number): number => first.typical.p50 * Math.sqrt(n / first.n);
  const curve = (series: string, name: string, at: (n: number) => number): CurvePoint[] =>
    ns.map((n) => ({ n, microseconds: at(n), series, curve: name }));
  const curves = [curve(GUIDE, 'guide', guide)];
  for (const [series, growth] of [
    [WALL, wall],
    [WORKER, worker],
  ] as const) {
    if (growth === undefined) continue;
    curves.push(curve(series, 'power of n', (n) => powerAt(growth.power, n)));
    curves.push(curve(series, 'a + b sqrt(n)', (n) => rootAt(growth.root, n)));
  }
  return curves.flat();
}

/** Latency over size, both by logarithm: every round as a point, the fits and a root as lines. */
export function growthSpec(sizes: readonly SizeResult[], growths: Growths): TopLevelSpec {
  const points = sizes.flatMap(({ n, rounds }) =>
    rounds.flatMap(({ p50, workerP50 }): Point[] => [
      { n, microseconds: p50, series: WALL },
      { n, microseconds: workerP50, series: WORKER },
    ]),
  );
  const log = { type: 'log' as const, nice: false };
  const x = { field: 'n', type: 'quantitative', title: 'vectors', scale: log, axis: { format: '~s' } } as const;
  const y = {
    field: 'microseconds',
    type: 'quantitative',
    title: 'microseconds',
    scale: { ...log, nice: true },
  } as const;
  const series = { domain: [WALL, WORKER, GUIDE], range: ['#4c78a8', '#f58518', '#888888'] };
  const color = { field: 'series', type: 'nominal', title: null, scale: series, legend: { labelLimit: 0 } } as const;
  const dashes = { domain: ['power of n', 'a + b sqrt(n)', 'guide'], range: [[], [6, 3], [2, 3]] };
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    title: 'Latency of a search by number of vectors, at equal recall',
    width: 560,
    height: 380,
    layer: [
      {
        data: { values: curvesOf(sizes, growths) },
        mark: { type: 'line', strokeWidth: 1.5 },
        encoding: {
          ...{ x, y, color },
          strokeDash: { field: 'curve', type: 'nominal', title: 'lines', scale: dashes },
        },
      },
      { data: { values: points }, mark: { type: 'point', filled: true, size: 36 }, encoding: { x, y, color } },
    ],
  };
}

/** The drawing as SVG, made without a browser. */
export const growthSvg = (sizes: readonly SizeResult[], growths: Growths): Promise<string> =>
  toSvg(growthSpec(sizes, growths));

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/** One page with the drawing and the report, so that it can be opened anywhere. */
export function growthPage(svg: string, report: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Latency by number of vectors</title>
<style>body { font: 16px/1.5 sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em } pre { font-size: 13px; overflow-x: auto }</style>
<h1>Latency by number of vectors</h1>
${svg}
<pre>${escaped(report)}</pre>
</html>
`;
}
