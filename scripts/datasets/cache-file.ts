import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { dirname } from 'node:path';

/*
 * A cache file: 8 bytes of magic, the length of the header as a little-endian u32, the header (JSON), the vectors
 * (f32 in the byte order the header names, row-major), the words (UTF-8, one a line, each ended by a line feed).
 */

const MAGIC = 'SCANVEC\n';
const VERSION = 1;
const PREFIX_BYTES = MAGIC.length + 4;
const HEADER_LIMIT = 1 << 20;

/** What a cache file says about itself. */
export interface CacheHeader {
  version: number;
  /** Where the vectors come from; a cache of another source is refused. */
  source: string;
  rows: number;
  dimensions: number;
  /** Bytes of the words, line feeds included. */
  wordBytes: number;
  byteOrder: 'LE' | 'BE';
  /** Sum modulo 2^32 of the vectors read as u32 and of the bytes of the words. */
  checksum: number;
  /** Sentences about the data, kept for the next start. */
  notes: string[];
}

export interface CachedRows {
  header: CacheHeader;
  /** The words that are not held out, in the order of the file. */
  words: string[];
  /** The rows of `words`, row-major. */
  vectors: Float32Array;
  /** The held-out words, in the order asked for. */
  heldOutWords: string[];
  /** The rows of `heldOutWords`, row-major. */
  heldOut: Float32Array;
}

/** A cache file is missing, cut short, damaged or of another version; it has to be made again. */
export class CacheError extends Error {
  override name = 'CacheError';
}

/** The sum modulo 2^32 of the numbers' bits; four sums at a time keep the processor busy. */
function sumOfBits(numbers: Float32Array): number {
  const bits = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const even = bits.length & ~3;
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < even; i += 4) {
    a = (a + bits[i]!) | 0;
    b = (b + bits[i + 1]!) | 0;
    c = (c + bits[i + 2]!) | 0;
    d = (d + bits[i + 3]!) | 0;
  }
  for (let i = even; i < bits.length; i++) a = (a + bits[i]!) | 0;
  return (a + b + c + d) | 0;
}

function sumOfBytes(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i++) total = (total + bytes[i]!) | 0;
  return total;
}

function writeAll(file: number, data: Uint8Array): void {
  for (let done = 0; done < data.length; ) done += writeSync(file, data, done, data.length - done);
}

function readAll(file: number, data: Uint8Array, position: number): void {
  for (let done = 0; done < data.length; ) {
    const count = readSync(file, data, done, data.length - done, position + done);
    if (count === 0) throw new CacheError('the file is cut short');
    done += count;
  }
}

function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/**
 * Writes a cache file under a temporary name and renames it when it is whole, so that readers never see half of one.
 *
 * @param vectors row-major [words.length x dimensions]
 */
export function writeCache(
  path: string,
  content: { source: string; dimensions: number; words: string[]; vectors: Float32Array; notes: string[] },
): void {
  const { source, dimensions, words, vectors, notes } = content;
  if (vectors.length !== words.length * dimensions) throw new RangeError('There must be one vector per word.');
  if (words.some((word) => word.includes('\n'))) throw new RangeError('A word must not hold a line feed.');
  const text = Buffer.from(words.map((word) => `${word}\n`).join(''), 'utf8');
  const header: CacheHeader = {
    version: VERSION,
    source,
    rows: words.length,
    dimensions,
    wordBytes: text.length,
    byteOrder: endianness(),
    checksum: (sumOfBytes(text) + sumOfBits(vectors)) >>> 0,
    notes,
  };
  const headerBytes = Buffer.from(JSON.stringify(header), 'utf8');
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.write(MAGIC, 'latin1');
  prefix.writeUInt32LE(headerBytes.length, MAGIC.length);

  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w');
    try {
      for (const part of [prefix, headerBytes, bytesOf(vectors), text]) writeAll(file, part);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function parseHeader(text: string): CacheHeader | undefined {
  try {
    const header: Partial<CacheHeader> | null = JSON.parse(text);
    const counts = [header?.rows, header?.dimensions, header?.wordBytes];
    const sound = counts.every((count) => Number.isSafeInteger(count) && count! >= 0) && Array.isArray(header?.notes);
    return sound ? (header as CacheHeader) : undefined;
  } catch {
    return undefined;
  }
}

function readHeader(file: number, source: string): { header: CacheHeader; start: number } {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  readAll(file, prefix, 0);
  if (prefix.toString('latin1', 0, MAGIC.length) !== MAGIC) throw new CacheError('it is not a cache file');
  const length = prefix.readUInt32LE(MAGIC.length);
  if (length > HEADER_LIMIT) throw new CacheError('its header is damaged');
  const bytes = Buffer.alloc(length);
  readAll(file, bytes, PREFIX_BYTES);
  const header = parseHeader(bytes.toString('utf8'));
  if (header === undefined) throw new CacheError('its header is damaged');
  if (header.version !== VERSION || header.source !== source || header.byteOrder !== endianness()) {
    throw new CacheError('it is of another version, source or byte order');
  }
  const start = PREFIX_BYTES + length;
  const { size } = fstatSync(file);
  const expected = start + header.rows * header.dimensions * 4 + header.wordBytes;
  if (size !== expected) throw new CacheError(`it has ${size} bytes where its header says ${expected}`);
  return { header, start };
}

/**
 * Takes the words apart in one pass, for there are very many.
 *
 * @param chosen the held-out rows, in the order asked for
 * @param stops the same rows in ascending order, then the count of rows
 */
function splitWords(
  text: string,
  chosen: Int32Array,
  stops: readonly number[],
): Pick<CachedRows, 'words' | 'heldOutWords'> {
  const words: string[] = [];
  const heldOut = new Map<number, string>();
  let position = 0;
  let row = 0;
  for (const stop of stops) {
    for (; row <= stop; row++) {
      const end = text.indexOf('\n', position);
      if (end < 0) break;
      const word = text.slice(position, end);
      if (row < stop) words.push(word);
      else heldOut.set(row, word);
      position = end + 1;
    }
  }
  if (row !== stops.at(-1) || position !== text.length) throw new CacheError('it has not as many words as rows');
  return { words, heldOutWords: Array.from(chosen, (chosenRow) => heldOut.get(chosenRow)!) };
}

/**
 * Reads a cache file, rows to hold out going straight into an array of their own.
 *
 * @param source the source the file must name
 * @param chooseHeldOut given the count of rows, picks the different rows to hold out
 * @throws CacheError if the file is missing, of another version or source, or damaged
 */
export function readCache(path: string, source: string, chooseHeldOut: (rows: number) => Int32Array): CachedRows {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new CacheError('it cannot be opened', { cause: error });
  }
  try {
    const { header, start } = readHeader(file, source);
    const { rows, dimensions } = header;
    const chosen = chooseHeldOut(rows);
    const heldOut = new Float32Array(chosen.length * dimensions);
    const vectors = new Float32Array((rows - chosen.length) * dimensions);
    let checksum = 0;
    function readRows(target: Float32Array, firstRow: number): void {
      readAll(file, bytesOf(target), start + firstRow * dimensions * 4);
      checksum = (checksum + sumOfBits(target)) | 0;
    }

    chosen.forEach((row, i) => {
      readRows(heldOut.subarray(i * dimensions, (i + 1) * dimensions), row);
    });
    const stops = [...chosen.toSorted(), rows];
    let next = 0;
    let filled = 0;
    for (const stop of stops) {
      const end = filled + (stop - next) * dimensions;
      readRows(vectors.subarray(filled, end), next);
      filled = end;
      next = stop + 1;
    }
    const text = Buffer.allocUnsafe(header.wordBytes);
    readAll(file, text, start + rows * dimensions * 4);
    if ((checksum + sumOfBytes(text)) >>> 0 !== header.checksum) throw new CacheError('its checksum is wrong');
    return { header, vectors, heldOut, ...splitWords(text.toString('utf8'), chosen, stops) };
  } finally {
    closeSync(file);
  }
}
