import type { BuildOptions, BuildProgress } from '../protocol/options.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import { oneMemoryBytes } from './configure.ts';
import { chunksOf } from './inputs.ts';
import { Staging } from './staging.ts';

/** Takes all that `Index.build` was given into shared memory, chunk by chunk, and checks it. */
export async function ingest(
  input: unknown,
  options: Readonly<BuildOptions>,
  kernels: KernelSource,
  threads: number,
  report: (progress: BuildProgress) => void,
): Promise<Staging> {
  const chunks = chunksOf(input);
  const { hashing, dimensions, metric, signal } = options;
  const staging = new Staging(kernels, {
    dimensions,
    dimensionsPerBlock: hashing === false ? 1 : (hashing?.dimensionsPerBlock ?? 2),
    normalise: metric === 'cosine',
    oneMemoryBytes: oneMemoryBytes(options, threads),
    expected: chunks.expected?.(dimensions),
    signal,
    onProgress: (done) => report({ phase: 'ingest', done, total: chunks.expected?.(dimensions) }),
  });
  for await (const chunk of chunks.iterable) await staging.add(chunk);
  return staging;
}
