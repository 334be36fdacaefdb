import type { TopLevelSpec } from 'vega-lite';
import { toSvg } from '../bench/plots.ts';
import { throughputAt, type UslFit, type UslOutcome, type UslSeries } from './usl.ts';

const CURVE_POINTS = 80;

export interface Panel {
  readonly title: string;
  /** Name of N. */
  readonly axis: string;
  readonly series: readonly UslSeries[];
  readonly law: UslOutcome;
}

/** Points of the fitted curve, evenly spaced between the least and the largest N. */
export function curveOf(fit: UslFit, series: readonly UslSeries[]): { n: number; qps: number }[] {
  const ns = series.map(({ n }) => n);
  const least = Math.min(...ns);
  const step = (Math.max(...ns) - least) / (CURVE_POINTS - 1);
  return Array.from({ length: CURVE_POINTS }, (_, i) => {
    const n = least + i * step;
    return { n, qps: throughputAt(fit, n) };
  });
}

/** Every round's measurement as a point and the law, where there is a fit, as a line; panels side by side. */
export function specOf(panels: readonly Panel[]): TopLevelSpec {
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    hconcat: panels.map(({ title, axis, series, law }) => {
      const x = { field: 'n', type: 'quantitative' as const, title: axis, axis: { tickMinStep: 1 } };
      const y = { field: 'qps', type: 'quantitative' as const, title: 'queries per second', scale: { zero: true } };
      const points = series.flatMap(({ n, rounds }) => rounds.map((qps) => ({ n, qps })));
      const curve = 'fit' in law ? curveOf(law.fit, series) : [];
      return {
        title: { text: title, subtitle: 'fit' in law ? 'points: rounds; line: fitted law' : 'points: rounds; no fit' },
        ...{ width: 360, height: 280 },
        layer: [
          { data: { values: points }, mark: { type: 'point' as const, filled: true }, encoding: { x, y } },
          { data: { values: curve }, mark: { type: 'line' as const, color: '#d62728' }, encoding: { x, y } },
        ],
      };
    }),
  };
}

/** The panels as SVG, rendered without a browser. */
export const plotSvg = (panels: readonly Panel[]): Promise<string> => toSvg(specOf(panels));
