import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type ErrorCode, ScanneryError } from '../../index.ts';
import { openVectors, type VectorFile } from '../../io/index.ts';
import { fileWork, inputWork, UsageError } from '../errors.ts';
import { CsvRows } from './csv-rows.ts';
import { JsonRows } from './json-rows.ts';
import type { RowChunk, RowsFile } from './rows.ts';
import { attributesFile, idsFile, WithSideFiles } from './side-files.ts';
import { parseAttributeColumns } from './values.ts';

const text = { type: 'string', requiresArg: true } as const;

/** Options that say how a file of vectors is read. */
export const inputOptions = <T>(yargs: Argv<T>) =>
  yargs.options({
    dataset: { ...text, describe: "HDF5: the dataset; 'train' by default", group: 'Input:' },
    ids: { ...text, describe: 'Ids of the vectors: .txt, .jsonl or .csv', group: 'Input:' },
    attributes: { ...text, describe: 'Attributes of the vectors: .jsonl or .csv', group: 'Input:' },
    'id-column': { ...text, describe: "CSV: the column of ids; 'id' by default", group: 'Input:' },
    'vector-column': { ...text, describe: "CSV: a column of whole vectors; 'vector' by default", group: 'Input:' },
    'attribute-columns': {
      ...text,
      describe: 'CSV: columns of attributes, between commas; each maybe with :text, :number or :boolean',
      group: 'Input:',
    },
  });

type InputArguments = ReturnType<typeof inputOptions<object>> extends Argv<infer T> ? ArgumentsCamelCase<T> : never;

/** What `inputOptions` declares. */
export type InputOptions = Partial<
  Pick<InputArguments, 'dataset' | 'ids' | 'attributes' | 'idColumn' | 'vectorColumn' | 'attributeColumns'>
>;

/**
 * Opens a file of vectors by the extension of its name, with the ids and attributes that belong to it.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_INVALID_DATA, SCANNERY_IO, SCANNERY_INVALID_OPTION for other extensions
 */
export async function openInput(path: string, options: InputOptions = {}): Promise<RowsFile> {
  await checkFile(path);
  const { ids, attributes, idColumn, vectorColumn, attributeColumns } = options;
  const columns = attributeColumns === undefined ? undefined : parseAttributeColumns(attributeColumns);
  const kind = extname(path).toLowerCase();
  const isCsv = kind === '.csv';
  if (!isCsv && vectorColumn !== undefined) throw new UsageError('--vector-column is for CSV files');
  // The columns of a side file, where there is one, and those of the input otherwise.
  const own = { id: ids ? undefined : idColumn, attributes: attributes ? undefined : columns };
  const file = isCsv
    ? new CsvRows(path, { ...own, vector: vectorColumn })
    : kind === '.jsonl' || kind === '.ndjson'
      ? new JsonRows(path)
      : new BinaryRows(await inputWork(path, () => openVectors(path, hdf5Options(options))));
  if (ids === undefined && attributes === undefined) return file;
  for (const side of [ids, attributes]) if (side !== undefined) await checkFile(side);
  return new WithSideFiles(file, {
    ids: ids === undefined ? undefined : idsFile(ids, idColumn),
    attributes: attributes === undefined ? undefined : attributesFile(attributes, columns),
  });
}

const hdf5Options = ({ dataset }: InputOptions) => (dataset === undefined ? undefined : { dataset });

/** What can be said of a file before it is opened. */
async function checkFile(path: string): Promise<void> {
  const found = await fileWork(path, () => stat(path));
  const problem = found.isDirectory() ? 'is a directory, and a file is expected' : found.size === 0 ? 'is empty' : '';
  if (problem === '' || !(found.isFile() || found.isDirectory())) return;
  throw new ScanneryError('SCANNERY_INVALID_DATA', `${path} ${problem}`, { path });
}

/** A file that scannery/io reads. */
class BinaryRows implements RowsFile {
  readonly path: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly #file: VectorFile;

  constructor(file: VectorFile) {
    this.path = file.path;
    this.rows = file.rows;
    this.dimensions = file.dimensions;
    this.#file = file;
  }

  place(_row: number, _code: ErrorCode): string {
    return this.path; // messages name the row
  }

  async *chunks(): AsyncGenerator<RowChunk> {
    const source = this.#file.chunks()[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { value, done } = await inputWork(this.path, () => source.next());
        if (done) return;
        yield value;
      }
    } finally {
      await source.return?.();
    }
  }
}

/** Runs what takes rows of a file: its errors name the place in the file. */
export async function takingRows<T>(file: RowsFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ScanneryError) || error.row === undefined || error.path !== undefined) throw error;
    const { code, row, value, option } = error;
    throw new ScanneryError(code, `${file.place(row, code)}: ${error.message}`, {
      ...{ path: file.path, row, value, cause: error },
      ...(option !== undefined && { option }),
    });
  }
}
