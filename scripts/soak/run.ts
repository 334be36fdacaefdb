import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Index } from '../../src/index.ts';
import { megabytes } from '../measure.ts';
import { contentProblems } from './content.ts';
import { Load, type SoakedIndex } from './load.ts';
import { Material } from './material.ts';
import { growthOf, MemoryWatch } from './memory.ts';
import { Model } from './model.ts';
import type { SoakOptions } from './options.ts';
import { memoryLines, progressLine, summary } from './report.ts';
import { Tally } from './tally.ts';

/** Recall that approximate searches must have, over all of them. */
const LEAST_RECALL = 0.85;
/** What may be grown by, as a part of the mean. */
const MOST_GROWTH = 0.1;
/** The heap is small, and how much is kept of the vectors in flight is luck. */
const HEAP_SLACK = 5e6;
const PROGRESS_EVERY = 10_000;
/** Milliseconds that the last calls, and then the closing, may take. */
const PATIENCE = 60_000;
/** So that the log is full now and then, and the index saved because of it. */
const CHECKPOINT_BYTES = 1 << 20;

export interface Soak {
  readonly problems: readonly string[];
  readonly problemCount: number;
  readonly tally: Tally;
}

/** `wrap`: puts something before the index, as a test does that wants to see it found. */
export async function soak(
  { minutes, size, dimensions, threads, seed, concurrency }: SoakOptions,
  print: (line: string) => void,
  wrap: (index: Index) => SoakedIndex = (index) => index,
): Promise<Soak> {
  const directory = await mkdtemp(join(tmpdir(), 'scannery-soak-'));
  const duration = minutes * 60_000;
  const material = new Material({ size, dimensions, seed });
  const tally = new Tally();
  const model = await prepare(directory, material, { size, dimensions, threads, seed });
  const open = (): Promise<Index> =>
    Index.open(directory, { threads, durability: 'interval', checkpointBytes: CHECKPOINT_BYTES });
  const index = await open();
  print(
    `${size} vectors x ${dimensions}, ${index.stats().threads} thread(s), ${concurrency} calls in flight, seed ${seed}`,
  );

  const load = new Load(wrap(index), model, material, tally, { size, concurrency, duration });
  const memory = new MemoryWatch((seconds) => load.firstRebalance !== undefined && 4000 * seconds >= duration);
  const progress = setInterval(() => print(progressLine(tally, model, memory)), PROGRESS_EVERY);
  let isPending = false;
  try {
    isPending = !(await within(load.run(), duration + PATIENCE));
  } finally {
    clearInterval(progress);
    memory.stop();
  }
  const { seconds } = memory;
  if (isPending || tally.pending > 0) tally.wrong(`${tally.pending} calls are pending`);
  else {
    const { log } = index.stats();
    print(`The log was emptied ${log!.checkpoints} times`);
    await compare('at the end', wrap(index), tally, model, material);
    await closed(index, tally);
    const again = await open();
    await compare('opened again', wrap(again), tally, model, material);
    await closed(again, tally);
  }

  for (const line of summary(tally, seconds)) print(line);
  if (tally.recall < LEAST_RECALL) tally.wrong(`the recall is ${tally.recall.toFixed(4)}, below ${LEAST_RECALL}`);
  const warm = Math.max(duration / 4, load.firstRebalance ?? 0) / 1000;
  const growth = growthOf(memory.outside, warm);
  for (const line of memoryLines(memory, growth)) print(line);
  if (growth !== undefined) {
    if (growth.bytes > MOST_GROWTH * growth.mean)
      tally.wrong(`memory outside JavaScript's heap grew by ${megabytes(growth.bytes)}`);
    const { warm = 0, end = 0 } = memory.heapInUse;
    if (end - warm > Math.max(HEAP_SLACK, MOST_GROWTH * warm)) tally.wrong(`the heap grew by ${megabytes(end - warm)}`);
  }
  if (tally.problemCount === 0) rmSync(directory, { recursive: true });
  else print(`The index is left in ${directory}`);
  return { problems: tally.problems, problemCount: tally.problemCount, tally };
}

/** Builds an index and saves it; returns what it holds. */
async function prepare(
  directory: string,
  material: Material,
  { size, dimensions, threads, seed }: Pick<SoakOptions, 'size' | 'dimensions' | 'threads' | 'seed'>,
): Promise<Model> {
  const ids = Array.from({ length: size }, (_, i) => material.nameAt(i));
  const vectors = material.vectors(size);
  const attributes = ids.map(() => material.attributes());
  const model = new Model(dimensions, Math.ceil(1.2 * size));
  model.resolve(model.upsert(ids, vectors, attributes).number);
  // A tree and codes whatever the size, so that a short run of few vectors comes by all there is.
  const options = { dimensions, metric: 'cosine', threads, seed, tree: { spherical: true }, hashing: {} } as const;
  await using index = await Index.build({ ids, vectors, attributes }, options);
  await index.save(directory);
  return model;
}

async function compare(
  when: string,
  index: SoakedIndex,
  tally: Tally,
  model: Model,
  material: Material,
): Promise<void> {
  for (const problem of await contentProblems(index, model, material)) tally.wrong(`${when}: ${problem}`);
}

async function closed(index: Index, tally: Tally): Promise<void> {
  if (!(await within(index.close(), PATIENCE))) tally.wrong('the index does not close');
}

/** Whether something has settled within so many milliseconds. */
async function within(work: Promise<void>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
