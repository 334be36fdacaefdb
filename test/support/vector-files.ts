// Writers of the formats, for the tests of their readers.
import { writeFileSync } from 'node:fs';
import type { ElementName } from '../../src/io/index.ts';

type Setter = (bytes: Buffer, at: number, value: number) => void;

const SETTERS: Partial<Record<ElementName, readonly [bytes: number, set: Setter]>> = {
  float32: [4, (bytes, at, value) => bytes.writeFloatLE(value, at)],
  uint8: [1, (bytes, at, value) => bytes.writeUInt8(value, at)],
  int8: [1, (bytes, at, value) => bytes.writeInt8(value, at)],
  int32: [4, (bytes, at, value) => bytes.writeInt32LE(value, at)],
};

/** Numbers as bytes. */
export function bytesOf(name: ElementName, values: readonly number[]): Buffer {
  const [size, set] = SETTERS[name]!;
  const bytes = Buffer.alloc(size * values.length);
  for (const [i, value] of values.entries()) set(bytes, i * size, value);
  return bytes;
}

/** A file of TEXMEX: each vector behind its length. */
export function vecs(name: ElementName, vectors: readonly (readonly number[])[]): Buffer {
  return Buffer.concat(vectors.flatMap((vector) => [bytesOf('int32', [vector.length]), bytesOf(name, vector)]));
}

/** A file of big-ann: rows and dimensions, then the vectors. */
export function bin(name: ElementName, rows: number, dimensions: number, values: readonly number[]): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(rows, 0);
  header.writeUInt32LE(dimensions, 4);
  return Buffer.concat([header, bytesOf(name, values)]);
}

export function written(path: string, bytes: Uint8Array): string {
  writeFileSync(path, bytes);
  return path;
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
