export { NpyFile, openNpy } from '../io/npy.ts';
export { type Batched, type BatchOptions, Dataset, type Elements, type ShuffleOptions } from './data/dataset.ts';
export { loadMovieLens, type Movie, type MovieLens, type Rating } from './data/movielens.ts';
export type { LoadOptions } from './layers/artefact.ts';
export { BruteForce } from './layers/brute-force.ts';
export type { CandidateBatch, CandidateDataset } from './layers/candidate-batches.ts';
export { FactorizedTopK, type FactorizedTopKOptions, type UpdateOptions } from './layers/factorized-top-k.ts';
export type { IdentifiersInput } from './layers/identifiers.ts';
export { load } from './layers/load.ts';
export { ScaNN, type ScaNNCallOptions, type ScaNNOptions } from './layers/scann.ts';
export { Streaming } from './layers/streaming.ts';
export {
  type CallOptions,
  type PositionsResult,
  type Queries,
  TopK,
  type TopKOptions,
  type TopKResult,
} from './layers/top-k.ts';
export { Dense, type DenseOptions } from './model/dense.ts';
export { Embedding } from './model/embedding.ts';
export type { FeatureColumn, Features, QueryModel } from './model/features.ts';
export type {
  Batches,
  CompileOptions,
  FitOptions,
  History,
  Logs,
  TwoTowerModelOptions,
} from './model/model-options.ts';
export { OnnxQueryModel, type OnnxQueryModelOptions } from './model/onnx-query-model.ts';
export { Adagrad, type AdagradOptions, Adam, type AdamOptions } from './model/optimizers.ts';
export type { TrainingProgress } from './model/progress-bar.ts';
export {
  BatchTopKAccuracy,
  type BatchTopKAccuracyOptions,
  Retrieval,
  type RetrievalOptions,
} from './model/retrieval-task.ts';
export { StringLookup, type StringLookupOptions } from './model/string-lookup.ts';
export { type FeatureLayers, Tower, type TowerFeature } from './model/tower.ts';
export type { BatchSelectors, Selector } from './model/training-batch.ts';
export { TwoTowerModel } from './model/two-tower-model.ts';
