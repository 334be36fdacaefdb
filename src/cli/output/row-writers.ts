import { endianness } from 'node:os';
import { extname } from 'node:path';
import type { Attributes, Id } from '../../index.ts';
import { UsageError } from '../errors.ts';
import { shortest } from '../format.ts';
import { toJson } from '../session.ts';
import { OutputFile } from './output-file.ts';

/** A row as it is written; the numbers are finite as f32. */
export interface WrittenRow {
  readonly vector: ArrayLike<number>;
  readonly id: Id | undefined;
  readonly attributes: Attributes | null | undefined;
}

/** What has to be known before the first row is written. */
export interface Shape {
  readonly dimensions: number;
  readonly hasIds: boolean;
  /** Names of attributes, for CSV's header. */
  readonly attributes: readonly string[];
}

/** Writes the rows of one format. */
export interface RowWriter {
  write(rows: readonly WrittenRow[]): Promise<void>;
  /** Makes the files appear. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

type Create = (path: string, shape: Shape) => Promise<RowWriter>;

const WRITERS: Readonly<Record<string, Create>> = {
  '.npy': (path, { dimensions }) => binary(path, 128, false, (rows) => npyHeader(rows, dimensions)),
  '.fvecs': (path) => binary(path, 0, true, () => undefined),
  '.fbin': (path, { dimensions }) => binary(path, 8, false, (rows) => u32(rows, dimensions)),
  '.jsonl': (path) =>
    lines(path, '', ({ vector, id, attributes }) => toJson({ id, vector: plain(vector), attributes })),
  '.ndjson': (path, shape) => WRITERS['.jsonl']!(path, shape),
  '.csv': (path, shape) => csv(path, shape),
};

/** The formats in which an id and attributes have a place beside the vector. */
const WHOLE = ['.jsonl', '.ndjson', '.csv'];

export const isWhole = (path: string): boolean => WHOLE.includes(extname(path).toLowerCase());
export const isCsv = (path: string): boolean => extname(path).toLowerCase() === '.csv';

/** @throws {UsageError} for an extension that cannot be written */
export function writerOf(path: string): Create {
  const extension = extname(path).toLowerCase();
  if (Object.hasOwn(WRITERS, extension)) return WRITERS[extension]!;
  throw new UsageError(`${path} should end in one of ${Object.keys(WRITERS).join(', ')}, which can be written`);
}

/** `vectors.npy` has its ids in `vectors.ids.jsonl`. */
export const sidePath = (path: string, what: 'ids' | 'attributes'): string =>
  `${path.slice(0, path.length - extname(path).length)}.${what}.jsonl`;

/** A writer of one line for each row. */
export async function lines(path: string, header: string, lineOf: (row: WrittenRow) => string): Promise<RowWriter> {
  const file = await OutputFile.create(path);
  await file.append(header);
  return {
    write: (rows) => file.append(rows.map((row) => `${lineOf(row)}\n`).join('')),
    commit: () => file.commit(),
    discard: () => file.discard(),
  };
}

async function binary(
  path: string,
  headerBytes: number,
  isPrefixed: boolean,
  header: (rows: number) => Uint8Array | undefined,
): Promise<RowWriter> {
  const file = await OutputFile.create(path, headerBytes);
  let count = 0;
  return {
    async write(rows) {
      for (const { vector } of rows) {
        if (isPrefixed) await file.append(u32(vector.length));
        await file.append(f32(vector));
      }
      count += rows.length;
    },
    commit: () => file.commit(header(count)),
    discard: () => file.discard(),
  };
}

function f32(vector: ArrayLike<number>): Buffer {
  const bytes = Buffer.from(Float32Array.from(vector).buffer);
  return endianness() === 'LE' ? bytes : bytes.swap32();
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

/** Version 1.0 of NumPy's format, of 128 bytes. */
function npyHeader(rows: number, dimensions: number): Buffer {
  const header = Buffer.alloc(128, ' ');
  header.write('\x93NUMPY\x01\x00', 0, 'latin1');
  header.writeUInt16LE(118, 8);
  header.write(`{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dimensions}), }`, 10, 'latin1');
  header.write('\n', 127, 'latin1');
  return header;
}

function csv(path: string, { hasIds, attributes }: Shape): Promise<RowWriter> {
  for (const name of ['id', 'vector']) {
    if (attributes.includes(name))
      throw new UsageError(`an attribute is called '${name}', as is a column of CSV; write .jsonl`);
  }
  const columns = [...(hasIds ? ['id'] : []), 'vector', ...attributes];
  return lines(path, `${columns.map(field).join()}\n`, ({ vector, id, attributes: own }) => {
    const values = attributes.map((name) => own?.[name] ?? '');
    const cells = [...(hasIds ? [id!] : []), plain(vector).join(' '), ...values];
    return cells.map((cell) => field(Array.isArray(cell) ? JSON.stringify(cell) : `${cell}`)).join();
  });
}

const field = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Numbers as they are written in text: of f32 the shortest that is read as the same. */
const plain = (vector: ArrayLike<number>): number[] =>
  vector instanceof Float32Array ? Array.from(vector, shortest) : Array.from(vector);
