import type { Attributes, ErrorCode, Id } from '../../index.ts';
import { badLine } from '../errors.ts';
import { jsonLines } from './lines.ts';
import { LineNumbers, type RowChunk, type RowsFile } from './rows.ts';
import { checkAttributes, checkId, checkVector } from './values.ts';

const KEYS = ['id', 'vector', 'attributes'];

/** A file of JSON lines: `{"id": ..., "vector": [...], "attributes": {...}}`, or just a vector. */
export class JsonRows implements RowsFile {
  readonly path: string;
  readonly rows = undefined;
  readonly dimensions = undefined;
  #lines = new LineNumbers();

  constructor(path: string) {
    this.path = path;
  }

  place(row: number, _: ErrorCode): string {
    return `${this.path}, line ${this.#lines.lineOf(row)}`;
  }

  async *chunks(): AsyncGenerator<RowChunk> {
    this.#lines = new LineNumbers();
    let row = 0;
    let first: { dimensions: number; hasIds: boolean; line: number } | undefined;
    for await (const values of jsonLines(this.path)) {
      const chunk = { vectors: [] as number[][], ids: [] as Id[], attributes: [] as (Attributes | undefined)[] };
      for (const [value, line] of values) {
        const { vector, id, attributes } = this.#row(value, line);
        first ??= { dimensions: vector.length, hasIds: id !== undefined, line };
        if (vector.length !== first.dimensions) {
          const [has, wanted] = [numbers(vector.length), numbers(first.dimensions)];
          throw badLine(this.path, line, `the vector has ${has}, and that of line ${first.line} has ${wanted}`);
        }
        if (first.hasIds !== (id !== undefined)) {
          const [here, there] = first.hasIds ? ['no', 'one'] : ['an', 'none'];
          throw badLine(this.path, line, `there is ${here} id here and ${there} in line ${first.line}`);
        }
        this.#lines.add(row++, line);
        chunk.vectors.push(vector);
        if (id !== undefined) chunk.ids.push(id);
        chunk.attributes.push(attributes);
      }
      const { vectors, ids, attributes } = chunk;
      if (vectors.length === 0) continue;
      yield {
        vectors,
        ...(first!.hasIds && { ids }),
        ...(attributes.some((one) => one !== undefined) && { attributes }),
      };
    }
  }

  #row(value: unknown, line: number): { vector: number[]; id?: Id; attributes: Attributes | undefined } {
    const checked = Array.isArray(value) ? { vector: value } : (value as Record<string, unknown>);
    if (typeof checked !== 'object' || checked === null) {
      throw badLine(this.path, line, 'this is neither an object with a vector nor a vector');
    }
    const unknown = Object.keys(checked).find((key) => !KEYS.includes(key));
    if (unknown !== undefined) throw badLine(this.path, line, `'${unknown}' is unknown; known are ${KEYS.join(', ')}`);
    const vector = checkVector(checked.vector);
    if (typeof vector === 'string') throw badLine(this.path, line, `the vector is wrong: ${vector}`);
    const id = checked.id === undefined ? undefined : checkId(checked.id);
    if (typeof id === 'string') throw badLine(this.path, line, id);
    const attributes = checkAttributes(checked.attributes);
    if (typeof attributes === 'string') throw badLine(this.path, line, attributes);
    return { vector, ...id, ...attributes };
  }
}

const numbers = (count: number): string => `${count} number${count === 1 ? '' : 's'}`;
