import type { Metric } from '../../src/index.ts';

/** A set to index, as files that every engine's process reads for itself: rows of float32 in this machine's byte order. */
export interface DataFiles {
  readonly name: string;
  readonly metric: Metric;
  readonly dimensions: number;
  readonly rows: number;
  readonly queries: number;
  /** f32 [rows x dimensions] */
  readonly vectorsFile: string;
  /** f32 [queries x dimensions] */
  readonly queriesFile: string;
  readonly notes: readonly string[];
}

export interface BuildParams {
  readonly threads: number;
  readonly k: number;
  /** An empty directory, for what an engine wants to save. */
  readonly directory: string;
}

/** What one turn yields. Rows are absent unless asked for. */
export interface Measurement {
  /** Queries a second, all queries given at once. */
  readonly qps: number;
  /** Microseconds of single queries, one at a time. */
  readonly latencies: readonly number[];
  /** The rows found, one list per query. */
  readonly rows?: readonly Int32Array[] | undefined;
}

/** Queries to measure with: all for throughput, the first `latencyQueries` one at a time. */
export interface Turn {
  readonly k: number;
  readonly latencyQueries: number;
  readonly wantRows: boolean;
}

/** An index that is ready to answer. */
export interface Built {
  readonly buildSeconds: number;
  /** Size of the saved index or, where it cannot be saved, of its memory. */
  readonly bytes: number;
  /** Settings worth measuring, from fast to thorough. */
  readonly knobs: readonly string[];
  setKnob(value: string): void | Promise<void>;
  /** The rows nearest to each query, best first. */
  search(queries: Float32Array, k: number): Promise<Int32Array[]>;
  /** Measures by itself, where calling it from here would measure the bridge. */
  measure?(turn: Turn): Promise<Measurement>;
  /** Peak resident memory, where it is another process than the one that built. */
  readonly peakBytes?: number | undefined;
  close(): Promise<void>;
}

export interface Engine {
  readonly name: string;
  /** The peer's package version. */
  readonly version: string;
  /** Environment that the engine's process is to start with. */
  environment?(threads: number): Record<string, string>;
  /** Has threads that no setting limits, so once built it is kept to as many processors as it may have threads. */
  readonly confine?: boolean;
  build(data: DataFiles, params: BuildParams): Promise<Built>;
}

/** An engine that takes part in a run, in this process or another. */
export interface Runner {
  readonly name: string;
  readonly version: string;
  readonly buildSeconds: number;
  readonly bytes: number;
  readonly peakBytes: number;
  readonly knobs: readonly string[];
  measure(knob: string, turn: Turn): Promise<Measurement>;
  close(): Promise<void>;
}

export interface Point {
  readonly knob: string;
  readonly recall: number;
  /** Medians over rounds: of queries a second, and of microseconds of single queries. */
  readonly qps: number;
  readonly p50: number;
  readonly p99: number;
  /** Queries a second of each round. */
  readonly rounds: readonly number[];
}

export interface EngineResult {
  readonly name: string;
  readonly version: string;
  readonly buildSeconds: number;
  readonly bytes: number;
  readonly peakBytes: number;
  readonly points: readonly Point[];
}
