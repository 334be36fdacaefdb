import { setImmediate as nextTurn } from 'node:timers/promises';
import { damaged } from '../protocol/file-format.ts';
import type { Attributes, AttributeValue } from '../protocol/filter.ts';
import { pack, unpack } from '../protocol/packing.ts';
import { MAX_COLUMNS } from '../protocol/shard-layout.ts';
import { type AttributeKind, badAttribute, CodedValues, kindOf, readValue } from './attribute-values.ts';

/** Values that are packed between two turns of the event loop. */
const SLICE = 4096;

/** An attribute, and its column in every memory. */
export interface Attribute {
  readonly name: string;
  readonly kind: AttributeKind;
  readonly column: number;
  /** Null for numbers. */
  readonly values: CodedValues | null;
}

/** Attributes of a vector, checked: only those it has. */
export type CheckedAttributes = Readonly<Record<string, AttributeValue>>;

/** A value in a column: a code, or a number. */
export type Cell = readonly [attribute: Attribute, value: number];

/** The attributes of an index: of which kind each is, and what its codes stand for. */
export class AttributeSchema {
  readonly #attributes = new Map<string, Attribute>();

  get all(): Iterable<Attribute> {
    return this.#attributes.values();
  }

  get size(): number {
    return this.#attributes.size;
  }

  get(name: string): Attribute | undefined {
    return this.#attributes.get(name);
  }

  /** The attributes of a row, with a value for each column. What is new becomes known. */
  cellsOf(attributes: CheckedAttributes): Cell[] {
    return Object.entries(attributes).map(([name, value]) => {
      const attribute = this.#known(name, kindOf(value));
      return [attribute, attribute.values === null ? (value as number) : attribute.values.codeOf(value as string)];
    });
  }

  /** What a value in a column stands for. */
  valueOf([{ values }, value]: Cell): AttributeValue {
    return values === null ? value : values.valueOf(value);
  }

  /** All of it as bytes: pieces with their length before them. */
  async packed(): Promise<Uint8Array> {
    if (this.size === 0) return new Uint8Array(0);
    const pieces: Buffer[] = [];
    const put = (value: unknown): void => {
      const bytes = pack(value);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      pieces.push(length, bytes);
    };
    const sizes = [...this.all].map(({ name, kind, values }) => ({ name, kind, end: values?.end ?? 0 }));
    put(sizes);
    for (const { kind, values } of this.all) {
      if (kind !== 'token') continue;
      for (let from = 1; from < values!.end; from += SLICE) {
        const count = Math.min(SLICE, values!.end - from);
        put(Array.from({ length: count }, (_, i) => values!.valueOf(from + i)));
        await nextTurn();
      }
    }
    return Buffer.concat(pieces);
  }

  /** Reads what `packed` made; `path` is the file that it comes from. */
  static async unpack(bytes: Uint8Array, path: string): Promise<AttributeSchema> {
    const schema = new AttributeSchema();
    if (bytes.length === 0) return schema;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    const next = (): unknown => {
      const length = buffer.readUInt32LE(at);
      const piece = unpack(buffer.subarray(at + 4, at + 4 + length));
      at += 4 + length;
      return piece;
    };
    try {
      const sizes = next() as { name: string; kind: AttributeKind; end: number }[];
      for (const { name, kind, end } of sizes) {
        const { values } = schema.#known(name, kind);
        while (kind === 'token' && values!.end < end) {
          for (const value of next() as (string | string[])[]) values!.codeOf(value);
          await nextTurn();
        }
      }
    } catch (cause) {
      throw damaged(path, 'its attributes', cause);
    }
    return schema;
  }

  #known(name: string, kind: AttributeKind): Attribute {
    let attribute = this.#attributes.get(name);
    if (attribute === undefined) {
      const values = kind === 'number' ? null : new CodedValues(kind === 'boolean');
      attribute = { name, kind, column: this.#attributes.size, values };
      this.#attributes.set(name, attribute);
    }
    return attribute;
  }
}

/** Checks the attributes of rows, one after another, against those there are and each other. */
export class AttributeChecker {
  readonly #schema: AttributeSchema;
  readonly #added = new Map<string, AttributeKind>();

  constructor(schema: AttributeSchema) {
    this.#schema = schema;
  }

  /** @throws {ScanneryError} SCANNERY_INVALID_ATTRIBUTE with the row */
  check(attributes: unknown, row: number): CheckedAttributes {
    if (attributes === undefined || attributes === null) return {};
    if (typeof attributes !== 'object' || Array.isArray(attributes)) {
      throw badAttribute(row, '', attributes, 'should be one of an object of values by name');
    }
    const checked: [string, AttributeValue][] = [];
    for (const [name, given] of Object.entries(attributes as Attributes)) {
      const value = readValue(given, row, name);
      if (value === null) continue;
      const kind = kindOf(value);
      const before = this.#schema.get(name)?.kind ?? this.#added.get(name);
      if (before === undefined) {
        if (this.#schema.size + this.#added.size === MAX_COLUMNS) {
          throw badAttribute(row, name, given, `is one more than the ${MAX_COLUMNS} that an index can have`);
        }
        this.#added.set(name, kind);
      } else if (kind !== before) {
        throw badAttribute(row, name, given, `is a ${kind} here and a ${before} in other rows`);
      }
      checked.push([name, value]);
    }
    return Object.fromEntries(checked);
  }
}
