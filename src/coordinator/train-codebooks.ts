import type { ResolvedHashing } from '../protocol/options.ts';
import { align } from '../shard/arena.ts';
import type { Centroids, TrainingContext } from './train-tree.ts';
import type { TrainingSet } from './training-set.ts';

const ROWS_PER_CHUNK = 4096;

/**
 * Trains one codebook of 16 centres per block of dimensions, on what the centroids leave of the training rows. The rows in
 * the set become residuals. Returns f32 [blocks][dimensionsPerBlock][16].
 */
export async function trainCodebooks(
  set: TrainingSet,
  centroids: Centroids,
  blocks: number,
  options: ResolvedHashing,
  seed: number,
  { threads, kernels, signal, onProgress }: TrainingContext,
): Promise<Float32Array> {
  const { memory, rows, stride, leaves, mean } = set;
  const dimensionsPerBlock = options.dimensionsPerBlock!;
  const count = Math.min(set.count, options.trainingSampleSize!);
  await threads.runPhase(
    {
      ...{ kind: 'residual', kernels, chunks: Math.ceil(count / ROWS_PER_CHUNK), rowsPerChunk: ROWS_PER_CHUNK, memory },
      ...{ rows, count, stride, leaves, centroids: centroids.pointer, mean },
    },
    { signal },
  );
  const length = blocks * dimensionsPerBlock * 16;
  const codebooks = set.allocate(length * 4);
  const scratchBytes = align(16 * (dimensionsPerBlock + 1) * 8 + count * dimensionsPerBlock * 4);
  await threads.runPhase(
    {
      ...{
        kind: 'codebook',
        kernels,
        chunks: blocks,
        memory,
        rows,
        count,
        stride,
        dimensionsPerBlock,
        seed,
        codebooks,
      },
      ...{ iterations: options.trainingIterations!, scratch: set.allocate(scratchBytes * threads.count), scratchBytes },
    },
    { signal, onProgress: (done) => onProgress(done, blocks) },
  );
  return set.copyOut(codebooks, length);
}
