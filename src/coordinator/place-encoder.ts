import {
  ENCODER,
  ENCODER_BYTES,
  ENCODER_CENTROIDS,
  ENCODER_LAMBDA,
  ENCODER_OFFSETS,
  ENCODER_PANELS,
  ENCODER_WEIGHT,
} from '../protocol/control-layout.ts';
import { MODEL_CENTROIDS, MODEL_MEAN } from '../protocol/shard-layout.ts';
import { allocate } from '../shard/arena.ts';
import { bindKernels, type KernelSource } from '../shard/kernels/load.ts';
import { Views } from '../shard/views.ts';
import type { IndexData } from './build.ts';
import { lossWeight, soarLambdaOf } from './configure.ts';
import { allocateLeafTables, packLeafTables } from './leaf-tables.ts';

/** Lays what encoding needs into the control memory, unless no vector has lanes. Takes time by the number of leaves. */
export function placeEncoder(data: IndexData, kernels: KernelSource): void {
  const { control, model, numLeaves, stride, config, metric, dimensions } = data;
  const views = new Views(control);
  if (model === 0) return;
  const encoder = allocate(control, ENCODER_BYTES);
  const centroids = allocate(control, numLeaves * stride * 4);
  const tables = allocateLeafTables(control, numLeaves, stride);
  const { f32, i32, u32 } = views.refresh();
  const centred = u32[(model + MODEL_CENTROIDS) >>> 2]! >>> 2;
  const mean = u32[(model + MODEL_MEAN) >>> 2]! >>> 2;
  for (let i = 0; i < numLeaves * stride; i++) {
    f32[(centroids >>> 2) + i] = f32[centred + i]! + f32[mean + (i % stride)]!;
  }
  packLeafTables(bindKernels(kernels, control), tables, centroids, stride);
  u32[(encoder + ENCODER_CENTROIDS) >>> 2] = centroids;
  u32[(encoder + ENCODER_PANELS) >>> 2] = tables.panels;
  u32[(encoder + ENCODER_OFFSETS) >>> 2] = tables.offsets;
  f32[(encoder + ENCODER_LAMBDA) >>> 2] = soarLambdaOf(config, numLeaves) ?? 0;
  f32[(encoder + ENCODER_WEIGHT) >>> 2] = lossWeight(config.hashing, metric, dimensions);
  Atomics.store(i32, ENCODER, encoder | 0);
}
