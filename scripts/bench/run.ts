import { median, quantile } from '../measure.ts';
import { distance, recallOf } from './recall.ts';
import { RowReader, readQueries } from './rows.ts';
import type { Truth } from './truth.ts';
import type { DataFiles, EngineResult, Point, Runner, Turn } from './types.ts';

export interface RunOptions {
  readonly k: number;
  readonly rounds: number;
  readonly latencyQueries: number;
  readonly say: (line: string) => void;
}

/** Mean recall over the queries, and the distance of each found row read from the data, not believed. */
export function recallOfAll(data: DataFiles, truth: Truth, found: readonly Int32Array[]): number {
  const { dimensions, metric, queries: count } = data;
  if (found.length !== count) throw new Error(`${found.length} answers to ${count} queries.`);
  const queries = readQueries(data);
  const reader = new RowReader(data);
  try {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const query = queries.subarray(i * dimensions, (i + 1) * dimensions);
      const expected = truth.distances.subarray(i * truth.k, (i + 1) * truth.k);
      sum += recallOf(expected, found[i]!, (row) => distance(metric, query, reader.row(row)));
    }
    return sum / count;
  } finally {
    reader.close();
  }
}

interface Samples {
  readonly knob: string;
  recall: number;
  readonly qps: number[];
  readonly p50: number[];
  readonly p99: number[];
}

/**
 * Measures all engines in turns: every round takes the first setting of each engine, then the second of each, and so on, so
 * that what the machine does meanwhile falls on all of them. Round 0 warms up and gives the recall.
 */
export async function run(
  runners: readonly Runner[],
  data: DataFiles,
  truth: Truth,
  options: RunOptions,
): Promise<EngineResult[]> {
  const { k, rounds, latencyQueries, say } = options;
  const taking = new Map<Runner, Samples[]>();
  for (const runner of runners) {
    const samples = runner.knobs.map((knob) => ({ knob, recall: Number.NaN, qps: [], p50: [], p99: [] }));
    taking.set(runner, samples);
  }
  for (let round = 0; round <= rounds; round++) {
    const most = Math.max(0, ...Array.from(taking.keys(), ({ knobs }) => knobs.length));
    for (let i = 0; i < most; i++) {
      for (const [runner, all] of taking) {
        const samples = all[i];
        if (samples === undefined) continue;
        const turn: Turn = { k, latencyQueries, wantRows: round === 0 };
        try {
          const { qps, latencies, rows } = await runner.measure(samples.knob, turn);
          if (round === 0) {
            samples.recall = recallOfAll(data, truth, rows ?? []);
            continue;
          }
          samples.qps.push(qps);
          samples.p50.push(quantile(latencies, 0.5));
          samples.p99.push(quantile(latencies, 0.99));
        } catch (error) {
          say(`${runner.name} drops out at '${samples.knob}': ${error instanceof Error ? error.message : error}`);
          taking.delete(runner);
        }
      }
    }
    say(round === 0 ? 'warmed up' : `round ${round} of ${rounds}`);
  }
  return Array.from(taking, ([{ name, version, buildSeconds, bytes, peakBytes }, all]) => ({
    ...{ name, version, buildSeconds, bytes, peakBytes },
    points: all.map(
      ({ knob, recall, qps, p50, p99 }): Point => ({
        ...{ knob, recall },
        ...{ qps: median(qps), p50: median(p50), p99: median(p99), rounds: qps },
      }),
    ),
  }));
}
