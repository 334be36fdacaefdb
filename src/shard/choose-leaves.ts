import type { LeafTables } from '../protocol/messages.ts';
import type { Kernels } from './kernels/kernels.ts';
import type { Views } from './views.ts';

/** What rows are assigned to leaves by. */
export interface LeafChoice {
  readonly stride: number;
  readonly leafTables: LeafTables;
  /** The centroids of `leafTables` as f32 [numLeaves x stride]; only spilling reads them. */
  readonly centroids: number;
  /** SOAR's lambda, or null when each row has one leaf. */
  readonly soarLambda: number | null;
}

/** Leaves of the rows, into `leaves`; those that they are spilled to into `others`, unless that is 0. */
export function chooseLeaves(
  { leafTables, stride, centroids, soarLambda }: LeafChoice,
  kernels: Kernels,
  { u32 }: Views,
  rows: number,
  count: number,
  leaves: number,
  others: number,
  scratch: number,
): void {
  const { numLeaves, panels, offsets } = leafTables;
  if (numLeaves === 1) {
    u32.fill(0, leaves >>> 2, (leaves >>> 2) + count);
  } else if (others === 0) {
    kernels.assignRows(rows, count, stride, panels, offsets, numLeaves, leaves, scratch);
  } else {
    kernels.spillRows(
      ...([rows, count, stride, panels, offsets, numLeaves, centroids, soarLambda!, leaves, others, scratch] as const),
    );
  }
}
