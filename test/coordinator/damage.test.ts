import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';
import { SavedIndex } from '../support/saved-index.ts';
import { bits, clustered, rowAt } from '../support/vectors.ts';

const data = clustered(300, 8);
const GENERATION = 'generation-000001';
const FILES = [
  `${GENERATION}/index.scannery`,
  `${GENERATION}/shard-0000.scannery`,
  `${GENERATION}/shard-0001.scannery`,
];

let saved: SavedIndex;
let directory: string;
beforeAll(async () => {
  saved = await SavedIndex.make(data, [4, 7, 299]);
  directory = saved.directory;
  expect(saved.files).toEqual(['CURRENT', ...FILES]);
});
afterAll(() => saved.restore());
const original = (file: string): Buffer => saved.original(file);
const outcome = (file: string, bytes: Uint8Array): Promise<string> => saved.outcome(new Map([[file, bytes]]));

function flipped(file: string, at: number, bit = at % 8): Buffer {
  const bytes = Buffer.from(original(file));
  bytes[at]! ^= 1 << bit;
  return bytes;
}

/** Bytes of preamble and header. */
const headerEnd = (file: string): number => 24 + original(file).readUInt32LE(12);

describe.each(FILES)('%s', (file) => {
  it('is refused as no scannery file with any byte of its magic changed', async () => {
    for (let at = 0; at < 8; at++) expect(await outcome(file, flipped(file, at))).toBe('SCANNERY_BAD_MAGIC');
    expect(await outcome(file, Buffer.from('something else'))).toBe('SCANNERY_BAD_MAGIC');
    expect(await outcome(file, Buffer.alloc(0))).toBe('SCANNERY_BAD_MAGIC');
  });

  it('is refused as newer by its version alone', async () => {
    for (const version of [2, 3, 255, 65536, 0xffffffff]) {
      const bytes = Buffer.from(original(file));
      bytes.writeUInt32LE(version, 8);
      expect(await outcome(file, bytes)).toBe('SCANNERY_NEWER_VERSION');
    }
    const zero = Buffer.from(original(file));
    zero.writeUInt32LE(0, 8);
    expect(await outcome(file, zero)).toBe('SCANNERY_CHECKSUM');
  });

  it('is refused with any bit of preamble and header flipped', async () => {
    for (let at = 8; at < headerEnd(file); at++) {
      for (const bit of at < 24 ? [0, 1, 2, 3, 4, 5, 6, 7] : [at % 8]) {
        const code = await outcome(file, flipped(file, at, bit));
        const expected =
          at < 24 ? ['SCANNERY_CHECKSUM', 'SCANNERY_NEWER_VERSION', 'SCANNERY_TRUNCATED'] : ['SCANNERY_CHECKSUM'];
        expect(expected, `byte ${at}`).toContain(code);
      }
    }
  });

  it('is refused with a bit of its data flipped, and opens as ever with one of its padding', async () => {
    const { length } = original(file);
    const seen: Record<string, number> = {};
    for (let at = headerEnd(file); at < length; at += 211) {
      const code = await outcome(file, flipped(file, at));
      seen[code] = (seen[code] ?? 0) + 1;
    }
    expect(await outcome(file, flipped(file, length - 1))).toBe('SCANNERY_CHECKSUM');
    expect(Object.keys(seen).sort()).toEqual(['SCANNERY_CHECKSUM', 'same']);
    expect(seen.SCANNERY_CHECKSUM).toBeGreaterThan(20);
  });

  it('is refused when it is cut, anywhere', async () => {
    const { length } = original(file);
    const lengths = new Set([
      1,
      7,
      8,
      11,
      12,
      23,
      24,
      25,
      headerEnd(file) - 1,
      headerEnd(file),
      4095,
      4096,
      4097,
      length - 1,
    ]);
    for (let at = 0; at < length; at += 997) lengths.add(at);
    lengths.delete(0);
    for (const at of lengths) {
      expect(await outcome(file, original(file).subarray(0, at)), `at ${at}`).toBe('SCANNERY_TRUNCATED');
    }
  });

  it('opens as ever when something was added to its end', async () => {
    expect(await outcome(file, Buffer.concat([original(file), Buffer.from('more')]))).toBe('same');
  });

  it('is refused in the place of another', async () => {
    for (const elsewhere of FILES) {
      if (elsewhere !== file) expect(await outcome(file, original(elsewhere))).toBe('SCANNERY_CHECKSUM');
    }
  });
});

describe('CURRENT', () => {
  it('is refused with any byte changed, whatever it then says', async () => {
    const codes = new Set<string>();
    for (let at = 0; at < original('CURRENT').length; at++) {
      for (let bit = 0; bit < 8; bit++) codes.add(await outcome('CURRENT', flipped('CURRENT', at, bit)));
    }
    expect(codes).not.toContain('same');
    expect(codes).toContain('SCANNERY_BAD_MAGIC');
    expect(codes).toContain('SCANNERY_CHECKSUM');
  });

  it('is refused when it is cut, anywhere', async () => {
    for (let length = 0; length < original('CURRENT').length; length++) {
      const code = await outcome('CURRENT', original('CURRENT').subarray(0, length));
      expect(['SCANNERY_TRUNCATED', 'SCANNERY_BAD_MAGIC'], `at ${length}`).toContain(code);
    }
  });

  it('is refused as newer by its version', async () => {
    const text = original('CURRENT').toString().replace('scannery 1', 'scannery 2');
    expect(await outcome('CURRENT', Buffer.from(text))).toBe('SCANNERY_NEWER_VERSION');
  });

  it('that names a generation which is gone is refused', async () => {
    const { xxh32 } = await import('../../src/protocol/xxh32.ts');
    const line = 'scannery 1 generation-000009';
    const text = `${line} ${xxh32(Buffer.from(line)).toString(16).padStart(8, '0')}\n`;
    expect(await outcome('CURRENT', Buffer.from(text))).toBe('SCANNERY_TRUNCATED');
  });
});

it('damaged data is not looked for when verifyChecksums is false', async () => {
  const [, shard] = FILES as [string, string];
  writeFileSync(join(directory, shard), flipped(shard, original(shard).length - 1));
  expect((await failureOf(Index.open(directory))).code).toBe('SCANNERY_CHECKSUM');
  await using index = await Index.open(directory, { verifyChecksums: false, threads: 1 });
  expect((await index.search(rowAt(data, 0), { k: 300 })).ids.length).toBeGreaterThan(0);
  writeFileSync(join(directory, shard), original(shard));
  await using again = await Index.open(directory, { threads: 1 });
  expect(bits(await again.search(rowAt(data, 0))).ids).toHaveLength(10);
});
