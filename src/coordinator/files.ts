import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ScanneryError } from '../protocol/errors.ts';
import {
  alignSection,
  damaged,
  decodeHeader,
  decodePreamble,
  encodeHeader,
  type FileHeader,
  PIECE_BYTES,
  PREAMBLE_BYTES,
  truncated,
} from '../protocol/file-format.ts';
import { xxh32 } from '../protocol/xxh32.ts';
import { throwIfAborted } from './threads.ts';

/** Bytes to write or to read into, and how they are hashed: by a kernel where they lie in a kernel's memory. */
export interface Section {
  readonly bytes: Uint8Array;
  readonly hash: (start: number, length: number) => number;
}

export function plainSection(bytes: Uint8Array): Section {
  return { bytes, hash: (start, length) => xxh32(bytes, start, length) };
}

/** Writes a whole file and syncs it. The header comes first, so all checksums are made before anything is written. */
export async function writeFile(
  path: string,
  kind: string,
  meta: FileHeader['meta'],
  sections: readonly Section[],
): Promise<void> {
  await wrap(path, async () => {
    const handle = await open(path, 'wx');
    try {
      const described = sections.map(({ bytes }) => ({ length: bytes.length, checksums: [] as number[] }));
      for (const [i, section] of sections.entries()) {
        for (let start = 0; start < section.bytes.length; start += PIECE_BYTES) {
          described[i]!.checksums.push(section.hash(start, Math.min(PIECE_BYTES, section.bytes.length - start)));
          await nextTurn();
        }
      }
      const header = encodeHeader(kind, meta, described);
      await writeAll(handle, header, 0);
      let offset = header.length;
      for (const { bytes } of sections) {
        await writeAll(handle, bytes, offset);
        offset = alignSection(offset + bytes.length);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

export async function writeAll(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  const most = 1 << 30; // one system call writes at most 2 GiB
  for (let start = 0; start < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, start, Math.min(most, bytes.length - start), offset + start);
    start += bytesWritten;
  }
}

/** A saved file, open for reading, with its header checked. */
export class SavedFile {
  readonly path: string;
  readonly header: FileHeader;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle, header: FileHeader) {
    this.path = path;
    this.#handle = handle;
    this.header = header;
  }

  /** `kind`: what it has to be; any if left out. */
  static async open(path: string, kind?: string): Promise<SavedFile> {
    return wrap(path, async () => {
      const handle = await open(path, 'r');
      try {
        const { size } = await handle.stat();
        const preamble = Buffer.alloc(Math.min(size, PREAMBLE_BYTES));
        await handle.read(preamble, 0, preamble.length, 0);
        const { length, checksum } = decodePreamble(preamble, path);
        if (size < PREAMBLE_BYTES + length) throw truncated(path, PREAMBLE_BYTES + length, size);
        const bytes = Buffer.alloc(length);
        await handle.read(bytes, 0, length, PREAMBLE_BYTES);
        const header = decodeHeader(bytes, checksum, kind, path);
        // An empty section at the end starts where the file would go on.
        const filled = header.sections.filter((section) => section.length > 0);
        const end = Math.max(0, ...filled.map((section) => section.offset + section.length));
        if (size < end) throw truncated(path, end, size);
        return new SavedFile(path, handle, header);
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  /** Reads section i straight into place; each piece is compared with its checksum while the next one is read. */
  async read(
    i: number,
    into: Section,
    { verify, signal }: { verify: boolean; signal?: AbortSignal | undefined },
  ): Promise<void> {
    const section = this.header.sections[i];
    if (section === undefined || section.length !== into.bytes.length)
      throw damaged(this.path, `the size of section ${i}`);
    await wrap(this.path, async () => {
      let check = (): void => {};
      for (let start = 0, piece = 0; start < section.length; start += PIECE_BYTES, piece++) {
        throwIfAborted(signal);
        const length = Math.min(PIECE_BYTES, section.length - start);
        const reading = this.#handle.read(into.bytes, start, length, section.offset + start);
        try {
          check();
        } finally {
          await reading;
        }
        const { bytesRead } = await reading;
        if (bytesRead !== length)
          throw truncated(this.path, section.offset + section.length, section.offset + start + bytesRead);
        const expected = section.checksums[piece];
        check = () => {
          if (verify && into.hash(start, length) >>> 0 !== expected) throw damagedPiece(this.path, i, start, length);
        };
      }
      check();
    });
  }

  /** Compares every section with its checksums, a piece at a time. */
  async verify(signal?: AbortSignal): Promise<void> {
    const piece = Buffer.alloc(PIECE_BYTES);
    await wrap(this.path, async () => {
      for (const [i, { offset, length, checksums }] of this.header.sections.entries()) {
        for (let start = 0; start < length; start += PIECE_BYTES) {
          throwIfAborted(signal);
          const bytes = piece.subarray(0, Math.min(PIECE_BYTES, length - start));
          const { bytesRead } = await this.#handle.read(bytes, 0, bytes.length, offset + start);
          if (bytesRead !== bytes.length) throw truncated(this.path, offset + length, offset + start + bytesRead);
          if (xxh32(bytes) !== checksums[start / PIECE_BYTES]) throw damagedPiece(this.path, i, start, bytes.length);
        }
      }
    });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function damagedPiece(path: string, section: number, start: number, length: number): ScanneryError {
  return damaged(path, `section ${section}, bytes ${start} to ${start + length}`);
}

/** Turns an error of the operating system into one of ours. */
export async function wrap<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ScanneryError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ScanneryError('SCANNERY_IO', `${path}: ${message}`, { path, cause: error });
  }
}
