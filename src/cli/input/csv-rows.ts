import type { Attributes, ErrorCode, Id } from '../../index.ts';
import { badLine } from '../errors.ts';
import { type CsvRecord, checkHeader, columnOf, csvRecords } from './csv.ts';
import { LineNumbers, type RowChunk, type RowsFile } from './rows.ts';
import { type AttributeColumn, idOfText, numberOf, parseCell, parseVector } from './values.ts';

/** Which column holds what. */
export interface CsvColumns {
  /** Default: `id`, if there is such a column. */
  readonly id?: string | undefined;
  /** A column that holds whole vectors. Default: `vector` if there is such a column; otherwise all that are left hold a number each. */
  readonly vector?: string | undefined;
  readonly attributes?: readonly AttributeColumn[] | undefined;
}

/** Where the parts of a row are. */
interface Layout {
  readonly header: readonly string[];
  readonly id: number;
  /** The column of whole vectors, or those of one number each. */
  readonly vector: number | readonly number[];
  readonly attributes: readonly (AttributeColumn & { readonly at: number })[];
}

/** A CSV file with a vector in each record. */
export class CsvRows implements RowsFile {
  readonly path: string;
  readonly rows = undefined;
  readonly dimensions = undefined;
  readonly #columns: CsvColumns;
  #lines = new LineNumbers();

  constructor(path: string, columns: CsvColumns) {
    this.path = path;
    this.#columns = columns;
  }

  place(row: number, _: ErrorCode): string {
    return `${this.path}, line ${this.#lines.lineOf(row)}`;
  }

  async *chunks(): AsyncGenerator<RowChunk> {
    this.#lines = new LineNumbers();
    let row = 0;
    let layout: Layout | undefined;
    let first: { dimensions: number; line: number } | undefined;
    for await (const records of csvRecords(this.path)) {
      if (layout === undefined) layout = this.#layout(records.shift()!);
      const vectors: number[][] = [];
      const ids: Id[] = [];
      const attributes: Attributes[] = [];
      for (const [fields, line] of records) {
        const vector = this.#vector(fields, line, layout);
        first ??= { dimensions: vector.length, line };
        if (vector.length !== first.dimensions) {
          const problem = `the vector has ${vector.length} numbers, and that of line ${first.line} has ${first.dimensions}`;
          throw badLine(this.path, line, problem);
        }
        this.#lines.add(row++, line);
        vectors.push(vector);
        if (layout.id >= 0) ids.push(idOfText(fields[layout.id]!));
        attributes.push(attributesOf(this.path, [fields, line], layout.attributes));
      }
      if (vectors.length === 0) continue;
      yield {
        vectors,
        ...(layout.id >= 0 && { ids }),
        ...(layout.attributes.length > 0 && { attributes }),
      };
    }
  }

  #layout(record: CsvRecord): Layout {
    const header = checkHeader(this.path, record);
    const { id, vector, attributes = [] } = this.#columns;
    const idAt = id === undefined ? header.indexOf('id') : columnOf(this.path, header, id, '--id-column');
    const placed = placeColumns(this.path, header, attributes);
    const whole =
      vector === undefined ? header.indexOf('vector') : columnOf(this.path, header, vector, '--vector-column');
    const taken = new Set([idAt, ...placed.map(({ at }) => at)]);
    const left = header.flatMap((_, i) => (taken.has(i) ? [] : [i]));
    const vectorAt = whole >= 0 && !taken.has(whole) ? whole : left;
    if (typeof vectorAt !== 'number' && vectorAt.length === 0) {
      throw badLine(this.path, record[1], 'no column is left for the vector');
    }
    return { header, id: idAt, vector: vectorAt, attributes: placed };
  }

  #vector(fields: readonly string[], line: number, { header, vector }: Layout): number[] {
    if (typeof vector === 'number') {
      const parsed = parseVector(fields[vector]!);
      if (typeof parsed !== 'string') return parsed;
      throw badLine(this.path, line, `the vector in column '${header[vector]}' is wrong: ${parsed}`);
    }
    return vector.map((i) => {
      const value = numberOf(fields[i]!);
      if (value !== undefined) return value;
      const problem =
        `column '${header[i]}' has '${fields[i]!.slice(0, 40)}', which is no number; ` +
        'columns of other things have to be named in --attribute-columns or --id-column';
      throw badLine(this.path, line, problem);
    });
  }
}

/** Finds columns of attributes in a header. */
export function placeColumns(
  path: string,
  header: readonly string[],
  columns: readonly AttributeColumn[],
): Layout['attributes'] {
  return columns.map((column) => ({
    ...column,
    at: columnOf(path, header, column.name, '--attribute-columns'),
  }));
}

/** The attributes of a record. */
export function attributesOf(path: string, [fields, line]: CsvRecord, columns: Layout['attributes']): Attributes {
  const attributes: [string, Attributes[string]][] = [];
  for (const { name, kind, at } of columns) {
    const parsed = parseCell(fields[at]!, kind);
    if (typeof parsed === 'string') throw badLine(path, line, `column '${name}': ${parsed}`);
    if (parsed.value !== undefined) attributes.push([name, parsed.value]);
  }
  return Object.fromEntries(attributes);
}
