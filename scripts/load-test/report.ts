import { megabytes, table } from '../measure.ts';
import type { Usage } from './cpu.ts';
import type { RunResult } from './driver.ts';
import type { Times } from './histogram.ts';
import type { Measured, RampResult, Step } from './ramp.ts';

/** One run, with what this process used meanwhile. */
export interface Run {
  readonly result: RunResult;
  /** Undefined if the run was cut short before anything was measured. */
  readonly usage: Usage | undefined;
  readonly sharedBytes: number | undefined;
  /** The upserts beside the queries, if there were any. */
  readonly writes?: RunResult;
}

export interface RampStep extends Measured {
  readonly run: Run;
}

export interface Objective {
  readonly objective: number;
  readonly percentile: number;
}

/** Of the time, so that the many threads that only wait need no line each. */
const IDLE_CORES = 0.005;

const count = (value: number): string => value.toLocaleString('en');
const perSecond = (rate: number): string =>
  `${rate.toLocaleString('en', { maximumFractionDigits: rate < 100 ? 2 : 0 })}/s`;
const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

/** A time in milliseconds, to three digits. */
function milliseconds(value: number): string {
  if (Number.isNaN(value)) return '-';
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

function timesRow(name: string, times: Times): string[] {
  const percentiles = [50, 90, 99, 99.9].map((percentile) => times.at(percentile));
  return [name, ...[times.mean, ...percentiles, times.max].map(milliseconds)];
}

/** Two columns, both to the left. */
function facts(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

/** One run as text to print. */
export function runReport({ result, usage, sharedBytes, writes }: Run): string {
  const { latency, service, lateness, errors, warmUp } = result;
  const rows: [string, string][] = [
    [
      'rate',
      `wanted ${perSecond(result.rate)}, offered ${perSecond(result.offeredRate)}, achieved ${perSecond(result.achievedRate)}`,
    ],
    [
      'queries',
      `${count(result.arrived)} arrived and ${count(result.answered)} answered in ${(result.duration / 1000).toFixed(1)} s, ` +
        `at most ${count(result.peakOutstanding)} outstanding`,
    ],
  ];
  rows.push(['errors', failuresOf(errors)]);
  if (writes !== undefined) {
    const { achievedRate, answered, dropped, unanswered } = writes;
    const lost = dropped + unanswered > 0 ? `, ${count(dropped + unanswered)} DROPPED OR UNANSWERED` : '';
    const done = `${count(answered)} upserts, achieved ${perSecond(achievedRate)}${lost}`;
    rows.push(['writes', `${done}; errors: ${failuresOf(writes.errors)}`]);
  }
  if (result.dropped > 0) {
    rows.push(['DROPPED', `${count(result.dropped)} arrivals, never sent: too many were outstanding`]);
  }
  if (result.unanswered > 0) {
    rows.push(['UNANSWERED', `${count(result.unanswered)}, counted with their age when the run ended`]);
  }
  if (warmUp.dropped + warmUp.failed > 0) {
    rows.push(['WARM-UP', `${count(warmUp.dropped)} dropped and ${count(warmUp.failed)} failed, beside the above`]);
  }
  const times = [
    ['latency, ms', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'max'],
    timesRow('from when it was due', latency),
    timesRow('from when it was sent', service),
    timesRow('sent late by', lateness),
    ...(writes === undefined ? [] : [timesRow('a write, from when it was due', writes.latency)]),
  ];
  const width = Math.max(...times.map(([name]) => name!.length));
  const parts = [facts(rows), table(times.map(([name, ...cells]) => [name!.padEnd(width), ...cells]))];
  if (usage !== undefined) parts.push(usageReport(usage, result, sharedBytes));
  if (result.interrupted) parts.unshift('INTERRUPTED: this is what was measured until then.');
  return parts.join('\n\n');
}

function failuresOf(errors: RunResult['errors']): string {
  return (
    Object.entries(errors)
      .map(([code, number]) => `${count(number)} x ${code}`)
      .join(', ') || 'none'
  );
}

function usageReport(usage: Usage, { spinning }: RunResult, sharedBytes: number | undefined): string {
  const { eventLoopDelay: delay, eventLoopUtilization, threads, rss } = usage;
  const rows: [string, string][] = [
    [
      'event loop',
      `delay p50 ${milliseconds(delay.p50)}, p99 ${milliseconds(delay.p99)}, max ${milliseconds(delay.max)} ms; ` +
        `utilisation ${percent(eventLoopUtilization)}, of which ${percent(spinning)} waiting for arrivals`,
    ],
    [
      'memory',
      `resident ${megabytes(rss)}${sharedBytes === undefined ? '' : `, shared by the index ${megabytes(sharedBytes)}`}`,
    ],
  ];
  const busy = threads.filter(({ cores }) => cores >= IDLE_CORES);
  const rest = threads.filter(({ cores }) => cores < IDLE_CORES);
  for (const { id, name, cores } of busy)
    rows.push(['cpu', `${percent(cores)} of a core, ${name}${id ? ` ${id}` : ''}`]);
  if (rest.length > 0) {
    const sum = rest.reduce((total, { cores }) => total + cores, 0);
    rows.push(['cpu', `${percent(sum)} of a core, ${rest.length} other threads`]);
  }
  return facts(rows);
}

/** One step of the search for a rate, as a line. */
export function stepLine({ rate, measured, failure }: Step<RampStep>, { percentile }: Objective): string {
  const cells = [
    `${perSecond(rate).padStart(12)}`,
    `achieved ${perSecond(measured.achievedRate)}`.padEnd(21),
    `p${percentile} ${milliseconds(measured.latency)} ms`.padEnd(16),
  ];
  return `${cells.join('  ')}  ${failure === undefined ? 'kept' : `FAILED: ${failure}`}`;
}

export function rampReport(ramp: RampResult<RampStep>, { objective, percentile }: Objective): string {
  const goal = `p${percentile} of at most ${milliseconds(objective)} ms`;
  const found =
    ramp.best === undefined ? `No rate kept a ${goal}` : `Highest rate with a ${goal}: ${perSecond(ramp.best.rate)}`;
  return ramp.complete ? `${found}${ramp.best ? ' (to within 5 %)' : ''}` : `INTERRUPTED: ${found}, so far`;
}

const known = (value: number): number | null => (Number.isFinite(value) ? value : null);

function timesJson(times: Times): Record<string, number | null> {
  return {
    count: times.count,
    mean: known(times.mean),
    p50: known(times.at(50)),
    p90: known(times.at(90)),
    p99: known(times.at(99)),
    'p99.9': known(times.at(99.9)),
    max: known(times.max),
  };
}

/** One run for programs to read: rates a second, times in milliseconds, null where nothing was measured. */
export function runJson({ result, usage, sharedBytes, writes }: Run): Record<string, unknown> {
  return {
    ...resultJson(result),
    usage: usage ?? null,
    sharedBytes: sharedBytes ?? null,
    writes: writes === undefined ? null : resultJson(writes),
  };
}

function resultJson({ latency, service, lateness, ...counts }: RunResult): Record<string, unknown> {
  return { ...counts, latency: timesJson(latency), service: timesJson(service), lateness: timesJson(lateness) };
}

export function rampJson(ramp: RampResult<RampStep>, objective: Objective): Record<string, unknown> {
  return {
    ...objective,
    highestRate: ramp.best?.rate ?? null,
    complete: ramp.complete,
    steps: ramp.steps.map(({ rate, failure, measured }) => ({
      rate,
      failure: failure ?? null,
      ...runJson(measured.run),
    })),
  };
}
