import type { LeafTables } from '../protocol/messages.ts';
import { align, allocate } from '../shard/arena.ts';
import type { Kernels } from '../shard/kernels/kernels.ts';
import { lanesBytes } from '../shard/staged-rows.ts';

/** Rows whose scores the assigning kernels hold at once. */
const ASSIGN_TILE = 16;

const widthOf = (numLeaves: number): number => Math.ceil(numLeaves / 8) * 8;

/** Bytes of scratch that each worker needs to assign rows to leaves, or to spill them. */
export function assignScratchBytes(numLeaves: number, stride: number): number {
  return align((ASSIGN_TILE * widthOf(numLeaves) + stride) * 4);
}

/** Bytes of scratch that each worker needs to encode `rows` rows at a time: see EncodeTask. */
export function encodeScratchBytes(
  numLeaves: number,
  stride: number,
  blocks: number,
  rows: number,
  spills: boolean,
): number {
  const lanes = lanesBytes(rows, Math.ceil(blocks / 2)) * (spills ? 2 : 1);
  return lanes + encoderScratchBytes({ numLeaves, stride, subspaces: blocks });
}

/** Bytes of scratch for choosing leaves and then, in the same place, codes. */
export function encoderScratchBytes(shape: {
  readonly numLeaves: number;
  readonly stride: number;
  readonly subspaces: number;
}): number {
  return Math.max(assignScratchBytes(shape.numLeaves, shape.stride), align(shape.subspaces * 132 + 64));
}

/** Room for the packed centroids of up to `numLeaves` leaves. */
export function allocateLeafTables(memory: WebAssembly.Memory, numLeaves: number, stride: number): LeafTables {
  const width = widthOf(numLeaves);
  return { numLeaves, panels: allocate(memory, width * stride * 4), offsets: allocate(memory, width * 4) };
}

/** Packs centroids f32 [numLeaves x stride], of the same memory, for assignment. */
export function packLeafTables(kernels: Kernels, tables: LeafTables, centroids: number, stride: number): void {
  kernels.packCentroids(centroids, tables.numLeaves, stride, tables.panels, tables.offsets);
}
