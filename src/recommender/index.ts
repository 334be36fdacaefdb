export type { FeatureColumn, Features, QueryModel } from './features.ts';
export { OnnxQueryModel, type OnnxQueryModelOptions } from './onnx-query-model.ts';
