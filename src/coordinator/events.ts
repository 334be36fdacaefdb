// What is published by node:diagnostics_channel. Nothing here mentions how the index works inside, so that users compile none of it.

/** Time in kernels, over all threads, in microseconds. */
export interface StageTimes {
  /** Choosing leaves and building look-up tables. */
  prepare: number;
  scan: number;
  reorder: number;
  /** Merging the shards' candidates and sorting the answer. */
  merge: number;
}

/** What every event says of the call that has ended. */
export interface CallEvent {
  /** From the call to its end, waiting included. */
  readonly milliseconds: number;
  /** What the call was rejected with; left out if it succeeded. */
  readonly error?: unknown;
}

/** A `search`, `searchBatch` or `explain` has ended. */
export interface SearchEvent extends CallEvent {
  /** The `Index` that was called. */
  readonly index: object;
  readonly queries: number;
  /** Vectors wanted for each query. */
  readonly k: number;
  /** Of all queries of the call together. */
  readonly stages: Readonly<StageTimes>;
}

/** An `upsert` or `delete` has ended. */
export interface WriteEvent extends CallEvent {
  readonly index: object;
  readonly kind: 'upsert' | 'delete';
  /** Vectors or ids given. */
  readonly rows: number;
}

/** A rebalancing has ended, asked for or not. */
export interface RebalanceEvent extends CallEvent {
  readonly index: object;
}

/** An index with `durability` was saved anew, so that its log could start anew. */
export interface CheckpointEvent extends CallEvent {
  readonly directory: string;
}

/** A worker thread died, and all threads of its index were replaced; with an error, they could not be. */
export interface WorkerRestartEvent extends CallEvent {
  /** Threads of the index. */
  readonly threads: number;
}

/** The channels of `node:diagnostics_channel` that this package publishes to, and their messages. */
export interface DiagnosticsEvents {
  'scannery:search': SearchEvent;
  'scannery:write': WriteEvent;
  'scannery:rebalance': RebalanceEvent;
  'scannery:checkpoint': CheckpointEvent;
  'scannery:worker-restart': WorkerRestartEvent;
}
