import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { WINDOW_SECONDS } from './readings.ts';
import { colourOf, onTheme } from './theme.ts';

/** A line of a chart; null: a gap. */
export interface Series {
  readonly name: string;
  /** A colour of the style sheet. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  times: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  /** Whether the axis begins at 0. */
  fromZero: boolean;
  /** Steps between the marks of the axis. Default: round numbers. */
  steps?: number[];
  /** The point under the pointer, or null. */
  onCursor: (at: number | null) => void;
}

const HEIGHT = 110;
/** Seconds that are shown at the least. */
const SHORTEST = 60;

/** Lines over the last minutes. What it shows is in text beside it, so it is hidden from screen readers. */
export function Chart({ times, series, format, fromZero, steps, onCursor }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef(onCursor);
  latest.current = onCursor;
  const look = series.map(({ name, colour }) => `${name} ${colour}`).join();

  useEffect(() => {
    const options = optionsOf({ series, fromZero, format, steps }, (at) => latest.current(at));
    const made = new uPlot(
      { ...options, width: place.current!.clientWidth || 300, height: HEIGHT },
      [[]],
      place.current!,
    );
    plot.current = made;
    const resized = new ResizeObserver(([entry]) => made.setSize({ width: entry!.contentRect.width, height: HEIGHT }));
    resized.observe(place.current!);
    const forget = onTheme(() => made.redraw());
    return () => {
      forget();
      resized.disconnect();
      made.destroy();
    };
  }, [look, fromZero, format, steps]);

  useEffect(() => {
    plot.current?.setData([[...times], ...series.map(({ values }) => [...values])]);
  }, [times, series]);

  return <div ref={place} class="chart" aria-hidden="true" />;
}

function optionsOf(
  { series, fromZero, format, steps }: Pick<ChartProps, 'series' | 'fromZero' | 'format' | 'steps'>,
  onCursor: (at: number | null) => void,
): Omit<uPlot.Options, 'width' | 'height'> {
  const axis: uPlot.Axis = {
    stroke: () => colourOf('--muted'),
    grid: { stroke: () => colourOf('--grid'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
    gap: 4,
  };
  const range = (_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax => {
    const [least, most] = [low ?? 0, high ?? 1];
    if (fromZero) return [0, most > 0 ? most * 1.15 : 1];
    const room = Math.max((most - least) * 0.2, Math.abs(most) * 0.002, 1e-6);
    return [least - room, most + room];
  };
  return {
    legend: { show: false },
    padding: [6, 26, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true, range: (_, oldest, newest) => timeRange(oldest, newest ?? Date.now() / 1000) },
      y: { range },
    },
    axes: [
      { ...axis, size: 22, space: 70, values: (_, marks) => marks.map(clock) },
      { ...axis, size: 58, space: 26, incrs: steps, values: (_, marks) => marks.map((mark) => format(mark)) },
    ],
    series: [
      {},
      ...series.map(({ name, colour }) => ({
        label: name,
        stroke: () => colourOf(colour),
        width: 1.5,
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? null)] },
  };
}

function timeRange(oldest: number | null, newest: number): uPlot.Range.MinMax {
  return [Math.max(newest - WINDOW_SECONDS, Math.min(oldest ?? newest, newest - SHORTEST)), newest];
}

const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const clock = (seconds: number): string => TIME.format(seconds * 1000);
