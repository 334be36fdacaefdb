import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Index, type Metric, type OpenOptions } from '../../src/index.ts';
import { Random } from '../../test/support/random.ts';
import { CONFIGS, clustered } from '../../test/support/vectors.ts';
import { contentOf, type Operation, perform, type Rows } from './content.ts';

// A short run of a writer, which comes by every kind of file operation that there is.

const DIMENSIONS = 6;
const SIZE = 60;
const METRIC: Metric = 'squared_l2';
/** The long ids alone are more. */
const OPTIONS: OpenOptions = { threads: 1, durability: 'always', checkpointBytes: 1_000_000 };

/** What the directory is before: just saved, or with a log that ends in a write that was never finished. */
export type Start = 'saved' | 'unfinished';
export const STARTS: readonly Start[] = ['saved', 'unfinished'];

const random = new Random(11);
const upsert = (ids: readonly (string | number)[]): Operation => {
  return { kind: 'upsert', ids, vectors: random.normals(ids.length, DIMENSIONS) };
};
/** Each is a frame of its own, and all together are more than is written at once. */
const longIds = Array.from({ length: 12 }, (_, i) => `${i} ${'long '.repeat(20_000)}`);

/** Calls; those of a group are made at once. */
const WORKLOADS: Record<Start, readonly (readonly Operation[])[]> = {
  saved: [[upsert(['id 3', 70])]],
  unfinished: [
    [upsert(['id 0', 'id 1', 80])],
    [{ kind: 'delete', ids: ['id 5', 80, 'unknown'] }, upsert(['id 5', 81]), { kind: 'delete', ids: ['id 6'] }],
    [{ kind: 'save' }],
    [upsert(['id 7', 82])],
    [upsert(longIds)],
    [{ kind: 'delete', ids: [longIds[3]!, 'id 9'] }],
    [upsert([83, 'id 9']), upsert(['id 9', 81])],
  ],
};

export const groupsOf = (start: Start): readonly (readonly Operation[])[] => WORKLOADS[start];

/** Makes the directory that a workload starts with; returns its content. */
export async function prepare(directory: string, start: Start): Promise<Rows> {
  const { vectors } = clustered(SIZE, DIMENSIONS, 4);
  const ids = Array.from({ length: SIZE }, (_, i) => (i % 4 === 2 ? i : `id ${i}`));
  const { tree, hashing } = CONFIGS['tree and hashing'];
  const options = { dimensions: DIMENSIONS, metric: METRIC, tree, hashing, threads: 1, shards: 2 };
  await using index = await Index.build({ ids, vectors }, options);
  await index.save(directory);
  if (start === 'saved') return await contentOf(index);
  await using writer = await openForWorkload(directory);
  await writer.upsert({ ids: ['id 0', 90], vectors: new Random(2).normals(2, DIMENSIONS) });
  await writer.delete(['id 2', 'id 3']);
  const rows = await contentOf(writer);
  await writer.close();
  const [generation] = readdirSync(directory).filter((name) => name.startsWith('generation-'));
  appendFileSync(join(directory, generation!, 'log.scannery'), 'SLOG and the beginning of a frame');
  return rows;
}

export function openForWorkload(directory: string): Promise<Index> {
  return Index.open(directory, OPTIONS);
}

/** Who is told of every operation of a workload, by its number. */
export interface Listener {
  readonly submitted: (number: number) => void;
  readonly acknowledged: (number: number) => void;
}

/** Opens a directory, makes all calls and closes it. */
export async function runWorkload(directory: string, start: Start, listener: Listener): Promise<void> {
  const index = await openForWorkload(directory);
  let number = 0;
  for (const group of groupsOf(start)) {
    await Promise.all(
      group.map(async (operation) => {
        const own = number++;
        listener.submitted(own);
        await perform(index, operation);
        listener.acknowledged(own);
      }),
    );
  }
  await index.close();
}
