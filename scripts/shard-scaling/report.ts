import { table } from '../measure.ts';
import { type Costs, STAGES } from './costs.ts';
import type { Interval } from './least-squares.ts';
import type { Plan, Range } from './planner.ts';
import type { Measurement, SweepResult } from './sweep.ts';
import type { UslOutcome } from './usl.ts';

const whole = (value: number): string => Math.round(value).toLocaleString('en');
function short(value: number): string {
  if (!Number.isFinite(value)) return 'none';
  return value >= 1000 ? whole(value) : String(Number(value.toPrecision(3)));
}
const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
const ms = (value: number): string => value.toFixed(value < 10 ? 3 : 1);

function measurementRow({
  shards,
  threads,
  mode,
  size,
  median,
  interval,
  p50,
  p99,
  efficiency,
}: Measurement): string[] {
  return [
    ...[shards, threads].map(String),
    mode === 'batch' ? `batch of ${size}` : `${size} in flight`,
    whole(median),
    interval ? `${whole(interval.low)} to ${whole(interval.high)}` : '-',
    ms(p50),
    p99 === undefined ? '-' : ms(p99),
    efficiency === undefined ? '-' : efficiency.toFixed(2),
  ];
}

export function sweepReport({ dataset, options, measurements, ...result }: SweepResult): string {
  const lines = [
    `${dataset.name}: ${whole(dataset.rows)} vectors x ${dataset.dimensions}, cosine, kernels '${result.kernels}', Node ${process.versions.node}`,
    `${result.numLeaves} leaves, ${result.leavesToSearch} searched, ${result.candidates} candidates; recall@${options.k} ` +
      `${result.recall.toFixed(4)} over ${options.recallQueries} queries, the same with every number of shards and threads`,
    '',
    table([
      ['shards', 'threads', 'load', 'QPS', '95 % of the median', 'p50 ms', 'p99 ms', 'efficiency'],
      ...measurements.map(measurementRow),
    ]),
    `(medians of ${options.rounds} rounds; times are of a call, a whole batch where there is one; p99 from 100 calls on; efficiency:`,
    ' throughput over threads times that of one thread with one shard, within a round)',
  ];
  if (measurements.some(({ interval }) => interval === undefined))
    lines.push('No intervals: they need at least 3 rounds.');
  if (measurements.every(({ efficiency }) => efficiency === undefined))
    lines.push('No efficiency: it needs 1 among --shards and 1 among --threads.');
  return lines.join('\n');
}

export function lawReport(title: string, outcome: UslOutcome): string {
  if ('refused' in outcome) return `${title}: ${outcome.refused}`;
  const { fit } = outcome;
  const row = (name: string, value: number, interval: Interval | undefined): string[] => [
    name,
    short(value),
    interval ? `${short(interval.low)} to ${short(interval.high)}` : '-',
  ];
  return [
    `${title}: C(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))`,
    table([
      ['', 'fitted', '95 % interval'],
      row('lambda', fit.lambda, fit.intervals?.lambda),
      row('sigma', fit.sigma, fit.intervals?.sigma),
      row('kappa', fit.kappa, fit.intervals?.kappa),
      row('N at peak', fit.peak, fit.intervals?.peak),
    ]),
    `(medians lie within ${(100 * fit.worstResidual).toFixed(1)} % of the curve; a peak of 'none': kappa is 0, throughput never falls)`,
    ...fit.notes.map((note) => `Note: ${note}.`),
  ].join('\n');
}

const UNITS = {
  query: 'per query',
  unit: 'per unit (shard)',
  route: 'per centroid-dimension',
  scan: 'per code byte',
  reorder: 'per candidate',
} as const;

export function costsReport(costs: Costs): string {
  return [
    `Costs of one thread (${costs.source}):`,
    table([
      ['', 'nanoseconds', '95 % interval'],
      ...STAGES.map((stage) => {
        const { value, low, high } = costs.stages[stage];
        return [UNITS[stage], short(value * 1e3), `${short(low * 1e3)} to ${short(high * 1e3)}`];
      }),
      ['caller and queue, per query', short(costs.callerMicroseconds * 1e3), '-'],
    ]),
    `(half of the samples lie within ${(100 * costs.residual).toFixed(1)} % of the fit; the leaves searched hold ${costs.skew.toFixed(2)} times the ` +
      'average number of vectors)',
  ].join('\n');
}

export function planReport(plan: Plan): string {
  const { input, memory } = plan;
  const range = ({ best, expected, worst }: Range, show: (value: number) => string): string =>
    `${show(expected)} (best ${show(best)}, worst ${show(worst)})`;
  const rows: [string, string][] = [
    ['wanted', `${whole(input.n)} x ${input.d}, recall ${input.recall}, ${whole(input.qps)} QPS`],
    ['machine', `${input.cores} cores, ${input.memoryGb} GiB`],
    ['machines', range(plan.machines, whole)],
    [
      'of which',
      `${plan.partitions} partition(s) of ${whole(plan.vectorsPerMachine)} vectors x ${plan.replicas} replica(s)`,
    ],
    ['leaves', `${whole(plan.leaves)}, ${whole(plan.leavesToSearch)} searched`],
    ['candidates', whole(plan.candidates)],
    ['shards, threads', `${plan.shards}, ${plan.threads}`],
    [
      'memory of one',
      `${gib(memory.total)}: vectors ${gib(memory.vectors)}, codes ${gib(memory.codes)}, locals ${gib(memory.locals)}, ` +
        `centroids ${gib(memory.centroids)}`,
    ],
    ['QPS of one', `${range(plan.qpsPerMachine, whole)}, flat out`],
    ['latency, mean', `${range(plan.latencyMs, ms)} ms, at the planned load`],
    [
      'kernels, per query',
      `${STAGES.map((stage) => `${stage} ${whole(plan.stages[stage])}`).join(', ')} us of one thread`,
    ],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`),
    '',
    'Assumptions:',
    ...plan.assumptions.map((line) => `- ${line}`),
  ].join('\n');
}
