import { ScanneryError, show } from '../protocol/errors.ts';
import { hashInteger, RowTable, spread } from './row-table.ts';
import type { Id } from './types.ts';

/** How ids are stored: not at all (row numbers), as integers, or as text with a letter that tells its type. */
export type IdKind = 'row' | 'integer' | 'text';

/** The ids of an index, by row. */
export interface IdColumn {
  readonly kind: IdKind;
  readonly size: number;
  at(row: number): Id;
  /** Its parts for saving; empty for row numbers. */
  parts(): readonly Uint8Array[];
}

export function openIdColumn(kind: IdKind, size: number, parts: readonly Uint8Array[]): IdColumn {
  if (kind === 'row') return new RowIds(size);
  const first = parts[0]!;
  if (kind === 'integer') return new IntegerIds(new Float64Array(first.buffer, first.byteOffset, size));
  return new TextIds(new Float64Array(first.buffer, first.byteOffset, size + 1), parts[1]!);
}

const bytesOf = (view: Float64Array): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

class RowIds implements IdColumn {
  readonly kind = 'row';
  readonly size: number;

  constructor(size: number) {
    this.size = size;
  }

  at(row: number): Id {
    return row;
  }

  parts(): readonly Uint8Array[] {
    return [];
  }
}

class IntegerIds implements IdColumn {
  readonly kind = 'integer';
  readonly #values: Float64Array;

  constructor(values: Float64Array) {
    this.#values = values;
  }

  get size(): number {
    return this.#values.length;
  }

  at(row: number): Id {
    return this.#values[row]!;
  }

  parts(): readonly Uint8Array[] {
    return [bytesOf(this.#values)];
  }
}

/** Letters before the text of an id. */
const STRING = 0x73; // s
const INTEGER = 0x69; // i
const BIGINT = 0x62; // b

class TextIds implements IdColumn {
  readonly kind = 'text';
  readonly #starts: Float64Array;
  readonly #bytes: Buffer;

  constructor(starts: Float64Array, bytes: Uint8Array) {
    this.#starts = starts;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.#starts.length - 1;
  }

  at(row: number): Id {
    const start = this.#starts[row]!;
    const text = this.#bytes.toString('utf8', start + 1, this.#starts[row + 1]!);
    switch (this.#bytes[start]) {
      case STRING:
        return text;
      case INTEGER:
        return Number(text);
      default:
        return BigInt(text);
    }
  }

  parts(): readonly Uint8Array[] {
    return [bytesOf(this.#starts), this.#bytes];
  }
}

const LEAST_BIGINT = -(2n ** 63n);
const MOST_BIGINT = 2n ** 64n - 1n;

/** Packs ids, row after row. */
export class IdPacker {
  #size = 0;
  #integers: Float64Array<ArrayBuffer> | null = new Float64Array(1024);
  #starts = new Float64Array(1024);
  #bytes = Buffer.alloc(16384);
  #end = 0;

  get size(): number {
    return this.#size;
  }

  /** Whether all ids so far are numbers; if not, they are kept as text. */
  get areIntegers(): boolean {
    return this.#integers !== null;
  }

  append(id: Id): void {
    if (this.#integers !== null && typeof id !== 'number') this.#becomeText();
    this.#put(id);
    this.#size++;
  }

  finish(): IdColumn {
    if (this.#integers !== null) return new IntegerIds(shared(this.#integers.subarray(0, this.#size)));
    this.#starts[this.#size] = this.#end;
    const bytes = new Uint8Array(new SharedArrayBuffer(this.#end));
    bytes.set(this.#bytes.subarray(0, this.#end));
    return new TextIds(shared(this.#starts.subarray(0, this.#size + 1)), bytes);
  }

  /** A hash of a row's id, as it is packed. */
  hash(row: number): number {
    if (this.#integers !== null) return hashInteger(this.#integers[row]!);
    let h = 0x811c9dc5;
    const end = this.#starts[row + 1]!;
    for (let i = this.#starts[row]!; i < end; i++) h = Math.imul(h ^ this.#bytes[i]!, 0x01000193);
    return spread(h);
  }

  /** Whether two rows have the same id. */
  same(a: number, b: number): boolean {
    if (this.#integers !== null) return this.#integers[a] === this.#integers[b];
    const [startA, endA, startB, endB] = [
      this.#starts[a]!,
      this.#starts[a + 1]!,
      this.#starts[b]!,
      this.#starts[b + 1]!,
    ];
    return this.#bytes.compare(this.#bytes, startA, endA, startB, endB) === 0;
  }

  #put(id: Id): void {
    const row = this.#size;
    if (this.#integers !== null) {
      if (row === this.#integers.length) this.#integers = grown(this.#integers);
      this.#integers[row] = id as number;
      return;
    }
    if (row + 2 > this.#starts.length) this.#starts = grown(this.#starts);
    const text = typeof id === 'string' ? id : String(id);
    const most = this.#end + 1 + text.length * 3;
    if (most > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(most, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.#end);
      this.#bytes = larger;
    }
    this.#starts[row] = this.#end;
    this.#bytes[this.#end] = typeof id === 'string' ? STRING : typeof id === 'number' ? INTEGER : BIGINT;
    this.#end = this.#writeText(text, this.#end + 1);
    this.#starts[row + 1] = this.#end;
  }

  /** Writes text as UTF-8; returns where it ends. Most ids are short and ASCII, where a loop beats a call. */
  #writeText(text: string, at: number): number {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return at + this.#bytes.write(text, at);
      this.#bytes[at + i] = code;
    }
    return at + text.length;
  }

  #becomeText(): void {
    const integers = this.#integers!.subarray(0, this.#size);
    this.#integers = null;
    this.#size = 0;
    for (const id of integers) this.append(id);
  }
}

/** Collects ids as they are given, and refuses bad and repeated ones. */
export class IdColumnBuilder {
  readonly #packer = new IdPacker();
  readonly #table = new RowTable((row) => this.#packer.hash(row));

  get size(): number {
    return this.#packer.size;
  }

  add(id: unknown): void {
    const packer = this.#packer;
    const row = packer.size;
    checkId(id, row, 'id');
    const wereIntegers = packer.areIntegers;
    packer.append(id);
    // Packed otherwise, all of them have other hashes.
    if (packer.areIntegers !== wereIntegers) this.#rehash(row);
    const hash = packer.hash(row);
    const earlier = this.#table.find(hash, (other) => packer.same(other, row));
    if (earlier !== -1) throw duplicateId(row, id, earlier);
    this.#table.add(row, hash);
  }

  finish(): IdColumn {
    return this.#packer.finish();
  }

  #rehash(count: number): void {
    this.#table.clear();
    for (let row = 0; row < count; row++) this.#table.add(row, this.#packer.hash(row));
  }
}

/** The error for a batch from row `first` on that has not one id for each vector. */
export function wrongNumberOfIds(ids: number, vectors: number, first: number): ScanneryError {
  const details = { row: first + Math.min(ids, vectors), value: ids };
  return new ScanneryError('SCANNERY_INVALID_ID', `there are ${ids} ids for ${vectors} vectors`, details);
}

/** The error for an id that an earlier row has already. */
export function duplicateId(row: number, id: Id, earlier: number): ScanneryError {
  const message = `row ${row} has the id ${show(id)}, which row ${earlier} has already`;
  return new ScanneryError('SCANNERY_DUPLICATE_ID', message, { row, value: id });
}

function grown(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(array.length * 2);
  larger.set(array);
  return larger;
}

function shared(array: Float64Array): Float64Array {
  const copy = new Float64Array(new SharedArrayBuffer(array.byteLength));
  copy.set(array);
  return copy;
}

/**
 * Checks that a value can identify a vector; `noun` is what messages call it.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_ID with the row
 */
export function checkId(id: unknown, row: number, noun: string): asserts id is Id {
  let problem: string;
  if (typeof id === 'number') {
    if (Number.isSafeInteger(id)) return;
    problem = 'a number that is not a safe integer';
  } else if (typeof id === 'bigint') {
    if (id >= LEAST_BIGINT && id <= MOST_BIGINT) return;
    problem = 'a bigint of more than 64 bits';
  } else if (typeof id === 'string') {
    if (id.isWellFormed()) return;
    problem = 'a string with a lone surrogate';
  } else problem = 'neither a string, a safe integer nor a bigint';
  const message = `row ${row} has the ${noun} ${show(id)}, which is ${problem}`;
  throw new ScanneryError('SCANNERY_INVALID_ID', message, { row, value: id });
}

/** Ids that are the row numbers. */
export function rowIds(size: number): IdColumn {
  return new RowIds(size);
}
