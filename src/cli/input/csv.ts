import { createReadStream } from 'node:fs';
import { CsvError, parse } from 'csv-parse';
import { ScanneryError } from '../../index.ts';
import { badLine, inputWork } from '../errors.ts';

const CHUNK_BYTES = 1 << 18;
/** Without a bound, a quote that is never closed would take in the rest of the file. */
const MOST_CHARACTERS = 1 << 24;
const RECORDS_PER_PIECE = 1024;

/** A record, and the line on which it begins, counted from 1. */
export type CsvRecord = readonly [fields: readonly string[], line: number];

/**
 * Records of a CSV file (RFC 4180, UTF-8), in pieces, the header first. Lines end in LF or CRLF, and empty ones are passed over.
 * Every record has as many fields as the header.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_DATA with the line; SCANNERY_NOT_FOUND, SCANNERY_IO
 */
export async function* csvRecords(path: string): AsyncGenerator<CsvRecord[]> {
  let line = 1; // of the record being read, but for empty lines before it
  const parser = parse({
    bom: true,
    info: true,
    max_record_size: MOST_CHARACTERS,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true, // counted here, for a message that says what is expected
    skip_empty_lines: true,
  });
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  source.on('error', (error) => parser.destroy(error));
  const records = source.pipe(parser)[Symbol.asyncIterator]();
  let width: number | undefined;
  let piece: CsvRecord[] = [];
  try {
    for (;;) {
      const { value, done } = await inputWork(path, () => records.next());
      if (done) break;
      const { record, info } = value as { record: string[]; info: { empty_lines: number } };
      const start = line + info.empty_lines;
      line += 1 + record.reduce((ends, field) => ends + field.split('\n').length - 1, 0);
      width ??= record.length;
      if (record.length !== width) {
        throw badLine(path, start, `there are ${record.length} fields, and the header has ${width}`);
      }
      piece.push([record, start]);
      if (piece.length < RECORDS_PER_PIECE) continue;
      yield piece;
      piece = [];
    }
    if (piece.length > 0) yield piece;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw badLine(path, line + parser.info.empty_lines, error.message, error);
  } finally {
    source.destroy();
    parser.destroy();
  }
}

/** The header of a file, checked: names of columns, none twice. */
export function checkHeader(path: string, [names, line]: CsvRecord): readonly string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw badLine(path, line, `there are two columns named '${twice}'`);
  return names;
}

/** Where a column is that was asked for by name. */
export function columnOf(path: string, header: readonly string[], name: string, option: string): number {
  const found = header.indexOf(name);
  if (found >= 0) return found;
  const message = `${path} has no column '${name}' (${option}); it has ${header.map((one) => `'${one}'`).join(', ')}`;
  throw new ScanneryError('SCANNERY_INVALID_DATA', message, { path, row: 0 });
}
