import { megabytes, table } from '../measure.ts';
import { paretoFrontier, qpsAtRecall } from './frontier.ts';
import type { Machine } from './machine.ts';
import type { DataFiles, EngineResult } from './types.ts';

export const TARGETS = [0.9, 0.95, 0.99] as const;
export const OURS = 'scannery';

export interface Setting {
  readonly command: string;
  readonly date: string;
  readonly machine: Machine;
  readonly data: Omit<DataFiles, 'vectorsFile' | 'queriesFile'>;
  readonly k: number;
  readonly threads: number;
  readonly rounds: number;
}

export interface AtRecall {
  readonly recall: number;
  /** Undefined where the engine does not come so far. */
  readonly qps: number | undefined;
  /** Times ours. */
  readonly ratio: number | undefined;
}

export interface Report extends Setting {
  readonly engines: readonly (EngineResult & {
    readonly frontier: readonly string[];
    readonly at: readonly AtRecall[];
  })[];
  /** Engines that did not take part, and why. */
  readonly leftOut: readonly string[];
}

/** Adds to each engine's points its frontier and its speed at the recalls people ask for. */
export function makeReport(setting: Setting, results: readonly EngineResult[], leftOut: readonly string[]): Report {
  const ours = results.find(({ name }) => name === OURS);
  const engines = results.map((result) => ({
    ...result,
    frontier: paretoFrontier(result.points).map(({ knob }) => knob),
    at: TARGETS.map((recall): AtRecall => {
      const qps = qpsAtRecall(result.points, recall);
      const ourQps = ours && qpsAtRecall(ours.points, recall);
      return { recall, qps, ratio: qps !== undefined && ourQps !== undefined ? qps / ourQps : undefined };
    }),
  }));
  return { ...setting, engines, leftOut };
}

const whole = (number: number): string => Math.round(number).toLocaleString('en');

/** The report in plain text. */
export function reportText(report: Report): string {
  const { data, machine, engines, k, threads, rounds, leftOut } = report;
  const vectorBytes = data.rows * data.dimensions * 4;
  const points = [
    ['engine', 'setting', `recall@${k}`, 'QPS', 'p50 us', 'p99 us', 'on the frontier'],
    ...engines.flatMap(({ name, points, frontier }) =>
      points.map(({ knob, recall, qps, p50, p99 }) => [
        ...[name, knob, recall.toFixed(4), whole(qps), whole(p50), whole(p99)],
        frontier.includes(knob) ? 'yes' : '',
      ]),
    ),
  ];
  const costs = [
    ['engine', 'version', 'build s', 'peak memory', 'times the vectors', 'index size', 'times the vectors'],
    ...engines.map(({ name, version, buildSeconds, peakBytes, bytes }) => [
      ...[name, version, buildSeconds.toFixed(1)],
      ...[peakBytes, bytes].flatMap((size) => [megabytes(size), (size / vectorBytes).toFixed(2)]),
    ]),
  ];
  const targets = [
    ['engine', ...TARGETS.map((recall) => `QPS at ${recall}`), ...TARGETS.map((recall) => `x ours at ${recall}`)],
    ...engines.map(({ name, at }) => [
      name,
      ...at.map(({ qps }) => (qps === undefined ? 'not reached' : whole(qps))),
      ...at.map(({ ratio }) => (ratio === undefined ? '' : ratio.toFixed(2))),
    ]),
  ];
  return [
    `${data.name}: ${whole(data.rows)} vectors x ${data.dimensions}, ${data.metric}, ${whole(data.queries)} queries, k = ${k}`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.platform}, Node ${machine.node}; ${threads} thread(s), ${rounds} rounds`,
    ...data.notes,
    '',
    table(points),
    '',
    table(costs),
    '',
    table(targets),
    '(QPS: all queries at once; microseconds: single queries, one at a time; medians over rounds. Between two settings of the',
    'frontier log QPS is taken to be linear in recall. Peak memory: the most that the whole process of the engine had resident',
    `until its index was built and saved, the runtime included; the vectors are ${megabytes(vectorBytes)}.)`,
    ...leftOut,
    '',
    `$ ${report.command}`,
  ].join('\n');
}
