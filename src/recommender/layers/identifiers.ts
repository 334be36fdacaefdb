import { setImmediate as nextTurn } from 'node:timers/promises';
import { checkId, type IdColumn, IdColumnBuilder, type IdKind, openIdColumn } from '../../coordinator/id-column.ts';
import type { Id } from '../../coordinator/types.ts';

/** Identifiers, one per candidate: strings, safe integers or 64-bit bigints, repeated or not. */
export type IdentifiersInput = ArrayLike<Id>;

/** Entries per Map: a JavaScript Map ends at 16.7 million. */
const MAP_ENTRIES = 2 ** 23;
/** Identifiers taken in between two turns of the event loop. */
const SLICE = 1 << 14;

/**
 * Returns what was given if it can identify a candidate.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_ID with the row
 */
export function checkIdentifier(id: unknown, row: number): Id {
  checkId(id, row, 'identifier');
  return id;
}

/** Whether a value can be a list of identifiers; its elements are not looked at. */
export function isIdentifierList(value: unknown): value is IdentifiersInput {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** What a column of identifiers is saved as. */
export interface IdentifierParts {
  /** How the distinct identifiers are stored. */
  readonly kind: IdKind;
  /** Distinct identifiers. */
  readonly distinct: number;
  /** Rows. */
  readonly size: number;
  /** The distinct identifiers in one section (integers) or two (text), then u32 [size], the code of each row. */
  readonly sections: readonly Uint8Array[];
}

/**
 * Identifiers by row. Each distinct one is kept once and a row is a 32-bit code, so a million equal ones cost 4 bytes each.
 * Identifiers are compared as they were given: 1, 1n and '1' are three.
 */
export class Identifiers {
  readonly #distinct: IdColumn;
  readonly #codes: Uint32Array;

  /** @param codes per row, numbers below the size of `distinct` */
  constructor(distinct: IdColumn, codes: Uint32Array) {
    this.#distinct = distinct;
    this.#codes = codes;
  }

  /** Rows. */
  get size(): number {
    return this.#codes.length;
  }

  /** How many different ones there are. */
  get distinct(): number {
    return this.#distinct.size;
  }

  /** The code of a row: rows of the same identifier have the same. */
  codeAt(row: number): number {
    return this.#codes[row]!;
  }

  /** The identifier of a code. */
  distinctAt(code: number): Id {
    return this.#distinct.at(code);
  }

  /** The identifier of a row, as it was given. */
  at(row: number): Id {
    return this.#distinct.at(this.#codes[row]!);
  }

  /** What to save; `openIdentifiers` makes the column of it again. */
  parts(): IdentifierParts {
    const { kind, size: distinct } = this.#distinct;
    const { buffer, byteOffset, byteLength } = this.#codes;
    const codes = new Uint8Array(buffer, byteOffset, byteLength);
    return { kind, distinct, size: this.size, sections: [...this.#distinct.parts(), codes] };
  }
}

/** The column that was saved as these parts, which are kept and not copied. Sections start at multiples of 8 bytes. */
export function openIdentifiers({ kind, distinct, size, sections }: IdentifierParts): Identifiers {
  const codes = sections[sections.length - 1]!;
  const column = openIdColumn(kind, distinct, sections.slice(0, -1));
  return new Identifiers(column, new Uint32Array(codes.buffer, codes.byteOffset, size));
}

/** Collects identifiers row by row. */
export class IdentifiersBuilder {
  #codes = new Uint32Array(1024);
  #size = 0;
  readonly #known = new Codes();
  readonly #distinct = new IdColumnBuilder();

  get size(): number {
    return this.#size;
  }

  /** @throws {ScanneryError} SCANNERY_INVALID_ID with the row */
  add(identifier: unknown): void {
    let code = this.#known.get(identifier as Id);
    if (code === undefined) {
      code = this.#distinct.size;
      const id = checkIdentifier(identifier, this.#size);
      this.#distinct.add(id);
      this.#known.set(id, code);
    }
    if (this.#size === this.#codes.length) {
      const larger = new Uint32Array(this.#codes.length * 2);
      larger.set(this.#codes);
      this.#codes = larger;
    }
    this.#codes[this.#size++] = code;
  }

  /** Adds many, with turns of the event loop in between. */
  async addAll(identifiers: ArrayLike<unknown>): Promise<void> {
    const count = identifiers.length;
    for (let first = 0; first < count; first += SLICE) {
      if (first > 0) await nextTurn();
      const end = Math.min(count, first + SLICE);
      for (let i = first; i < end; i++) this.add(identifiers[i]);
    }
  }

  finish(): Identifiers {
    return new Identifiers(this.#distinct.finish(), this.#codes.slice(0, this.#size));
  }
}

/** A number for each of any number of identifiers, each of which is set once. */
class Codes {
  readonly #maps: Map<Id, number>[] = [new Map()];

  get(identifier: Id): number | undefined {
    for (const map of this.#maps) {
      const code = map.get(identifier);
      if (code !== undefined) return code;
    }
    return undefined;
  }

  set(identifier: Id, code: number): void {
    let last = this.#maps[this.#maps.length - 1]!;
    if (last.size === MAP_ENTRIES) {
      last = new Map();
      this.#maps.push(last);
    }
    last.set(identifier, code);
  }
}
