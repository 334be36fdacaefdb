import { access, rm, stat } from 'node:fs/promises';
import type { Argv } from 'yargs';
import { ScanneryError } from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { fileWork, throwIfAborted, UsageError } from '../errors.ts';
import { whole } from '../format.ts';
import { IndexRows } from '../input/index-rows.ts';
import { inputOptions, openInput, takingRows } from '../input/open-input.ts';
import { countOf, type RowChunk, type RowsFile, vectorsOf } from '../input/rows.ts';
import { withIndex } from '../open-index.ts';
import { isCsv, isWhole, lines, type RowWriter, sidePath, type WrittenRow, writerOf } from '../output/row-writers.ts';
import { type CommonArguments, type Session, toJson } from '../session.ts';

export const options = (yargs: Argv<CommonArguments>) =>
  inputOptions(
    yargs
      .positional('input', { type: 'string', demandOption: true, describe: 'A file of vectors, or an index' })
      .positional('output', {
        type: 'string',
        demandOption: true,
        describe: '.npy, .fvecs, .fbin, .jsonl or .csv',
      })
      .options({ force: { type: 'boolean', describe: 'Replace files that exist' } } as const),
  )
    .example('$0 convert vectors.hdf5 vectors.npy --dataset test', '')
    .example('$0 convert my-index items.jsonl', '')
    .epilogue(
      'Formats that hold vectors only have ids and attributes beside them: NAME.ids.jsonl, NAME.attributes.jsonl',
    );

type Arguments = ArgumentsOf<typeof options>;

export async function run(args: Arguments, session: Session): Promise<void> {
  const { input, output } = args;
  writerOf(output);
  const files = isWhole(output) ? [output] : [output, ...sidePaths(output)];
  if (!args.force) {
    for (const path of files) if (await exists(path)) throw new UsageError(`${path} exists; --force replaces it`);
  }
  const isIndex = (await fileWork(input, () => stat(input))).isDirectory();
  const convert = (rows: RowsFile): Promise<Written> => takingRows(rows, () => write(rows, output, session));
  const { rows, paths } = isIndex
    ? await withIndex(input, { readOnly: true, threads: 1, signal: session.signal }, (index) =>
        convert(new IndexRows(input, index)),
      )
    : await convert(await openInput(input, args));
  session.progress.finish();
  await session.answer(
    () => `${paths.join(', ')}: ${whole(rows)} vectors`,
    () => ({ rows, files: paths }),
  );
}

interface Written {
  readonly rows: number;
  readonly paths: readonly string[];
}

async function write(file: RowsFile, output: string, { signal, progress }: Session): Promise<Written> {
  // CSV has its columns in the first line.
  const names = isCsv(output) ? await attributeNames(file, signal) : [];
  const writers = new Map<string, RowWriter>();
  const create = async (path: string, open: () => Promise<RowWriter>): Promise<void> => {
    if (!writers.has(path)) writers.set(path, await open());
  };
  let rows = 0;
  try {
    let dimensions = file.dimensions;
    for await (const chunk of file.chunks()) {
      throwIfAborted(signal);
      const vectors = vectorsOf(chunk, dimensions ?? 0);
      dimensions ??= vectors[0]!.length;
      const shape = { dimensions, hasIds: chunk.ids !== undefined, attributes: names };
      await create(output, () => writerOf(output)(output, shape));
      const [ids, attributes] = sidePaths(output);
      if (!isWhole(output) && shape.hasIds) await create(ids, () => lines(ids, '', ({ id }) => toJson(id)));
      const hasAttributes = chunk.attributes?.some((one) => one !== undefined && one !== null);
      if (!isWhole(output) && hasAttributes && !writers.has(attributes)) {
        await create(attributes, () => lines(attributes, '', (row) => toJson(row.attributes ?? null)));
        // Rows before have none.
        for (let row = 0; row < rows; row++) await writers.get(attributes)!.write([NOTHING]);
      }
      const written = vectors.map((vector, i) => ({
        ...{ vector: checked(vector, rows + i), id: chunk.ids?.[i], attributes: chunk.attributes?.[i] ?? undefined },
      }));
      for (const writer of writers.values()) await writer.write(written);
      rows += countOf(chunk, dimensions);
      progress.update('convert', rows, file.rows);
    }
    if (rows === 0)
      throw new ScanneryError('SCANNERY_INVALID_DATA', `${file.path} has no vectors`, { path: file.path });
    throwIfAborted(signal);
    // What is left of a file that is replaced would be taken for ids and attributes of this one.
    for (const path of isWhole(output) ? [] : sidePaths(output)) {
      if (!writers.has(path)) await rm(path, { force: true });
    }
    // The vectors appear last: where they are, the rest is.
    for (const writer of [...writers.values()].reverse()) await writer.commit();
    return { rows, paths: [...writers.keys()] };
  } catch (error) {
    for (const writer of writers.values()) await writer.discard();
    throw error;
  }
}

/** The files of ids and attributes beside one of vectors. */
const sidePaths = (output: string): [ids: string, attributes: string] => [
  sidePath(output, 'ids'),
  sidePath(output, 'attributes'),
];

const NOTHING: WrittenRow = { vector: [], id: undefined, attributes: undefined };

function checked(vector: ArrayLike<number>, row: number): ArrayLike<number> {
  for (let i = 0; i < vector.length; i++) {
    if (Number.isFinite(Math.fround(vector[i]!))) continue;
    const message = `row ${row} has ${vector[i]} at position ${i}, which is no finite f32`;
    throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { row, value: vector[i] });
  }
  return vector;
}

async function attributeNames(file: RowsFile, signal: AbortSignal): Promise<string[]> {
  const names = new Set<string>();
  for await (const { attributes } of file.chunks() as AsyncIterable<RowChunk>) {
    throwIfAborted(signal);
    for (const row of attributes ?? []) for (const name of Object.keys(row ?? {})) names.add(name);
  }
  return [...names];
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
