import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { ProgressListener } from './types.ts';

/** The rows of an embeddings file, in the order of the file. */
export interface Embeddings {
  dimensions: number;
  /** Different words, one per row. */
  words: string[];
  /** Row-major [words.length x dimensions]. */
  vectors: Float32Array;
  /** Rows left out because all their numbers are 0. */
  zeroRows: string[];
  /** Words met again, whose later rows were left out. */
  repeatedWords: string[];
}

const BUFFER_BYTES = 1 << 22;
/** No string, number or row of the file is longer than this. */
const TOKEN_BYTES = 1 << 16;
const ROWS_PER_REPORT = 8192;
/** 10^0 .. 10^22: the powers of ten that a double holds exactly. */
const POWERS = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** Reads JSON tokens off a file through a buffer of a few megabytes; a 0 byte follows the last byte read. */
class JsonReader {
  readonly #file: number;
  readonly #bytes = Buffer.alloc(BUFFER_BYTES + 1);
  #position = 0;
  #end = 0;
  #read = 0;
  #ended = false;

  constructor(file: number) {
    this.#file = file;
  }

  /** Bytes of the file used up so far. */
  get offset(): number {
    return this.#read - (this.#end - this.#position);
  }

  fail(expected: string): never {
    throw new SyntaxError(`Expected ${expected} at byte ${this.offset} of the embeddings file.`);
  }

  /** Makes sure that a whole token is in the buffer, unless the file ends before. */
  #ensure(): void {
    if (this.#end - this.#position >= TOKEN_BYTES || this.#ended) return;
    this.#bytes.copyWithin(0, this.#position, this.#end);
    this.#end -= this.#position;
    this.#position = 0;
    while (this.#end < BUFFER_BYTES && !this.#ended) {
      const count = readSync(this.#file, this.#bytes, this.#end, BUFFER_BYTES - this.#end, null);
      if (count === 0) this.#ended = true;
      this.#end += count;
      this.#read += count;
    }
    this.#bytes[this.#end] = 0;
  }

  /** The next byte that is not white space, which is not used up; 0 at the end of the file. */
  peek(): number {
    this.#ensure();
    for (;;) {
      const byte = this.#bytes[this.#position]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.#position++;
    }
  }

  /** Uses up the next byte if it is `byte`. */
  accept(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.#position++;
    return true;
  }

  expect(byte: number): void {
    if (!this.accept(byte)) this.fail(`'${String.fromCharCode(byte)}'`);
  }

  string(): string {
    this.expect(QUOTE);
    const bytes = this.#bytes;
    const start = this.#position;
    let end = start;
    let escaped = false;
    for (let byte = bytes[end]!; byte !== QUOTE; byte = bytes[++end]!) {
      if (byte < 0x20) this.fail('the end of a string');
      if (byte === BACKSLASH) {
        escaped = true;
        end++;
      }
    }
    if (end >= this.#end) this.fail('the end of a string');
    this.#position = end + 1;
    return escaped ? JSON.parse(bytes.toString('utf8', start - 1, end + 1)) : bytes.toString('utf8', start, end);
  }

  /** Rounds as JSON.parse does: a whole number below 2^53 over an exact power of ten is rounded once. */
  number(): number {
    let byte = this.peek();
    const bytes = this.#bytes;
    const start = this.#position;
    let position = start;
    const negative = byte === 0x2d;
    if (negative) byte = bytes[++position]!;
    if (byte < 0x30 || byte > 0x39) this.fail('a number');
    let digits = 0;
    let power = 0;
    for (; byte >= 0x30 && byte <= 0x39; byte = bytes[++position]!) digits = digits * 10 + (byte - 0x30);
    if (byte === 0x2e) {
      byte = bytes[++position]!;
      const point = position;
      for (; byte >= 0x30 && byte <= 0x39; byte = bytes[++position]!) digits = digits * 10 + (byte - 0x30);
      power = position - point;
    }
    let plain = digits <= Number.MAX_SAFE_INTEGER && power <= 22;
    if (byte === 0x65 || byte === 0x45) {
      plain = false;
      byte = bytes[++position]!;
      if (byte === 0x2b || byte === 0x2d) byte = bytes[++position]!;
      while (byte >= 0x30 && byte <= 0x39) byte = bytes[++position]!;
    }
    this.#position = position;
    if (!plain) return Number(bytes.toString('latin1', start, position));
    const value = digits / POWERS[power]!;
    return negative ? -value : value;
  }

  /** Passes over any value. */
  skip(): void {
    const byte = this.peek();
    if (byte === QUOTE) {
      this.string();
    } else if (byte === OPEN_ARRAY) {
      this.items(CLOSE_ARRAY, () => this.skip());
    } else if (byte === OPEN_OBJECT) {
      this.members(() => this.skip());
    } else if (byte >= 0x61 && byte <= 0x7a) {
      while (this.#bytes[this.#position]! >= 0x61 && this.#bytes[this.#position]! <= 0x7a) this.#position++;
    } else {
      this.number();
    }
  }

  /** Reads what is between brackets, `item` reading one value. */
  items(close: number, item: () => void): void {
    this.#position++;
    if (this.accept(close)) return;
    do item();
    while (this.accept(COMMA));
    this.expect(close);
  }

  /** Reads an object, `member` reading the value of a key. */
  members(member: (key: string) => void): void {
    if (this.peek() !== OPEN_OBJECT) this.fail("'{'");
    this.items(CLOSE_OBJECT, () => {
      const key = this.string();
      this.expect(COLON);
      member(key);
    });
  }
}

/**
 * Reads an embeddings file of the winkNLP layout: one JSON object `{"size": rows, "dimensions": n, "words": [...],
 * "vectors": {word: [n numbers, norm, index], ...}, ...}`. Only the first n numbers of a row are the embedding. The
 * file (some 300 MB) is read piece by piece and no row is made into an object.
 *
 * @throws SyntaxError if the file is cut short, is not such an object, or holds another count of rows than it says
 */
export function parseEmbeddings(path: string, progress?: ProgressListener): Embeddings {
  const file = openSync(path, 'r');
  try {
    return readEmbeddings(new JsonReader(file), fstatSync(file).size, progress);
  } finally {
    closeSync(file);
  }
}

function readEmbeddings(reader: JsonReader, total: number, progress?: ProgressListener): Embeddings {
  let size = 0;
  let dimensions = 0;
  let seen = 0;
  let vectors = new Float32Array(0);
  const words = new Set<string>();
  const zeroRows: string[] = [];
  const repeatedWords: string[] = [];

  function row(word: string): void {
    if (seen++ === size) reader.fail(`no more than ${size} rows`);
    if (seen % ROWS_PER_REPORT === 0) progress?.({ phase: 'parse', done: reader.offset, total });
    const start = words.size * dimensions;
    let zero = true;
    reader.expect(OPEN_ARRAY);
    for (let d = 0; d < dimensions; d++) {
      if (d > 0) reader.expect(COMMA);
      const value = reader.number();
      vectors[start + d] = value;
      if (value !== 0) zero = false;
    }
    while (reader.accept(COMMA)) reader.skip();
    reader.expect(CLOSE_ARRAY);
    if (words.has(word)) repeatedWords.push(word);
    else if (zero) zeroRows.push(word);
    else words.add(word);
  }

  progress?.({ phase: 'parse', done: 0, total });
  reader.members((key) => {
    if (key === 'size') {
      size = reader.number();
    } else if (key === 'dimensions') {
      dimensions = reader.number();
    } else if (key === 'vectors') {
      // A number takes two bytes at the least, so a size that the file cannot hold is nonsense.
      const sane = Number.isInteger(size) && Number.isInteger(dimensions) && 2 * size * dimensions < total;
      if (!(sane && size > 0 && dimensions > 0)) reader.fail("a sound 'size' and 'dimensions' before 'vectors'");
      vectors = new Float32Array(size * dimensions);
      reader.members(row);
    } else {
      reader.skip();
    }
  });
  if (reader.peek() !== 0 || reader.offset !== total) reader.fail('the end');
  if (seen !== size || seen === 0) reader.fail(`${size} rows, not ${seen},`);
  progress?.({ phase: 'parse', done: total, total });
  vectors = vectors.subarray(0, words.size * dimensions);
  return { dimensions, words: [...words], vectors, zeroRows, repeatedWords };
}
