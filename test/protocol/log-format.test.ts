import { expect, it } from 'vitest';
import { decodeFrameHeader, encodeFrame, FRAME_HEADER_BYTES, FRAME_MARK } from '../../src/protocol/log-format.ts';
import { xxh32 } from '../../src/protocol/xxh32.ts';

const payload = Buffer.from('a payload');
const frame = encodeFrame(payload, 5_000_000_000, 0xfedcba98);

it('lays a frame out as it is described', () => {
  expect(frame).toHaveLength(FRAME_HEADER_BYTES + payload.length);
  expect(frame.subarray(0, 4)).toEqual(FRAME_MARK);
  expect(frame.readUInt32LE(4)).toBe(payload.length);
  expect(frame.readDoubleLE(8)).toBe(5_000_000_000);
  expect(frame.readUInt32LE(16)).toBe(0xfedcba98);
  expect(frame.readUInt32LE(20)).toBe(xxh32(payload));
  expect(frame.readUInt32LE(24)).toBe(xxh32(frame.subarray(0, 24)));
  expect(frame.readUInt32LE(28)).toBe(0);
  expect(frame.subarray(32)).toEqual(payload);
});

it('reads a header wherever it lies', () => {
  const wanted = {
    ...{ length: payload.length, acknowledged: 5_000_000_000, previous: 0xfedcba98 },
    ...{ payloadChecksum: xxh32(payload), checksum: frame.readUInt32LE(24) },
  };
  expect(decodeFrameHeader(frame, 0)).toEqual(wanted);
  expect(decodeFrameHeader(Buffer.concat([Buffer.alloc(3), frame]), 3)).toEqual(wanted);
  const empty = encodeFrame(new Uint8Array(0), 0, 0);
  expect(decodeFrameHeader(empty, 0)).toMatchObject({ length: 0, acknowledged: 0, previous: 0 });
});

it('refuses a header with any bit flipped', () => {
  for (let bit = 0; bit < 8 * FRAME_HEADER_BYTES; bit++) {
    const bytes = Buffer.from(frame);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    expect(decodeFrameHeader(bytes, 0), `bit ${bit}`).toBeNull();
  }
});

it('refuses a header that is cut, and one that begins elsewhere', () => {
  for (let length = 0; length < FRAME_HEADER_BYTES; length++) {
    expect(decodeFrameHeader(frame.subarray(0, length), 0)).toBeNull();
  }
  for (let at = 1; at < frame.length + 4; at++) expect(decodeFrameHeader(frame, at)).toBeNull();
});
