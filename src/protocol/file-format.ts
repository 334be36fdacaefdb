// A scannery file: 24 bytes of preamble, a MessagePack header, then sections of raw bytes.
//
//   0  "SCANNERY"
//   8  u32 version of the format
//  12  u32 bytes of the header
//  16  u32 XXH32 of the header
//  20  u32 zero
//  24  header: { kind, meta, sections: [{ offset, length, checksums }] }
//
// Sections start at multiples of SECTION_ALIGNMENT. Each has one XXH32 per PIECE_BYTES, so damage is found, and placed, piece
// by piece. Numbers are little-endian. The header is data only: it is decoded by msgpackr without extensions.
//
// History of the format
//   1  0.1.0

import { ScanneryError } from './errors.ts';
import { pack, unpack } from './packing.ts';
import { xxh32 } from './xxh32.ts';

export const MAGIC = 'SCANNERY';
export const FORMAT_VERSION = 1;
export const PREAMBLE_BYTES = 24;
export const SECTION_ALIGNMENT = 4096;
export const PIECE_BYTES = 1 << 20;
/** A header lists one checksum per MiB; a hundred megabytes would stand for terabytes. */
const MAX_HEADER_BYTES = 100_000_000;

export interface SectionHeader {
  readonly offset: number;
  readonly length: number;
  readonly checksums: readonly number[];
}

export interface FileHeader {
  readonly kind: string;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly sections: readonly SectionHeader[];
}

/** Where the first section starts after a header of this many bytes. */
export function alignSection(offset: number): number {
  return Math.ceil(offset / SECTION_ALIGNMENT) * SECTION_ALIGNMENT;
}

/**
 * Preamble and header, padded to the first section. Section offsets depend on the header's size and the header on them, so
 * sections are given by length and checksums, and offsets count from the end of the padded header.
 */
export function encodeHeader(
  kind: string,
  meta: FileHeader['meta'],
  sections: readonly Omit<SectionHeader, 'offset'>[],
): Buffer {
  let relative = 0;
  const placed = sections.map((section) => {
    const offset = relative;
    relative = alignSection(relative + section.length);
    return { offset, length: section.length, checksums: [...section.checksums] };
  });
  const header = pack({ kind, meta, sections: placed });
  const out = Buffer.alloc(alignSection(PREAMBLE_BYTES + header.length));
  out.write(MAGIC, 0, 'latin1');
  out.writeUInt32LE(FORMAT_VERSION, 8);
  out.writeUInt32LE(header.length, 12);
  out.writeUInt32LE(xxh32(header), 16);
  header.copy(out, PREAMBLE_BYTES);
  return out;
}

/** Checks a preamble and returns the header's size and checksum. `bytes` may be shorter than a preamble: a cut file. */
export function decodePreamble(bytes: Buffer, path: string): { length: number; checksum: number } {
  const magic = bytes.toString('latin1', 0, Math.min(bytes.length, MAGIC.length));
  if (magic !== MAGIC.slice(0, magic.length) || bytes.length === 0) {
    throw new ScanneryError('SCANNERY_BAD_MAGIC', `${path} is not a scannery file`, { path });
  }
  if (bytes.length < PREAMBLE_BYTES) throw truncated(path, PREAMBLE_BYTES, bytes.length);
  const version = bytes.readUInt32LE(8);
  if (version > FORMAT_VERSION) {
    const message = `${path} has format version ${version}; this scannery reads up to version ${FORMAT_VERSION}`;
    throw new ScanneryError('SCANNERY_NEWER_VERSION', message, { path, value: version });
  }
  const length = bytes.readUInt32LE(12);
  if (version === 0 || length > MAX_HEADER_BYTES || bytes.readUInt32LE(20) !== 0) throw damaged(path, 'its preamble');
  return { length, checksum: bytes.readUInt32LE(16) };
}

/** Checks and decodes a header, of any kind if none is given; section offsets come back as positions in the file. */
export function decodeHeader(bytes: Buffer, checksum: number, kind: string | undefined, path: string): FileHeader {
  if (xxh32(bytes) !== checksum) throw damaged(path, 'its header');
  let header: FileHeader;
  try {
    header = unpack(bytes) as FileHeader;
  } catch (cause) {
    throw damaged(path, 'its header', cause);
  }
  const start = alignSection(PREAMBLE_BYTES + bytes.length);
  const isKind = kind === undefined ? typeof header?.kind === 'string' : header?.kind === kind;
  if (!isKind || typeof header.meta !== 'object' || !Array.isArray(header.sections)) {
    throw damaged(path, kind === undefined ? 'its header' : `its header, which should be of kind '${kind}'`);
  }
  const sections = header.sections.map((section) => {
    const pieces = Math.ceil(section?.length / PIECE_BYTES);
    if (!(section.offset >= 0 && section.length >= 0 && section.checksums?.length === pieces))
      throw damaged(path, 'its header');
    return { ...section, offset: start + section.offset };
  });
  return { kind: header.kind, meta: header.meta, sections };
}

export function truncated(path: string, needed: number, found: number): ScanneryError {
  const message = `${path} should have at least ${needed} bytes and has ${found}`;
  return new ScanneryError('SCANNERY_TRUNCATED', message, { path, value: found });
}

export function damaged(path: string, part: string, cause?: unknown): ScanneryError {
  const message = `${path} is damaged: ${part} differs from what was written`;
  return new ScanneryError('SCANNERY_CHECKSUM', message, { path, ...(cause === undefined ? {} : { cause }) });
}
