// A write-ahead log: a scannery file of kind 'log' without sections, then frames, one behind another.
//
//   0  u32 "SLOG"
//   4  u32 bytes of the payload
//   8  f64 bytes of the log that callers had been told are kept when the frame was written
//  16  u32 checksum of the header of the frame before; 0 for the first
//  20  u32 XXH32 of the payload
//  24  u32 XXH32 of the bytes before
//  28  u32 zero
//  32  payload, MessagePack
//
// Each frame names the one before, so a frame that stayed from an earlier end of the log is not taken for a later one. What a
// writer had acknowledged when it wrote a frame tells damage from a tail that was never finished: the latter nobody was told of.

import { xxh32 } from './xxh32.ts';

const FRAME_MAGIC = 0x474f4c53;
export const FRAME_HEADER_BYTES = 32;
/** The magic number as it lies in a file, to look for. */
export const FRAME_MARK = Buffer.from('SLOG', 'latin1');
/** Payloads are cut at this size; one row or id may be longer. */
export const FRAME_PAYLOAD_BYTES = 1 << 18;

export interface FrameHeader {
  readonly length: number;
  readonly acknowledged: number;
  readonly previous: number;
  readonly payloadChecksum: number;
  /** Of this header; the next frame names it. */
  readonly checksum: number;
}

/** A frame around a payload. */
export function encodeFrame(payload: Uint8Array, acknowledged: number, previous: number): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + payload.length);
  frame.writeUInt32LE(FRAME_MAGIC, 0);
  frame.writeUInt32LE(payload.length, 4);
  frame.writeDoubleLE(acknowledged, 8);
  frame.writeUInt32LE(previous, 16);
  frame.writeUInt32LE(xxh32(payload), 20);
  frame.writeUInt32LE(xxh32(frame, 0, 24), 24);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** The checksum of a frame's header, which the next frame names. */
export const frameChecksum = (frame: Buffer): number => frame.readUInt32LE(24);

/** The header of a frame that starts at `at`, or null if there is none that is whole. */
export function decodeFrameHeader(bytes: Buffer, at: number): FrameHeader | null {
  if (at + FRAME_HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== FRAME_MAGIC) return null;
  const checksum = bytes.readUInt32LE(at + 24);
  if (xxh32(bytes, at, 24) !== checksum || bytes.readUInt32LE(at + 28) !== 0) return null;
  return {
    length: bytes.readUInt32LE(at + 4),
    acknowledged: bytes.readDoubleLE(at + 8),
    previous: bytes.readUInt32LE(at + 16),
    payloadChecksum: bytes.readUInt32LE(at + 20),
    checksum,
  };
}
