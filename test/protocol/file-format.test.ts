import { describe, expect, it } from 'vitest';
import {
  alignSection,
  decodeHeader,
  decodePreamble,
  encodeHeader,
  type FileHeader,
  FORMAT_VERSION,
  MAGIC,
  PIECE_BYTES,
  PREAMBLE_BYTES,
  SECTION_ALIGNMENT,
} from '../../src/protocol/file-format.ts';
import { xxh32 } from '../../src/protocol/xxh32.ts';

const meta = { size: 5, name: 'größe', nested: { list: [1, 2.5, 'x', null, true] }, big: 2 ** 40 };
const sections = [
  { length: 10, checksums: [1] },
  { length: 0, checksums: [] },
  { length: PIECE_BYTES + 1, checksums: [0xffffffff, 7] },
];
const encoded = encodeHeader('test', meta, sections);

function decode(bytes: Buffer, kind = 'test'): FileHeader {
  const { length, checksum } = decodePreamble(bytes.subarray(0, PREAMBLE_BYTES), 'file');
  return decodeHeader(bytes.subarray(PREAMBLE_BYTES, PREAMBLE_BYTES + length), checksum, kind, 'file');
}

/** The header bytes of `value`, put behind a preamble that fits them. */
function withHeader(header: Buffer): Buffer {
  const bytes = Buffer.concat([encoded.subarray(0, PREAMBLE_BYTES), header]);
  bytes.writeUInt32LE(header.length, 12);
  bytes.writeUInt32LE(xxh32(header), 16);
  return bytes;
}

describe('a header', () => {
  it('comes back as it was, with sections where they are in the file', () => {
    const header = decode(encoded);
    expect(header.kind).toBe('test');
    expect(header.meta).toEqual(meta);
    const starts = [encoded.length, encoded.length + SECTION_ALIGNMENT, encoded.length + SECTION_ALIGNMENT];
    expect(header.sections).toEqual(sections.map((section, i) => ({ ...section, offset: starts[i] })));
  });

  it('starts with magic and version, and is padded with zeros to the first section', () => {
    expect(encoded.toString('latin1', 0, 8)).toBe(MAGIC);
    expect(encoded.readUInt32LE(8)).toBe(FORMAT_VERSION);
    expect(encoded.length % SECTION_ALIGNMENT).toBe(0);
    const end = PREAMBLE_BYTES + encoded.readUInt32LE(12);
    expect(encoded.subarray(end).every((byte) => byte === 0)).toBe(true);
  });

  it('is the same for the same contents', () => {
    expect(encodeHeader('test', structuredClone(meta), structuredClone(sections))).toEqual(encoded);
  });

  it('may have no sections', () => {
    expect(decode(encodeHeader('none', {}, []), 'none')).toEqual({ kind: 'none', meta: {}, sections: [] });
  });
});

describe('damage is refused:', () => {
  const failing = (bytes: Buffer, kind?: string) => () => decode(bytes, kind);
  const error = (code: string) => expect.objectContaining({ code, path: 'file' });

  it('another magic', () => {
    for (const text of ['', 'S', 'x', 'SCANNERX', 'GIF89a']) {
      const matches = text === 'S';
      expect(() => decodePreamble(Buffer.from(text), 'file')).toThrow(
        error(matches ? 'SCANNERY_TRUNCATED' : 'SCANNERY_BAD_MAGIC'),
      );
    }
  });

  it('any byte of the header changed', () => {
    const end = PREAMBLE_BYTES + encoded.readUInt32LE(12);
    for (let at = PREAMBLE_BYTES; at < end; at++) {
      const bytes = Buffer.from(encoded);
      bytes[at]! ^= 1 << (at % 8);
      expect(failing(bytes)).toThrow(error('SCANNERY_CHECKSUM'));
    }
  });

  it('a newer version, whatever else has changed', () => {
    const bytes = Buffer.alloc(PREAMBLE_BYTES, 0xff);
    bytes.write(MAGIC);
    bytes.writeUInt32LE(FORMAT_VERSION + 1, 8);
    expect(failing(bytes)).toThrow(error('SCANNERY_NEWER_VERSION'));
  });

  it('a preamble that is cut', () => {
    for (let length = 1; length < PREAMBLE_BYTES; length++) {
      expect(() => decodePreamble(encoded.subarray(0, length), 'file')).toThrow(error('SCANNERY_TRUNCATED'));
    }
  });

  it('version 0, a header beyond belief, a reserved word that is not zero', () => {
    for (const [at, value] of [
      [8, 0],
      [12, 100_000_001],
      [20, 1],
    ] as const) {
      const bytes = Buffer.from(encoded);
      bytes.writeUInt32LE(value, at);
      expect(failing(bytes)).toThrow(error('SCANNERY_CHECKSUM'));
    }
  });

  it('a file of another kind', () => {
    expect(failing(encoded, 'other')).toThrow(error('SCANNERY_CHECKSUM'));
  });

  it.each([
    ['nothing', []],
    ['a number', [5]],
    ['null', [0xc0]],
    ['a map cut short', [0x83, 0xa1]],
    ['an empty map', [0x80]],
    ['bytes after the end', [0x80, 0x80, 0x80]],
  ])('a header that is %s, with a checksum that fits', (_, bytes) => {
    expect(failing(withHeader(Buffer.from(bytes)))).toThrow(error('SCANNERY_CHECKSUM'));
  });

  it.each<[string, { length: number; checksums: number[] }]>([
    ['negative', { length: -1, checksums: [] }],
    ['not numbers', { length: Number.NaN, checksums: [] }],
    ['without checksums', { length: 10, checksums: [] }],
    ['with too many checksums', { length: 10, checksums: [1, 2] }],
  ])('sections that are %s', (_, section) => {
    const header = encodeHeader('test', {}, [section]);
    expect(failing(header)).toThrow(error('SCANNERY_CHECKSUM'));
  });
});

it('sections start at multiples of 4096', () => {
  expect([0, 1, 4095, 4096, 4097].map(alignSection)).toEqual([0, 4096, 4096, 4096, 8192]);
});
