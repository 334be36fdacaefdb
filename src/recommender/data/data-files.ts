import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { reading } from '../../io/reading.ts';
import { ScanneryError } from '../../protocol/errors.ts';

/** Receives the fields of a record and the 1-based line on which it starts. */
export type OnRecord = (fields: readonly string[], line: number) => void;

const CHUNK_BYTES = 1 << 18;
/** No record is as long; without a bound, a quote that is never closed would take in the rest of the file. */
const MAX_RECORD_CHARACTERS = 1 << 20;

const QUOTING: Record<string, string> = {
  CSV_INVALID_CLOSING_QUOTE: 'a closing quote is followed by more text',
  INVALID_OPENING_QUOTE: 'a quote stands inside a field that does not begin with one',
  CSV_QUOTE_NOT_CLOSED: 'a quote is not closed',
  CSV_MAX_RECORD_SIZE: `the record is longer than ${MAX_RECORD_CHARACTERS} characters; a quote may not be closed`,
};

/** An error about one line of a file, counted from 1. */
export function badLine(path: string, line: number, problem: string, cause?: unknown): ScanneryError {
  const details = { path, row: line - 1, ...(cause === undefined ? {} : { cause }) };
  return new ScanneryError('SCANNERY_INVALID_DATA', `${path}, line ${line}: ${problem}`, details);
}

/**
 * Streams the records of a CSV file (RFC 4180, UTF-8, perhaps gzipped) with a header line; lines end in LF or CRLF, and empty
 * ones are passed over.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_DATA for another header, wrong quoting or a wrong number of fields;
 * SCANNERY_NOT_FOUND, SCANNERY_TRUNCATED, SCANNERY_IO
 */
export async function readCsv(path: string, header: readonly string[], onRecord: OnRecord): Promise<void> {
  let line = 1; // of the record being read, but for empty lines before it
  let records = 0;
  const receive = (fields: readonly string[], emptyLines: number): null => {
    const start = line + emptyLines;
    for (const field of fields) line += lineEnds(field);
    line++;
    if (records++ > 0) {
      checkCount(path, start, fields, header.length);
      onRecord(fields, start);
    } else if (fields.join() !== header.join()) {
      throw badLine(path, start, `the columns are ${fields.join()} where ${header.join()} are expected`);
    }
    return null; // nothing is queued in the parser
  };
  const parser = parse({
    bom: true,
    max_record_size: MAX_RECORD_CHARACTERS,
    on_record: (fields: string[], { empty_lines }) => receive(fields, empty_lines),
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true, // counted here, for a message that says what is expected
    skip_empty_lines: true,
  });
  parser.resume();
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  await reading(path, async () => {
    try {
      if (path.endsWith('.gz')) await pipeline(source, createGunzip(), parser);
      else await pipeline(source, parser);
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      throw badLine(path, line + parser.info.empty_lines, QUOTING[error.code] ?? error.message, error);
    }
  });
  if (records === 0) throw badLine(path, 1, `there is no header line ${header.join()}`);
}

/**
 * Streams the records of a file of lines, `count` fields each with a separator between them and no quoting; UTF-8, and empty
 * lines are passed over.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_DATA for a wrong number of fields; SCANNERY_NOT_FOUND, SCANNERY_IO
 */
export async function readSeparated(path: string, separator: string, count: number, onRecord: OnRecord): Promise<void> {
  const lines = new LineSplitter(path, separator, count, onRecord);
  const decoder = new TextDecoder();
  await reading(path, async () => {
    const source: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: CHUNK_BYTES });
    for await (const chunk of source) lines.add(decoder.decode(chunk, { stream: true }));
    lines.add(decoder.decode());
    lines.end();
  });
}

/** As `readSeparated`, for a file small enough to be held: UTF-8 if it is valid as such, otherwise Latin-1. */
export async function readSmallSeparated(
  path: string,
  separator: string,
  count: number,
  onRecord: OnRecord,
): Promise<void> {
  const bytes = await reading(path, () => readFile(path));
  const lines = new LineSplitter(path, separator, count, onRecord);
  lines.add(decoded(bytes));
  lines.end();
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}

class LineSplitter {
  readonly #path: string;
  readonly #separator: string;
  readonly #count: number;
  readonly #onRecord: OnRecord;
  #rest = '';
  #line = 0;

  constructor(path: string, separator: string, count: number, onRecord: OnRecord) {
    this.#path = path;
    this.#separator = separator;
    this.#count = count;
    this.#onRecord = onRecord;
  }

  add(chunk: string): void {
    const text = this.#rest + chunk;
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.#record(text.slice(start, end));
      start = end + 1;
    }
    this.#rest = text.slice(start);
    if (this.#rest.length <= MAX_RECORD_CHARACTERS) return;
    throw badLine(this.#path, this.#line + 1, `the line is longer than ${MAX_RECORD_CHARACTERS} characters`);
  }

  /** Takes a last line that has no line end. */
  end(): void {
    this.#record(this.#rest);
  }

  #record(text: string): void {
    this.#line++;
    const content = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (content === '') return;
    const fields = content.split(this.#separator);
    checkCount(this.#path, this.#line, fields, this.#count);
    this.#onRecord(fields, this.#line);
  }
}

function checkCount(path: string, line: number, fields: readonly string[], count: number): void {
  if (fields.length === count) return;
  throw badLine(path, line, `the number of fields is ${fields.length} where ${count} are expected`);
}

function lineEnds(field: string): number {
  let count = 0;
  for (let at = field.indexOf('\n'); at >= 0; at = field.indexOf('\n', at + 1)) count++;
  return count;
}
