import { readdir } from 'node:fs/promises';
import type { Argv } from 'yargs';
import {
  type BuildOptions,
  type Id,
  Index,
  METRICS,
  ScanneryError,
  savedFiles,
  type TreeOptions,
  type VectorChunk,
} from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { throwIfAborted, UsageError } from '../errors.ts';
import { size, whole } from '../format.ts';
import { inputOptions, openInput, takingRows } from '../input/open-input.ts';
import type { RowsFile } from '../input/rows.ts';
import type { CommonArguments, Session } from '../session.ts';

const number = { type: 'number', requiresArg: true } as const;
const REORDERING = ['float32', 'bfloat16', 'int8', 'none'] as const;

export const options = (yargs: Argv<CommonArguments>) =>
  inputOptions(
    yargs
      .positional('input', {
        type: 'string',
        demandOption: true,
        describe: '.npy, .fvecs, .bvecs, .fbin, .u8bin, .i8bin, .hdf5, .jsonl or .csv',
      })
      .options({
        output: { type: 'string', demandOption: true, requiresArg: true, describe: 'The directory of the index' },
        force: { type: 'boolean', describe: 'Replace what is there' },
        metric: { choices: METRICS, default: 'dot_product' as const, describe: 'How vectors are compared' },
        k: { ...number, describe: 'Results of a search that does not say' },
        'target-recall': { ...number, describe: 'Choose the search defaults for this recall' },
        threads: { ...number, describe: 'Worker threads; as many as cores by default' },
        shards: { ...number, describe: 'Parts that threads search side by side' },
        seed: { ...number, describe: 'Seed of everything random' },
        tree: { type: 'boolean', describe: '--no-tree: no partitions; by size otherwise' },
        'num-leaves': { ...number, describe: 'Partitions of the tree' },
        'soar-lambda': { ...number, describe: 'SOAR: each vector in two partitions; 1 to 1.5 is usual' },
        spherical: { type: 'boolean', describe: 'Keep centroids at norm 1' },
        hashing: { type: 'boolean', describe: '--no-hashing: no codes; by size otherwise' },
        'dimensions-per-block': { ...number, describe: 'Dimensions that share a code' },
        reordering: { choices: REORDERING, describe: 'How vectors are kept for exact scores' },
      } as const)
      .group(['output', 'force', 'metric', 'k', 'target-recall', 'threads', 'shards', 'seed'], 'Options:')
      .group(
        ['tree', 'num-leaves', 'soar-lambda', 'spherical', 'hashing', 'dimensions-per-block', 'reordering'],
        'Method:',
      ),
  )
    .example('$0 build vectors.npy --output my-index --metric cosine', '')
    .example('$0 build vectors.fvecs --ids ids.txt --attributes attributes.jsonl --output my-index', '')
    .example('$0 build items.jsonl --output my-index', '')
    .example('$0 build items.csv --attribute-columns year,title:text --output my-index', '')
    .epilogue('A line of .jsonl: {"id": "a", "vector": [0.1, 0.2], "attributes": {"year": 2001}}');

type Arguments = ArgumentsOf<typeof options>;

export async function run(args: Arguments, session: Session): Promise<void> {
  const { output, force } = args;
  if (!force) await refuseExisting(output);
  const input = await openInput(args.input, args);
  const startedAt = performance.now();
  let firstId: Id = 0;
  async function* chunks(): AsyncGenerator<VectorChunk> {
    let isFirst = true;
    for await (const chunk of input.chunks()) {
      if (isFirst) firstId = chunk.ids?.[0] ?? 0;
      isFirst = false;
      yield chunk;
    }
    if (isFirst) throw new ScanneryError('SCANNERY_INVALID_DATA', `${input.path} has no vectors`, { path: input.path });
  }
  const index = await takingRows(input, () => Index.build(chunks(), buildOptions(args, input, session)));
  try {
    throwIfAborted(session.signal);
    session.progress.update('save', 0);
    await index.save(output);
    session.progress.finish();
    const seconds = (performance.now() - startedAt) / 1000;
    const { dimensions, metric, config } = index.stats();
    const bytes = (await savedFiles(output)).files.reduce((sum, file) => sum + file.bytes, 0);
    await session.answer(
      () =>
        `${output}: ${whole(index.size)} vectors of ${dimensions} dimensions, ${metric}, ${size(bytes)}, in ${seconds.toFixed(1)} s`,
      () => ({ directory: output, size: index.size, dimensions, metric, bytes, seconds, config }),
    );
    session.note(`next: scannery search ${quoted(output)} --id ${quoted(`${firstId}`)}`);
  } finally {
    await index.close();
  }
}

function buildOptions(args: Arguments, { dimensions, rows }: RowsFile, { signal, progress }: Session): BuildOptions {
  const { metric, k, targetRecall, threads, shards, seed, reordering } = args;
  return {
    ...{ dimensions, metric, targetRecall, threads, shards, seed, signal },
    ...{ tree: treeOf(args), hashing: hashingOf(args) },
    reordering: reordering === 'none' ? false : reordering && { vectors: reordering },
    defaults: k === undefined ? undefined : { k },
    onProgress: ({ phase, done, total }) =>
      progress.update(phase, done, total ?? (phase === 'ingest' ? rows : undefined)),
  };
}

function treeOf({ tree, numLeaves, soarLambda, spherical }: Arguments): TreeOptions | false | undefined {
  const given = { numLeaves, soarLambda, spherical };
  const some = Object.values(given).some((value) => value !== undefined);
  if (tree === false && some)
    throw new UsageError('--no-tree goes with none of --num-leaves, --soar-lambda, --spherical');
  return tree === false ? false : some || tree ? given : undefined;
}

function hashingOf({ hashing, dimensionsPerBlock }: Arguments): BuildOptions['hashing'] {
  if (hashing === false && dimensionsPerBlock !== undefined) {
    throw new UsageError('--no-hashing goes without --dimensions-per-block');
  }
  return hashing === false ? false : dimensionsPerBlock !== undefined || hashing ? { dimensionsPerBlock } : undefined;
}

/** Before anything is built: a directory with something in it needs --force. */
async function refuseExisting(directory: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    if (code === 'ENOTDIR') throw new UsageError(`${directory} is a file; name a directory in --output`);
    throw new ScanneryError('SCANNERY_IO', `${directory}: ${(error as Error).message}`, {
      path: directory,
      cause: error,
    });
  }
  if (names.length === 0) return;
  const what = names.includes('CURRENT') ? 'holds an index already' : 'is not empty';
  throw new UsageError(`${directory} ${what}; --force puts the new index there`);
}

const quoted = (word: string): string => (/^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
