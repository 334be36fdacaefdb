import { eachSlice } from '../../coordinator/each-slice.ts';
import { hashId, RowTable } from '../../coordinator/row-table.ts';
import type { Id } from '../../coordinator/types.ts';
import type { Identifiers } from './identifiers.ts';

/** Finds the rows of an identifier, which may be repeated. */
export class IdentifierRows {
  readonly #identifiers: Identifiers;
  readonly #codes: RowTable;
  /** Rows by code: those of code c are rows[starts[c] .. starts[c + 1]). */
  readonly #starts: Uint32Array;
  readonly #rows: Uint32Array;

  private constructor(identifiers: Identifiers, codes: RowTable, starts: Uint32Array, rows: Uint32Array) {
    this.#identifiers = identifiers;
    this.#codes = codes;
    this.#starts = starts;
    this.#rows = rows;
  }

  /** About 16 bytes a row, made a slice at a time. */
  static async make(identifiers: Identifiers): Promise<IdentifierRows> {
    const { size, distinct } = identifiers;
    const hashOf = (code: number): number => hashId(identifiers.distinctAt(code));
    const codes = new RowTable(hashOf, distinct);
    await eachSlice(distinct, (code) => codes.add(code, hashOf(code)));
    const starts = new Uint32Array(distinct + 1);
    await eachSlice(size, (row) => {
      starts[identifiers.codeAt(row) + 1]!++;
    });
    for (let code = 0; code < distinct; code++) starts[code + 1]! += starts[code]!;
    const next = starts.slice();
    const rows = new Uint32Array(size);
    await eachSlice(size, (row) => {
      rows[next[identifiers.codeAt(row)]!++] = row;
    });
    return new IdentifierRows(identifiers, codes, starts, rows);
  }

  /** The rows of an identifier, ascending; none if no row has it. */
  of(identifier: Id): Uint32Array {
    const code = this.#codes.find(hashId(identifier), (other) => this.#identifiers.distinctAt(other) === identifier);
    return code < 0 ? new Uint32Array(0) : this.#rows.subarray(this.#starts[code]!, this.#starts[code + 1]!);
  }
}
