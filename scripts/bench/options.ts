import { parseArgs } from 'node:util';
import { METRICS, type Metric } from '../../src/index.ts';
import { DATA_SETS, type DataSetName } from './data.ts';
import { ENGINE_NAMES } from './engines/index.ts';

export const USAGE = `npm run bench -- [options]      recall and queries a second, beside peers in the same run

  --dataset NAME       ${DATA_SETS.join(', ')} (glove)
  --metric NAME        ${METRICS.join(', ')} (the data set's own)
  --rows N             vectors of the clustered set (100000); of other sets, no more than that many
  --dimensions N       numbers per vector of the clustered set (100)
  --queries N          held-out queries, at the most (1000)
  --k N                neighbours (10)
  --engines A,B        ${ENGINE_NAMES.join(', ')} (all that are installed)
  --tuned JSON         build options of a second index of ours, 'scannery-tuned' (none)
  --sweep A=x,y        settings of an engine in place of its own; may be repeated
  --threads N          threads of every engine (1)
  --rounds N           measured rounds, after one to warm up (5)
  --latency-queries N  queries of each turn that are asked one at a time (200)
  --limit N            seconds that an engine may take to build, or for one turn (7200)
  --out DIR            where the reports go (.cache/bench/reports/NAME)
  --plots DIR          where the plots go as well, as NAME-recall-qps.svg and so on (docs/benchmarks for those of the docs)
  --setup-python       install Google's ScaNN and faiss into .cache/bench-venv, and stop

Peers are installed by: npm ci --prefix scripts/bench/peers`;

export interface Options {
  readonly dataset: DataSetName;
  readonly metric: Metric | undefined;
  readonly rows: number | undefined;
  readonly dimensions: number | undefined;
  readonly queries: number;
  readonly k: number;
  readonly engines: readonly string[];
  /** Build options as JSON. */
  readonly tuned: string | undefined;
  readonly sweeps: ReadonlyMap<string, readonly string[]>;
  readonly threads: number;
  readonly rounds: number;
  readonly latencyQueries: number;
  readonly limit: number;
  readonly out: string | undefined;
  readonly plots: string | undefined;
  readonly setUpPython: boolean;
  readonly help: boolean;
}

function oneOf<T extends string>(option: string, value: string, names: readonly T[]): T {
  const name = names.find((known) => known === value);
  if (name === undefined) throw new RangeError(`--${option} must be one of ${names.join(', ')}, not '${value}'.`);
  return name;
}

function whole(option: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new RangeError(`--${option} must be a whole number of at least 1, not '${value}'.`);
  return number;
}

function jsonObject(option: string, value: string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Told below.
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new RangeError(`--${option} must be a JSON object, not '${value}'.`);
  return value;
}

export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      dataset: { type: 'string', default: 'glove' },
      metric: { type: 'string' },
      rows: { type: 'string' },
      dimensions: { type: 'string' },
      queries: { type: 'string', default: '1000' },
      k: { type: 'string', default: '10' },
      engines: { type: 'string' },
      tuned: { type: 'string' },
      sweep: { type: 'string', multiple: true, default: [] },
      threads: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '5' },
      'latency-queries': { type: 'string', default: '200' },
      limit: { type: 'string', default: '7200' },
      out: { type: 'string' },
      plots: { type: 'string' },
      'setup-python': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const sweeps = values.sweep.map((sweep): [string, string[]] => {
    const [name, knobs] = sweep.split('=');
    if (!knobs) throw new RangeError(`--sweep must be like hnswlib=20,40, not '${sweep}'.`);
    return [oneOf('sweep', name!, ENGINE_NAMES), knobs.split(',')];
  });
  return {
    dataset: oneOf('dataset', values.dataset, DATA_SETS),
    metric: values.metric === undefined ? undefined : oneOf('metric', values.metric, METRICS),
    rows: values.rows === undefined ? undefined : whole('rows', values.rows),
    dimensions: values.dimensions === undefined ? undefined : whole('dimensions', values.dimensions),
    queries: whole('queries', values.queries),
    k: whole('k', values.k),
    engines:
      values.engines?.split(',').map((name) => oneOf('engines', name, ENGINE_NAMES)) ??
      ENGINE_NAMES.filter((name) => name !== 'scannery-tuned' || values.tuned !== undefined),
    tuned: values.tuned === undefined ? undefined : jsonObject('tuned', values.tuned),
    sweeps: new Map(sweeps),
    threads: whole('threads', values.threads),
    rounds: whole('rounds', values.rounds),
    latencyQueries: whole('latency-queries', values['latency-queries']),
    limit: whole('limit', values.limit),
    out: values.out,
    plots: values.plots,
    setUpPython: values['setup-python'],
    help: values.help,
  };
}
