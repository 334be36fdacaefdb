import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { type Report, reportText } from './report.ts';

const LOOK = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  background: 'white',
  padding: 12,
  // Names for screen readers on every mark would make up most of the file.
  config: { aria: false, title: { anchor: 'start', subtitleColor: '#555' }, axis: { gridColor: '#e4e4e4' } },
} as const;

/** An engine has its colour in all plots, whoever else takes part. */
const COLOURS: Readonly<Record<string, string>> = {
  scannery: '#d1242f',
  'scannery-tuned': '#7d1a24',
  hnswlib: '#1f6feb',
  usearch: '#0a8f6c',
  'lancedb-ivf-pq': '#a8660a',
  'lancedb-hnsw-sq': '#e0a030',
  'faiss-node': '#9aa0a6',
  scann: '#8250df',
  'faiss-cpu': '#57606a',
};
const RECALLS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999];
/** Recalls beyond are drawn there, as a logarithm has no place for nothing missed. */
const HIGHEST = 0.999;
const STEPS = [1, 2, 5];

const missed = (recall: number): number => 1 - Math.min(recall, HIGHEST);

/** 1, 2 and 5 times the powers of ten, two or more, from at most the least value to at least the greatest. */
export function logTicks(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (!(least > 0 && Number.isFinite(most))) return [1, 10];
  const first = Math.floor(Math.log10(least));
  const ticks: number[] = [];
  for (let i = 0; ticks.length < 2 || ticks.at(-1)! < most; i++) {
    const tick = STEPS[i % STEPS.length]! * 10 ** (first + Math.floor(i / STEPS.length));
    // Of those that are at most the least value, only the last.
    if (tick <= least) ticks.length = 0;
    ticks.push(tick);
  }
  return ticks;
}

function colours({ engines }: Report) {
  const names = engines.map(({ name }) => name);
  return { sort: names, scale: { domain: names, range: names.map((name) => COLOURS[name] ?? '#888') } };
}

function titleOf({ data, machine, threads, rounds }: Report) {
  const { name, rows, dimensions, metric } = data;
  return {
    text: `${name}: ${rows.toLocaleString('en')} x ${dimensions}, ${metric}`,
    subtitle: `${machine.cpu}, ${threads === 1 ? 'one thread' : `${threads} threads`}, ${rounds === 1 ? 'one round' : `medians of ${rounds} rounds`}`,
  };
}

/**
 * Recall against QPS: all settings as points, pale where another setting beats them, and the frontier as a line. Recall is
 * spread towards 1, as there the engines differ and there they are used.
 */
export function frontierSpec(report: Report): TopLevelSpec {
  const { engines, k } = report;
  const points = engines.flatMap(({ name, points, frontier }) =>
    points.map(({ knob, recall, qps }) => ({ name, missed: missed(recall), qps, best: frontier.includes(knob) })),
  );
  const lines = points.filter(({ best }) => best);
  const most = Math.max(0.1, ...points.map((point) => point.missed));
  const ticks = logTicks(points.map(({ qps }) => qps));
  const encoding = {
    x: {
      field: 'missed',
      type: 'quantitative',
      title: `recall@${k}`,
      scale: { type: 'log', domain: [most, 1 - HIGHEST] as number[], nice: false, padding: 8 },
      axis: {
        values: RECALLS.map(missed),
        labelExpr: `format(1 - datum.value, '.3~f') + (datum.value < ${1.01 * (1 - HIGHEST)} ? '+' : '')`,
      },
    },
    y: {
      field: 'qps',
      type: 'quantitative',
      title: 'queries a second',
      scale: { type: 'log', domain: [ticks[0]!, ticks.at(-1)!] as number[], nice: false },
      axis: { values: ticks, format: ',' },
    },
    color: { field: 'name', type: 'nominal', title: null, ...colours(report) },
  } as const;
  return {
    ...LOOK,
    title: titleOf(report),
    width: 640,
    height: 400,
    layer: [
      {
        data: { values: lines },
        mark: { type: 'line', strokeWidth: 2 },
        encoding: { ...encoding, order: { field: 'qps', type: 'quantitative' } },
      },
      {
        data: { values: points },
        mark: { type: 'point', filled: true, size: 55 },
        encoding: {
          ...encoding,
          shape: { field: 'name', type: 'nominal', title: null, sort: colours(report).sort },
          opacity: { condition: { test: 'datum.best', value: 1 }, value: 0.3 },
        },
      },
    ],
  };
}

/**
 * A bar for each engine, with its value.
 *
 * @param reference a value to compare with, drawn as a dashed line
 */
export function barsSpec(
  report: Report,
  title: string,
  measureOf: (engine: Report['engines'][number]) => number,
  reference?: number,
): TopLevelSpec {
  const values = report.engines.map((engine) => ({ name: engine.name, value: measureOf(engine) }));
  const { sort, scale } = colours(report);
  const x = { field: 'value', type: 'quantitative', title } as const;
  const y = { field: 'name', type: 'nominal', title: null, sort, axis: { grid: false } } as const;
  return {
    ...LOOK,
    title: titleOf(report),
    width: 480,
    height: { step: 26 },
    layer: [
      {
        data: { values },
        mark: 'bar',
        encoding: { x, y, color: { field: 'name', type: 'nominal', legend: null, scale } },
      },
      {
        data: { values },
        mark: { type: 'text', align: 'left', dx: 4 },
        encoding: { x, y, text: { field: 'value', type: 'quantitative', format: ',.3~r' } },
      },
      {
        data: { values: reference === undefined ? [] : [{ value: reference }] },
        mark: { type: 'rule', strokeDash: [4, 3] },
        encoding: { x },
      },
    ],
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
  const vectors = (report.data.rows * report.data.dimensions * 4) / 1e6;
  const [memory, size] = ['peak memory of the process', 'index size'].map((of) => `${of}, MB (dashed: the vectors)`);
  return {
    'recall-qps': await toSvg(frontierSpec(report)),
    build: await toSvg(barsSpec(report, 'build, seconds', ({ buildSeconds }) => buildSeconds)),
    memory: await toSvg(barsSpec(report, memory!, ({ peakBytes }) => peakBytes / 1e6, vectors)),
    size: await toSvg(barsSpec(report, size!, ({ bytes }) => bytes / 1e6, vectors)),
  };
}

/** Writes each plot as `<prefix><name>.svg`. */
export function writePlots(folder: string, prefix: string, drawings: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, svg] of Object.entries(drawings)) writeFileSync(join(folder, `${prefix}${name}.svg`), `${svg}\n`);
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
