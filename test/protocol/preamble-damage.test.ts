import { describe, expect, it } from 'vitest';
import { ERROR_CODES, type ScanneryError } from '../../src/index.ts';
import { decodeHeader, decodePreamble, encodeHeader, PREAMBLE_BYTES } from '../../src/protocol/file-format.ts';
import { failureOf } from '../support/failures.ts';

const encoded = encodeHeader('test', { size: 5 }, [{ length: 10, checksums: [1] }]);

/** Reads as files.ts does: as many header bytes as there are. */
function failure(bytes: Buffer): Promise<ScanneryError> {
  return failureOf(() => {
    const { length, checksum } = decodePreamble(bytes.subarray(0, PREAMBLE_BYTES), 'file');
    return decodeHeader(bytes.subarray(PREAMBLE_BYTES, PREAMBLE_BYTES + length), checksum, 'test', 'file');
  });
}

/** What damage to a byte of the preamble may be taken for. */
function expectedCodes(at: number): string[] {
  if (at < 8) return ['SCANNERY_BAD_MAGIC'];
  if (at < 12) return ['SCANNERY_NEWER_VERSION', 'SCANNERY_CHECKSUM'];
  return ['SCANNERY_CHECKSUM'];
}

describe('every damaged bit of the preamble', () => {
  it.each(Array.from({ length: PREAMBLE_BYTES }, (_, at) => at))('is found: byte %i', async (at) => {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = Buffer.from(encoded);
      bytes[at]! ^= 1 << bit;
      const { code, path } = await failure(bytes);
      expect(Object.keys(ERROR_CODES)).toContain(code);
      expect(expectedCodes(at)).toContain(code);
      expect(path).toBe('file');
    }
  });
});

it('a header that is cut anywhere is refused', async () => {
  const end = PREAMBLE_BYTES + encoded.readUInt32LE(12);
  for (let length = 0; length < end; length++) {
    const { code } = await failure(encoded.subarray(0, length));
    const expected = length === 0 ? 'SCANNERY_BAD_MAGIC' : 'SCANNERY_TRUNCATED';
    expect(code).toBe(length < PREAMBLE_BYTES ? expected : 'SCANNERY_CHECKSUM');
  }
});
