import { setImmediate as nextTurn } from 'node:timers/promises';
import { AttributeColumns } from './attribute-columns.ts';
import { AttributeSchema, type CheckedAttributes } from './attribute-schema.ts';
import type { Place, Rows } from './rows.ts';

/** Rows that are written between two turns of the event loop. */
const ROWS_PER_TURN = 512;

/** The attributes of the vectors of an index. */
export class RowAttributes {
  readonly schema: AttributeSchema;
  readonly memories: readonly AttributeColumns[];

  constructor(rows: Rows, schema = new AttributeSchema()) {
    this.schema = schema;
    this.memories = rows.memories.map((memory) => new AttributeColumns(memory));
  }

  /** The attributes of a vector, by name, or undefined if it has none. */
  read({ memory, local }: Place): CheckedAttributes | undefined {
    const found = [];
    for (const attribute of this.schema.all) {
      const value = this.memories[memory]!.read(local, attribute);
      if (value !== 0 || attribute.kind === 'number') {
        if (!Number.isNaN(value)) found.push([attribute.name, this.schema.valueOf([attribute, value])]);
      }
    }
    return found.length === 0 ? undefined : Object.fromEntries(found);
  }

  /** Gives the rows of an index that was just built their attributes; those of row i are attributesOf(i). */
  async fill(rows: Rows, attributesOf: (row: number) => CheckedAttributes | undefined): Promise<void> {
    for (let row = 0; row < rows.count; row++) {
      const attributes = attributesOf(row);
      if (attributes === undefined) continue;
      const { memory, local } = rows.placeOf(row)!;
      const cells = this.schema.cellsOf(attributes);
      const columns = this.memories[memory]!;
      await columns.reserve(local, cells);
      columns.write(local, cells, []);
      if (row % ROWS_PER_TURN === 0) await nextTurn();
    }
  }
}
