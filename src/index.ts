export type { Id, SearchResult } from './coordinator/call.ts';
export type { IndexConfig } from './coordinator/configure.ts';
export type { QueryCounters } from './coordinator/dispatcher.ts';
export type { Query, QueryBatch } from './coordinator/inputs.ts';
export type { VectorChunk, VectorsInput } from './coordinator/staging.ts';
export type { IndexStats } from './coordinator/stats.ts';
export { Index } from './coordinator/vector-index.ts';
export { ERROR_CODES, type ErrorCode, ScanneryError } from './protocol/errors.ts';
export { METRICS, type Metric } from './protocol/metrics.ts';
export type {
  BuildOptions,
  BuildProgress,
  HashingOptions,
  OpenOptions,
  ReorderingOptions,
  SearchDefaults,
  SearchOptions,
  TreeOptions,
} from './protocol/options.ts';
export type { KernelTier } from './shard/kernels/kernels.ts';
