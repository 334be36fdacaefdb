export type {
  CallEvent,
  CheckpointEvent,
  DiagnosticsEvents,
  RebalanceEvent,
  SearchEvent,
  StageTimes,
  WorkerRestartEvent,
  WriteEvent,
} from './coordinator/events.ts';
export { type SavedFileInfo, type SavedFiles, type SavedFilesOptions, savedFiles } from './coordinator/saved-files.ts';
export type {
  DeleteResult,
  Explanation,
  FrontierPoint,
  Id,
  IndexConfig,
  IndexHealth,
  IndexStats,
  LogStats,
  Query,
  QueryBatch,
  QueryCounters,
  RefreshResult,
  RepairResult,
  SearchResult,
  StoredVector,
  TuneResult,
  UpsertInput,
  UpsertResult,
  VectorChunk,
  VectorsInput,
} from './coordinator/types.ts';
export { Index } from './coordinator/vector-index.ts';
export { ERROR_CODES, type ErrorCode, ScanneryError, WARNING_CODES, type WarningCode } from './protocol/errors.ts';
export type { Attributes, AttributeValue, Crowding, Filter, FilterValues, Range } from './protocol/filter.ts';
export type { Durability, OpenOptions, ReadOptions, RebalanceOptions, WriteOptions } from './protocol/live-options.ts';
export { METRICS, type Metric } from './protocol/metrics.ts';
export type {
  BuildOptions,
  BuildProgress,
  HashingOptions,
  RecallOptions,
  ReorderingOptions,
  SearchDefaults,
  SearchOptions,
  TreeOptions,
  TuneOptions,
} from './protocol/options.ts';
export type { KernelTier } from './shard/kernels/kernels.ts';
