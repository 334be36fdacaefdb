export type { LoadOptions } from './artefact.ts';
export { BruteForce } from './brute-force.ts';
export type { CandidateBatch, CandidateDataset } from './candidate-batches.ts';
export { type Batched, type BatchOptions, Dataset, type Elements, type ShuffleOptions } from './dataset.ts';
export { Dense, type DenseOptions } from './dense.ts';
export { Embedding } from './embedding.ts';
export { FactorizedTopK, type FactorizedTopKOptions, type UpdateOptions } from './factorized-top-k.ts';
export type { FeatureColumn, Features, QueryModel } from './features.ts';
export type { IdentifiersInput } from './identifiers.ts';
export { load } from './load.ts';
export type { Batches, FitOptions, History, Logs, TwoTowerModelOptions } from './model-options.ts';
export { loadMovieLens, type Movie, type MovieLens, type Rating } from './movielens.ts';
export { NpyFile, openNpy } from './npy.ts';
export { OnnxQueryModel, type OnnxQueryModelOptions } from './onnx-query-model.ts';
export { Adagrad, type AdagradOptions, Adam, type AdamOptions } from './optimizers.ts';
export type { TrainingProgress } from './progress-bar.ts';
export { BatchTopKAccuracy, Retrieval, type RetrievalOptions } from './retrieval-task.ts';
export { ScaNN, type ScaNNCallOptions, type ScaNNOptions } from './scann.ts';
export { Streaming } from './streaming.ts';
export { StringLookup, type StringLookupOptions } from './string-lookup.ts';
export {
  type CallOptions,
  type PositionsResult,
  type Queries,
  TopK,
  type TopKOptions,
  type TopKResult,
} from './top-k.ts';
export { type FeatureLayers, Tower, type TowerFeature } from './tower.ts';
export type { BatchSelectors, Selector } from './training-batch.ts';
export { TwoTowerModel } from './two-tower-model.ts';
