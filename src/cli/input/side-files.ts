import { extname } from 'node:path';
import { type Attributes, type ErrorCode, type Id, ScanneryError } from '../../index.ts';
import { badLine, UsageError } from '../errors.ts';
import { checkHeader, columnOf, csvRecords } from './csv.ts';
import { attributesOf, placeColumns } from './csv-rows.ts';
import { jsonLines, linesOf } from './lines.ts';
import { countOf, LineNumbers, type RowChunk, type RowsFile } from './rows.ts';
import { type AttributeColumn, checkAttributes, checkId, idOfText } from './values.ts';

type Values<T> = AsyncGenerator<(readonly [value: T, line: number])[]>;

/** A file with an entry for each row of another. */
export interface SideFile<T> {
  readonly path: string;
  /** What an entry is called: 'ids'. */
  readonly what: string;
  values(): Values<T>;
}

/** A file of ids: `.txt` with one per line, `.jsonl`, or `.csv` with a column for them. */
export function idsFile(path: string, column = 'id'): SideFile<Id> {
  const read = {
    '.txt': () => textIds(path),
    '.jsonl': () => jsonIds(path),
    '.ndjson': () => jsonIds(path),
    '.csv': () => csvIds(path, column),
  };
  return { path, what: 'ids', values: byExtension(read, path, '--ids') };
}

/** A file of attributes: `.jsonl` with one object per line, or `.csv`, whose columns are attributes. */
export function attributesFile(path: string, columns?: readonly AttributeColumn[]): SideFile<Attributes | undefined> {
  const read = {
    '.jsonl': () => jsonAttributes(path),
    '.ndjson': () => jsonAttributes(path),
    '.csv': () => csvAttributes(path, columns),
  };
  return { path, what: 'attributes', values: byExtension(read, path, '--attributes') };
}

function byExtension<T>(readers: Readonly<Record<string, () => Values<T>>>, path: string, option: string) {
  const extension = extname(path).toLowerCase();
  if (Object.hasOwn(readers, extension)) return readers[extension]!;
  throw new UsageError(`${option} is ${path}, and should end in ${Object.keys(readers).join(', ')}`);
}

async function* textIds(path: string): Values<Id> {
  for await (const lines of linesOf(path)) {
    yield lines.map(([text, line]) => {
      if (text === '') throw badLine(path, line, 'the line is empty, and an id is expected');
      return [idOfText(text), line];
    });
  }
}

async function* jsonIds(path: string): Values<Id> {
  for await (const values of jsonLines(path)) {
    yield values.map(([value, line]) => {
      const isObject = typeof value === 'object' && value !== null && 'id' in value;
      const checked = checkId(isObject ? value.id : value);
      if (typeof checked === 'string') throw badLine(path, line, checked);
      return [checked.id, line];
    });
  }
}

async function* csvIds(path: string, column: string): Values<Id> {
  let at: number | undefined;
  for await (const records of csvRecords(path)) {
    at ??= columnOf(path, checkHeader(path, records.shift()!), column, '--id-column');
    yield records.map(([fields, line]) => [idOfText(fields[at!]!), line]);
  }
}

async function* jsonAttributes(path: string): Values<Attributes | undefined> {
  for await (const values of jsonLines(path)) {
    yield values.map(([value, line]) => {
      const checked = checkAttributes(value);
      if (typeof checked === 'string') throw badLine(path, line, checked);
      return [checked.attributes, line];
    });
  }
}

async function* csvAttributes(path: string, columns: readonly AttributeColumn[] | undefined): Values<Attributes> {
  let placed: ReturnType<typeof placeColumns> | undefined;
  for await (const records of csvRecords(path)) {
    if (placed === undefined) {
      const header = checkHeader(path, records.shift()!);
      placed = placeColumns(path, header, columns ?? header.map((name) => ({ name, kind: undefined })));
    }
    yield records.map((record) => [attributesOf(path, record, placed!), record[1]]);
  }
}

/** Entries of a side file, taken as rows come. */
class Taker<T> {
  readonly lines = new LineNumbers();
  readonly #source: Values<T>;
  #taken = 0;
  #left: (readonly [T, number])[] = [];

  constructor(file: SideFile<T>) {
    this.#source = file.values();
  }

  /** So many entries, or fewer if there are no more. */
  async take(count: number): Promise<T[]> {
    while (this.#left.length < count) {
      const { value, done } = await this.#source.next();
      if (done) break;
      this.#left = [...this.#left, ...value];
    }
    const taken = this.#left.slice(0, count);
    this.#left = this.#left.slice(count);
    for (const [, line] of taken) this.lines.add(this.#taken++, line);
    return taken.map(([value]) => value);
  }

  /** How many entries there are altogether. */
  async total(): Promise<number> {
    let total = this.#taken + this.#left.length;
    for await (const values of this.#source) total += values.length;
    return total;
  }
}

/** A file of vectors with ids or attributes from other files, which must have as many entries as that has rows. */
export class WithSideFiles implements RowsFile {
  readonly path: string;
  readonly rows: number | undefined;
  readonly dimensions: number | undefined;
  readonly #vectors: RowsFile;
  readonly #ids: SideFile<Id> | undefined;
  readonly #attributes: SideFile<Attributes | undefined> | undefined;
  #idLines = new LineNumbers();
  #attributeLines = new LineNumbers();

  constructor(
    vectors: RowsFile,
    sides: { ids?: SideFile<Id> | undefined; attributes?: SideFile<Attributes | undefined> | undefined },
  ) {
    this.path = vectors.path;
    this.rows = vectors.rows;
    this.dimensions = vectors.dimensions;
    this.#vectors = vectors;
    this.#ids = sides.ids;
    this.#attributes = sides.attributes;
  }

  place(row: number, code: ErrorCode): string {
    const isId = code === 'SCANNERY_INVALID_ID' || code === 'SCANNERY_DUPLICATE_ID';
    if (isId && this.#ids !== undefined) return `${this.#ids.path}, line ${this.#idLines.lineOf(row)}`;
    if (code === 'SCANNERY_INVALID_ATTRIBUTE' && this.#attributes !== undefined) {
      return `${this.#attributes.path}, line ${this.#attributeLines.lineOf(row)}`;
    }
    return this.#vectors.place(row, code);
  }

  async *chunks(): AsyncGenerator<RowChunk> {
    const ids = this.#ids && new Taker(this.#ids);
    const attributes = this.#attributes && new Taker(this.#attributes);
    if (ids) this.#idLines = ids.lines;
    if (attributes) this.#attributeLines = attributes.lines;
    let rows = 0;
    const source = this.#vectors.chunks()[Symbol.asyncIterator]();
    const total = async (): Promise<number> => {
      for (let next = await source.next(); !next.done; next = await source.next()) rows += this.#countOf(next.value);
      return rows;
    };
    try {
      for (let next = await source.next(); !next.done; next = await source.next()) {
        const chunk = next.value;
        const count = this.#countOf(chunk);
        rows += count;
        for (const [side, has] of [
          [this.#ids, chunk.ids !== undefined],
          [this.#attributes, chunk.attributes !== undefined],
        ] as const) {
          if (side && has)
            throw new UsageError(`--${side.what} is given, and ${this.path} has ${side.what} of its own`);
        }
        const own = {
          ...(ids && { ids: await ids.take(count) }),
          ...(attributes && { attributes: await attributes.take(count) }),
        };
        if (own.ids && own.ids.length < count)
          throw wrongCount(this.#ids!, await ids!.total(), this.path, await total());
        if (own.attributes && own.attributes.length < count) {
          throw wrongCount(this.#attributes!, await attributes!.total(), this.path, await total());
        }
        yield { ...chunk, ...own };
      }
      for (const [taker, file] of [
        [ids, this.#ids],
        [attributes, this.#attributes],
      ] as const) {
        const entries = (await taker?.total()) ?? rows;
        if (entries !== rows) throw wrongCount(file!, entries, this.path, rows);
      }
    } finally {
      await source.return?.();
    }
  }

  #countOf(chunk: RowChunk): number {
    return countOf(chunk, this.dimensions ?? 1);
  }
}

function wrongCount({ path, what }: SideFile<unknown>, entries: number, vectors: string, rows: number): ScanneryError {
  const message = `${path} has ${what} for ${entries} rows, and ${vectors} has ${rows} rows`;
  return new ScanneryError('SCANNERY_INVALID_DATA', message, { path, value: entries });
}
