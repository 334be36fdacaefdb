import { afterSpace, FloatReader } from './float-reader.ts';

/** The property of a body that holds vectors. */
export interface FloatsProperty {
  readonly name: 'vector' | 'vectors';
  readonly dimensions: number;
}

export interface SplitBody {
  /** The vectors, one after another. */
  readonly floats: Float32Array;
  /** Where the rest of the object begins: at its next property or at its end. */
  readonly rest: number;
  /** What stands for the vectors in the rest: as many rows of as many numbers. */
  readonly standIn: readonly unknown[];
}

const [BRACE, END, COMMA, COLON, QUOTE, OPEN, CLOSE] = [...'{},:"[]'].map((text) => text.charCodeAt(0));

/** Reads the vectors of a JSON object that begins with them; undefined where anything is not as it mostly is. */
export function splitBody(body: Uint8Array, { name, dimensions }: FloatsProperty): SplitBody | undefined {
  let at = afterSpace(body, 0);
  if (body[at] !== BRACE) return undefined;
  at = afterName(body, afterSpace(body, at + 1), name);
  if (at < 0) return undefined;
  const reader = new FloatReader(body, at);
  const floats = name === 'vector' ? readRow(reader, dimensions) : readRows(reader, body, dimensions);
  if (floats === undefined) return undefined;
  at = reader.at;
  if (body[at] === COMMA) {
    at = afterSpace(body, at + 1);
    if (body[at] !== QUOTE) return undefined;
  } else if (body[at] !== END) return undefined;
  const row = zeros(dimensions);
  const standIn = name === 'vector' ? row : new Array(floats.length / dimensions).fill(row);
  return { floats, rest: at, standIn };
}

/** Where the value of a property begins whose name is at a place; -1 if another is there. */
function afterName(body: Uint8Array, at: number, name: string): number {
  if (body[at] !== QUOTE || body[at + name.length + 1] !== QUOTE) return -1;
  for (let i = 0; i < name.length; i++) if (body[at + 1 + i] !== name.charCodeAt(i)) return -1;
  const colon = afterSpace(body, at + name.length + 2);
  return body[colon] === COLON ? afterSpace(body, colon + 1) : -1;
}

function readRow(reader: FloatReader, dimensions: number): Float32Array | undefined {
  if (slab.length < dimensions) slab = new Float32Array(SLAB_ROWS * dimensions);
  const row = slab.subarray(0, dimensions);
  if (!reader.row(row, 0, dimensions)) return undefined;
  slab = slab.subarray(dimensions);
  return row;
}

/** Rows that memory is taken for at once, which takes longer than reading one. */
const SLAB_ROWS = 64;
let slab = new Float32Array(0);

function readRows(reader: FloatReader, body: Uint8Array, dimensions: number): Float32Array | undefined {
  if (body[reader.at] !== OPEN) return undefined;
  reader.at = afterSpace(body, reader.at + 1);
  // Numbers take eight bytes or more, mostly.
  let floats = new Float32Array(dimensions * Math.max(1, Math.ceil((body.length - reader.at) / 8 / dimensions)));
  for (let read = 0; ; ) {
    if (read === floats.length) {
      const more = new Float32Array(2 * floats.length);
      more.set(floats);
      floats = more;
    }
    if (!reader.row(floats, read, dimensions)) return undefined;
    read += dimensions;
    const byte = body[reader.at];
    if (byte !== COMMA && byte !== CLOSE) return undefined;
    reader.at = afterSpace(body, reader.at + 1);
    if (byte === CLOSE) return floats.subarray(0, read);
  }
}

let shared: readonly number[] = [];
function zeros(count: number): readonly number[] {
  if (shared.length !== count) shared = Object.freeze(new Array<number>(count).fill(0));
  return shared;
}
