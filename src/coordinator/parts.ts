import { type ReadOptions, resolveReadOptions } from '../protocol/live-options.ts';
import { type BuildOptions, LOWEST_PRIORITY } from '../protocol/options.ts';
import { chooseTier, type KernelSource, loadKernels } from '../shard/kernels/load.ts';
import { applyChange, mergeUpserts } from './apply.ts';
import { buildIndex, type IndexData } from './build.ts';
import type { CompanionName, OpenedWith } from './companion.ts';
import { Contents } from './contents.ts';
import { ingest } from './ingest.ts';
import { type Opened, openIndexAndCompanion } from './open.ts';
import { Serving } from './serving.ts';
import type { StoredState } from './store.ts';
import { defaultThreads, Threads, throwIfAborted } from './threads.ts';

/** Staging memory of at most this size may stay with the threads that built the index; starting others would take longer. */
const KEEP_STAGED_BYTES = 1 << 25;

/** What an open index consists of. */
export interface Parts {
  readonly data: IndexData;
  readonly contents: Contents;
  readonly serving: Serving;
  readonly threads: Threads;
  readonly kernels: KernelSource;
  readonly maxInFlight: number;
}

/**
 * Builds an index from what `Index.build` was given, and starts serving it. `backgroundThreads`: so many threads build, which give
 * way to all others, instead of those that serve.
 */
export async function buildParts(
  input: unknown,
  options: Readonly<BuildOptions>,
  backgroundThreads?: number,
): Promise<Parts> {
  const kernels = loadKernels(chooseTier());
  const count = options.threads ?? defaultThreads();
  const report = options.onProgress ?? (() => {});
  const staging = await ingest(input, options, kernels, count, report);
  const priority = options.threadPriority!;
  const threads =
    backgroundThreads === undefined ? new Threads(count, priority) : new Threads(backgroundThreads, LOWEST_PRIORITY);
  const context = { threads, kernels, options, report };
  if (staging.bytes <= KEEP_STAGED_BYTES && backgroundThreads === undefined) {
    return startParts(threads, kernels, options.maxInFlight!, () => buildIndex(staging, context));
  }
  // Threads in their serving loop would hold on to the staging memory; let others serve.
  let data: IndexData;
  try {
    data = await buildIndex(staging, context);
  } finally {
    await threads.destroy();
  }
  return startParts(new Threads(count, priority), kernels, options.maxInFlight!, async () => data);
}

/** An index as it was opened, and how far that went. */
export interface OpenedParts {
  readonly parts: Parts;
  readonly state: StoredState;
}

/** Starts serving an index that `read` reads, with what was written since it was saved. */
export async function openParts(
  options: Readonly<ReadOptions>,
  read: (kernels: KernelSource) => Promise<Opened>,
): Promise<OpenedParts> {
  throwIfAborted(options.signal);
  const kernels = loadKernels(chooseTier());
  // The threads start while the files are read.
  const threads = new Threads(options.threads ?? defaultThreads(), options.threadPriority);
  let opened: Opened | undefined;
  try {
    let parts = await startParts(threads, kernels, options.maxInFlight!, async () => {
      opened = await read(kernels);
      return opened.data;
    });
    const { generation, log } = opened!;
    if (log === null) return { parts, state: { generation, log } };
    try {
      for await (const change of mergeUpserts(log.reader.changes(log.scan))) {
        throwIfAborted(options.signal);
        ({ parts } = await applyChange(parts, change));
      }
    } catch (error) {
      await parts.serving.stop();
      throw error;
    }
    return { parts, state: { generation, log: log.scan } };
  } finally {
    await opened?.log?.reader.close();
  }
}

/** As `openParts`, with the companion that was saved beside the index. */
export async function openPartsWith(
  directory: string,
  options: ReadOptions,
  companion: CompanionName,
): Promise<Omit<OpenedWith, 'index'> & { index: Parts }> {
  let beside: Omit<OpenedWith, 'index'>;
  const resolved = resolveReadOptions(options);
  const { parts } = await openParts(resolved, async (kernels) => {
    const { opened, ...rest } = await openIndexAndCompanion(directory, kernels, resolved, companion);
    beside = rest;
    return opened;
  });
  return { index: parts, ...beside! };
}

/** Starts serving what `make` makes; if either fails, the threads are ended. */
async function startParts(
  threads: Threads,
  kernels: KernelSource,
  maxInFlight: number,
  make: () => Promise<IndexData>,
): Promise<Parts> {
  try {
    const data = await make();
    const serving = await Serving.start(data, threads, kernels, maxInFlight);
    return { data, contents: new Contents({ data, serving, kernels }), serving, threads, kernels, maxInFlight };
  } catch (error) {
    await threads.destroy();
    throw error;
  }
}
