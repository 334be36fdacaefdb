import { useMemo, useState } from 'preact/hooks';
import { Chart } from '../chart.tsx';
import { bytes, percent, short } from '../format.ts';
import { Panel } from '../panel.tsx';
import type { Point } from '../readings.ts';

type Measure = Exclude<keyof Point, 'time'>;

interface ChartSpec {
  readonly title: string;
  readonly note: string;
  readonly lines: readonly { readonly name: string; readonly of: Measure; readonly colour: string }[];
  readonly format: (value: number) => string;
  readonly fromZero: boolean;
  readonly steps?: number[];
  /** What to say as long as there is nothing to draw. */
  readonly nothing?: string;
}

const milliseconds = (value: number): string => `${short(value)} ms`;

const CHARTS: readonly ChartSpec[] = [
  {
    title: 'Queries per second',
    note: 'answered by the index',
    lines: [{ name: 'QPS', of: 'queriesPerSecond', colour: '--series-1' }],
    format: short,
    fromZero: true,
  },
  {
    title: 'Latency',
    note: 'of search requests in the server, over 10 s',
    lines: [
      { name: 'p50', of: 'p50', colour: '--series-1' },
      { name: 'p90', of: 'p90', colour: '--series-2' },
      { name: 'p99', of: 'p99', colour: '--series-3' },
    ],
    format: milliseconds,
    fromZero: true,
  },
  {
    title: 'Live recall',
    note: 'sampled queries against exact search',
    lines: [{ name: 'recall', of: 'recall', colour: '--series-2' }],
    format: percent,
    fromZero: false,
    nothing:
      'Nothing sampled yet. The server samples searches by vector, without filter, if its option recallSampling is above 0.',
  },
  {
    title: 'Memory',
    note: 'of the index, and of the whole process',
    lines: [
      { name: 'index', of: 'indexBytes', colour: '--series-1' },
      { name: 'process', of: 'processBytes', colour: '--series-2' },
    ],
    format: bytes,
    fromZero: true,
    steps: Array.from({ length: 45 }, (_, i) => 2 ** i),
  },
];

export function LivePanel({ points }: { points: readonly Point[] }) {
  return (
    <Panel id="live" title="Live" note="The last five minutes, asked for every two seconds while this page is seen">
      <div class="charts">
        {CHARTS.map((spec) => (
          <LiveChart key={spec.title} spec={spec} points={points} />
        ))}
      </div>
    </Panel>
  );
}

function LiveChart({ spec, points }: { spec: ChartSpec; points: readonly Point[] }) {
  const { title, note, lines, format, fromZero, steps, nothing } = spec;
  const [cursor, setCursor] = useState<number | null>(null);
  const times = useMemo(() => points.map(({ time }) => time), [points]);
  const series = useMemo(
    () => lines.map(({ name, of, colour }) => ({ name, colour, values: points.map((point) => point[of]) })),
    [lines, points],
  );
  const count = series[0]!.values.filter((value) => value !== null).length;
  const at = (cursor !== null && points[cursor]) || points.at(-1);
  return (
    <figure class="live" data-points={count}>
      <figcaption>
        <h3>{title}</h3>
        <p class="muted">{note}</p>
        <ul class="legend">
          {lines.map(({ name, of, colour }) => (
            <li key={name}>
              <span class={`swatch ${colour.slice(2)}`} /> {name} <strong>{shown(at?.[of], format)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      {count === 0 && nothing !== undefined ? (
        <p class="empty">{nothing}</p>
      ) : (
        <Chart {...{ times, series, format, fromZero, ...(steps && { steps }) }} onCursor={setCursor} />
      )}
    </figure>
  );
}

const shown = (value: number | null | undefined, format: (value: number) => string): string =>
  value === null || value === undefined ? '–' : format(value);
