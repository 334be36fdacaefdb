import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { paretoFrontier } from './frontier.ts';
import { type Report, reportText } from './report.ts';

const LOOK = { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', background: 'white' } as const;

/** Recall against QPS: all settings as points, the frontier as a line. */
export function frontierSpec({ engines, data, k, threads }: Report): TopLevelSpec {
  const points = engines.flatMap(({ name, points }) =>
    points.map(({ knob, recall, qps }) => ({ name, knob, recall, qps })),
  );
  const frontiers = engines.flatMap(({ name, points }) =>
    paretoFrontier(points).map(({ recall, qps }) => ({ name, recall, qps })),
  );
  const encoding = {
    x: { field: 'recall', type: 'quantitative', scale: { zero: false }, title: `recall@${k}` },
    y: { field: 'qps', type: 'quantitative', scale: { type: 'log' }, title: 'queries a second' },
    color: { field: 'name', type: 'nominal', title: 'engine' },
  } as const;
  return {
    ...LOOK,
    title: `${data.name}, ${data.rows.toLocaleString('en')} x ${data.dimensions}, ${data.metric}, ${threads} thread(s)`,
    width: 640,
    height: 400,
    layer: [
      {
        data: { values: frontiers },
        mark: 'line',
        encoding: { ...encoding, order: { field: 'recall', type: 'quantitative' } },
      },
      { data: { values: points }, mark: { type: 'point', filled: true, size: 40 }, encoding },
    ],
  };
}

/** A bar for each engine. */
export function barsSpec(
  report: Report,
  title: string,
  measureOf: (engine: Report['engines'][number]) => number,
): TopLevelSpec {
  const values = report.engines.map((engine) => ({ name: engine.name, value: measureOf(engine) }));
  return {
    ...LOOK,
    width: 320,
    height: { step: 24 },
    data: { values },
    mark: 'bar',
    encoding: {
      x: { field: 'value', type: 'quantitative', title },
      y: { field: 'name', type: 'nominal', title: null, sort: null },
      color: { field: 'name', type: 'nominal', legend: null },
    },
  };
}

/** Draws without a browser or a canvas. */
export async function toSvg(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** The plots by name, as SVG. */
export async function plots(report: Report): Promise<Record<string, string>> {
  return {
    frontier: await toSvg(frontierSpec(report)),
    build: await toSvg(barsSpec(report, 'build, seconds', ({ buildSeconds }) => buildSeconds)),
    memory: await toSvg(barsSpec(report, 'peak memory of the process, MB', ({ peakBytes }) => peakBytes / 1e6)),
    size: await toSvg(barsSpec(report, 'index size, MB', ({ bytes }) => bytes / 1e6)),
  };
}

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/** One page with everything in it, so that it can be opened anywhere. */
export function page(report: Report, drawings: Record<string, string>): string {
  const title = escaped(`scannery bench: ${report.data.name}`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<style>body { font: 16px/1.5 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em } pre { font-size: 13px; overflow-x: auto }</style>
<h1>${title}</h1>
<p>${escaped(report.date)}</p>
${Object.values(drawings).join('\n')}
<pre>${escaped(reportText(report))}</pre>
</html>
`;
}
