import type { Times } from './histogram.ts';

export interface PlotLine {
  readonly name: string;
  readonly times: Times;
}

interface Point {
  readonly line: string;
  /** 1 / (1 - percentile / 100): 10 for the 90th percentile, 100 for the 99th. */
  readonly tail: number;
  readonly milliseconds: number;
}

const POINTS_PER_DECADE = 40;
/** Least time drawn, as a logarithm has no place for nothing. */
const LEAST = 1e-3;

/** Points of a line, evenly spread on the axis of percentiles, up to the one that a single record makes. */
export function linePoints({ name, times }: PlotLine): Point[] {
  if (times.count === 0) return [];
  const decades = Math.log10(Math.max(10, times.count));
  const steps = Math.ceil(decades * POINTS_PER_DECADE);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const tail = 10 ** ((i / steps) * decades);
    return { line: name, tail, milliseconds: Math.max(LEAST, times.at(100 * (1 - 1 / tail))) };
  });
}

/** Latency by percentile as a picture, an SVG document: percentiles spread towards the hundredth, latency by logarithm. */
export async function plotSvg(title: string, lines: readonly PlotLine[]): Promise<string> {
  // Loaded only for this, as they take longer to load than a small index takes to build.
  const [{ compile }, { parse, View }] = await Promise.all([import('vega-lite'), import('vega')]);
  const values = lines.flatMap(linePoints);
  const highest = values.reduce((tail, point) => Math.max(tail, point.tail), 10);
  const ticks = Array.from({ length: Math.floor(Math.log10(highest)) + 1 }, (_, i) => 10 ** i);
  const { spec } = compile({
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title,
    width: 720,
    height: 400,
    background: 'white',
    data: { values },
    mark: { type: 'line', interpolate: 'monotone' },
    encoding: {
      x: {
        field: 'tail',
        type: 'quantitative',
        title: 'percentile',
        scale: { type: 'log', domain: [1, highest] },
        // 1 - 1/tail in decimals would read 99.99999999; rounding keeps one nine per decade.
        axis: { values: ticks, labelExpr: "datum.value <= 1 ? '0 %' : format(100 - 100 / datum.value, '.6~r') + ' %'" },
      },
      y: { field: 'milliseconds', type: 'quantitative', title: 'milliseconds', scale: { type: 'log', nice: true } },
      color: {
        field: 'line',
        type: 'nominal',
        title: null,
        sort: lines.map(({ name }) => name),
        legend: { orient: 'top-left', labelLimit: 0 },
      },
    },
  });
  const view = new View(parse(spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
