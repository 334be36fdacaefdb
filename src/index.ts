export type {
  Id,
  IndexConfig,
  IndexStats,
  Query,
  QueryBatch,
  QueryCounters,
  SearchResult,
  VectorChunk,
  VectorsInput,
} from './coordinator/types.ts';
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
