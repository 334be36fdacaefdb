import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DiagnosticsEvents, Index, IndexStats, RebalanceEvent, SearchEvent, WriteEvent } from '../index.ts';
import type { Admission } from './admission.ts';
import { DurationHistogram } from './duration-histogram.ts';
import type { ModelStore } from './models/store.ts';

const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const STAGE_SECONDS = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1];
const STAGES = ['prepare', 'scan', 'reorder', 'merge'] as const;

type Listener = [channel: keyof DiagnosticsEvents, listener: (message: unknown) => void];

/** A server's own registry of what it and its index do. */
export class Metrics {
  readonly registry = new Registry();
  readonly #index: Index | null;
  readonly #requests: DurationHistogram;
  readonly #recall: Gauge;
  readonly #recallSamples: Counter;
  readonly #listeners: readonly Listener[];

  constructor(index: Index | null, models: ModelStore | undefined, queries: Admission, writes: Admission) {
    this.#index = index;
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#requests = this.#durations('scannery_http_request_duration_seconds', 'Time from a request to its answer.');
    this.#recall = new Gauge({
      name: 'scannery_recall_estimate',
      help: 'Recall of sampled live queries against exact search, as a moving average.',
      registers,
    });
    this.#recallSamples = new Counter({
      name: 'scannery_recall_samples_total',
      help: 'Live queries whose recall was measured.',
      registers,
    });
    this.#ofAdmission('queries', queries);
    this.#ofAdmission('writes', writes);
    if (index !== null) this.#ofStats(index);
    if (models !== undefined) this.#ofModels(models);
    this.#listeners = index === null ? [] : this.#listen();
    for (const [name, listener] of this.#listeners) subscribe(name, listener);
  }

  /** What notes requests to a route, once they are answered. */
  requests(route: string): (method: string, status: number, milliseconds: number) => void {
    const noted = new Map<number, Map<string, (seconds: number) => void>>();
    return (method, status, milliseconds) => {
      let note = noted.get(status)?.get(method);
      if (note === undefined) {
        note = this.#requests.series({ method, route, status: String(status) });
        noted.set(status, (noted.get(status) ?? new Map()).set(method, note));
      }
      note(milliseconds / 1000);
    };
  }

  recall(estimate: number): void {
    this.#recall.set(estimate);
    this.#recallSamples.inc();
  }

  close(): void {
    for (const [name, listener] of this.#listeners) unsubscribe(name, listener);
    this.registry.clear();
  }

  #ofAdmission(noun: string, admission: Admission): void {
    this.#gauge(`scannery_http_${noun}_in_flight`, `Of requests: ${noun} in flight.`, () => admission.inFlight);
    this.#counter(`scannery_http_${noun}_rejected_total`, `Turned away: ${noun} beyond what is let in.`, () => {
      return admission.rejected;
    });
  }

  #ofStats(index: Index): void {
    const gauges: [string, string, (stats: IndexStats) => number | undefined][] = [
      ['scannery_queries_in_flight', 'Queries that the index is answering.', ({ queries }) => queries.inFlight],
      ['scannery_calls_waiting', 'Calls that wait for room in the index.', ({ queries }) => queries.waitingCalls],
      ['scannery_vectors', 'Vectors that searches find.', ({ size }) => size],
      ['scannery_vectors_deleted', 'Deleted vectors that still take room.', ({ deleted }) => deleted],
      ['scannery_memory_bytes', 'Shared memory of shards, model and requests.', ({ bytes }) => bytes],
      ['scannery_shards', 'Shards.', ({ shards }) => shards.length],
      ['scannery_shard_skew', 'Vectors of the largest shard, over the mean.', skew],
      ['scannery_log_bytes', 'Bytes of writes since the last checkpoint.', ({ log }) => log?.bytes],
    ];
    const counters: [string, string, (stats: IndexStats) => number | undefined][] = [
      ['scannery_queries_total', 'Queries answered.', ({ queries }) => queries.completed],
      ['scannery_kernel_seconds_total', 'Time in kernels.', ({ queries }) => queries.kernelMicroseconds / 1e6],
      ['scannery_codes_scanned_total', 'Codes scanned.', ({ queries }) => queries.codesScanned],
      ['scannery_queries_retried_total', 'Queries started afresh.', ({ queries }) => queries.retried],
      ['scannery_worker_restarts_total', 'Threads started in place of dead ones.', (stats) => stats.workerRestarts],
      ['scannery_checkpoints_total', 'Times that the log started anew.', ({ log }) => log?.checkpoints],
    ];
    // Of a closed index there is nothing to read.
    const reader = (of: (stats: IndexStats) => number | undefined) => (): number | undefined => {
      try {
        return of(index.stats());
      } catch {
        return undefined;
      }
    };
    for (const [name, help, read] of gauges) this.#gauge(name, help, reader(read));
    for (const [name, help, read] of counters) this.#counter(name, help, reader(read));
  }

  #ofModels(models: ModelStore): void {
    const registers = [this.registry];
    new Gauge({
      ...{ name: 'scannery_model_version', help: 'The version of a model that is served, 0 if none is.', registers },
      labelNames: ['model'],
      collect() {
        for (const model of models.names) this.labels({ model }).set(models.versionOf(model) ?? 0);
      },
    });
  }

  #gauge(name: string, help: string, read: () => number | undefined): void {
    const registers = [this.registry];
    new Gauge({
      ...{ name, help, registers },
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  /** A count that is kept elsewhere. */
  #counter(name: string, help: string, read: () => number | undefined): void {
    const registers = [this.registry];
    new Counter({
      ...{ name, help, registers },
      collect() {
        this.reset();
        this.inc(read() ?? 0);
      },
    });
  }

  #durations(name: string, help: string, bounds: readonly number[] = SECONDS): DurationHistogram {
    return new DurationHistogram(name, help, bounds, this.registry);
  }

  #listen(): Listener[] {
    const registers = [this.registry];
    const [searches, stages, writes] = [
      this.#durations('scannery_search_duration_seconds', 'Time of a search in the index, waiting included.'),
      this.#durations('scannery_stage_seconds', 'Time in kernels per query, by stage.', STAGE_SECONDS),
      this.#durations('scannery_write_duration_seconds', 'Time of a write or rebalancing.'),
    ];
    const noteSearch = searches.series({});
    const noteStages = STAGES.map((stage) => [stage, stages.series({ stage })] as const);
    const failed = new Counter({ name: 'scannery_searches_failed_total', help: 'Searches that failed.', registers });
    const noteWrites = new Map<string, (seconds: number) => void>();
    const write = (kind: string, { index, milliseconds, error }: WriteEvent | RebalanceEvent): void => {
      if (index !== this.#index) return;
      const outcome = error === undefined ? 'ok' : 'error';
      const note = noteWrites.get(`${kind} ${outcome}`) ?? writes.series({ kind, outcome });
      noteWrites.set(`${kind} ${outcome}`, note);
      note(milliseconds / 1000);
    };
    const search = ({ index, queries, milliseconds, error, stages: times }: SearchEvent): void => {
      if (index !== this.#index) return;
      if (error !== undefined) {
        failed.inc();
        return;
      }
      noteSearch(milliseconds / 1000);
      for (const [stage, note] of noteStages) note(times[stage] / queries / 1e6);
    };
    return [
      ['scannery:search', (message) => search(message as SearchEvent)],
      ['scannery:write', (message) => write((message as WriteEvent).kind, message as WriteEvent)],
      ['scannery:rebalance', (message) => write('rebalance', message as RebalanceEvent)],
    ];
  }
}

function skew({ shards, size, deleted }: IndexStats): number {
  const mean = (size + deleted) / shards.length;
  return mean === 0 ? 1 : Math.max(...shards.map((shard) => shard.size)) / mean;
}
