import { type FileHandle, open } from 'node:fs/promises';
import { ScanneryError } from '../protocol/errors.ts';
import {
  damaged,
  decodeHeader,
  decodePreamble,
  PREAMBLE_BYTES,
  SECTION_ALIGNMENT,
  truncated,
} from '../protocol/file-format.ts';
import { decodeFrameHeader, FRAME_HEADER_BYTES, FRAME_MARK } from '../protocol/log-format.ts';
import { unpack } from '../protocol/packing.ts';
import { xxh32 } from '../protocol/xxh32.ts';
import { type Change, type ChangePiece, joinPieces } from './changes.ts';
import { wrap } from './files.ts';

export const LOG_FILE = 'log.scannery';
export const LOG_KIND = 'log';
/** Where the first frame is. */
export const LOG_START = SECTION_ALIGNMENT;

const CHUNK = 1 << 20;

/** Between two changes of a log. */
export interface LogPosition {
  readonly offset: number;
  /** Checksum of the last frame before; 0 where there is none. */
  readonly previous: number;
  /** Where that frame begins. */
  readonly frame: number;
  /** The number of the next change. */
  readonly number: number;
}

/** What a log holds from a position on. */
export interface LogScan {
  /** Behind the last whole change. */
  readonly end: LogPosition;
  /** Bytes behind it: of changes that were never finished, or damage. */
  readonly rest: number;
  /** Whether what follows `end` was acknowledged, so that cutting it off loses it. */
  readonly isDamaged: boolean;
  /** Numbers of changes that were taken back. */
  readonly voided: ReadonlySet<number>;
}

/** A log, open for reading. */
export class LogReader {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Of the vectors in it. */
  readonly dimensions: number;
  readonly #size: number;
  #chunk: Buffer = Buffer.alloc(0);
  #chunkStart = 0;

  private constructor(path: string, handle: FileHandle, dimensions: number, size: number) {
    this.path = path;
    this.#handle = handle;
    this.dimensions = dimensions;
    this.#size = size;
  }

  /** Where the first change is. */
  static get start(): LogPosition {
    return { offset: LOG_START, previous: 0, frame: LOG_START, number: 0 };
  }

  /** What is appended after it was opened is not seen. Null if there is no such file. */
  static async open(path: string): Promise<LogReader | null> {
    return wrap(path, async () => {
      let handle: FileHandle;
      try {
        handle = await open(path, 'r');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
      try {
        const { size } = await handle.stat();
        const head = Buffer.alloc(Math.min(size, LOG_START));
        await handle.read(head, 0, head.length, 0);
        const { length, checksum } = decodePreamble(head, path);
        if (size < LOG_START) throw truncated(path, LOG_START, size);
        const end = PREAMBLE_BYTES + length;
        if (end > LOG_START) throw damaged(path, 'its preamble');
        const { meta } = decodeHeader(head.subarray(PREAMBLE_BYTES, end), checksum, LOG_KIND, path);
        if (!Number.isSafeInteger(meta.dimensions)) throw damaged(path, 'its header');
        return new LogReader(path, handle, meta.dimensions as number, size);
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  /** Looks through the log, and compares all of it with its checksums. */
  async scan(from: LogPosition = LogReader.start): Promise<LogScan> {
    return wrap(this.path, async () => {
      const voided = new Set<number>();
      let [at, end]: [{ offset: number; previous: number }, LogPosition] = [from, from];
      for (;;) {
        const frame = await this.#frame(at.offset, at.previous);
        if (frame === null) break;
        const { piece, next } = frame;
        if (piece.kind === 'void') voided.add(piece.of);
        if (!piece.more) end = { ...next, frame: at.offset, number: piece.number + 1 };
        at = next;
      }
      const isDamaged = at.offset < this.#size && (await this.#acknowledgedBehind(at.offset));
      return { end, rest: this.#size - end.offset, isDamaged, voided };
    });
  }

  /** Whether what was before a position still is, and was not cut off and written anew. */
  async has({ previous, frame }: LogPosition): Promise<boolean> {
    if (previous === 0) return true;
    return wrap(this.path, async () => {
      const at = await this.#have(frame, FRAME_HEADER_BYTES);
      return at >= 0 && decodeFrameHeader(this.#chunk, at)?.checksum === previous;
    });
  }

  /** The changes up to where a scan found the end, without those taken back. */
  async *changes({ end, voided }: LogScan, from: LogPosition = LogReader.start): AsyncGenerator<Change> {
    let pieces: ChangePiece[] = [];
    for (let at: { offset: number; previous: number } = from; at.offset < end.offset; ) {
      const frame = await wrap(this.path, () => this.#frame(at.offset, at.previous));
      if (frame === null) throw damaged(this.path, `what follows byte ${at.offset}`);
      const { piece, next } = frame;
      at = next;
      if (piece.kind === 'void' || voided.has(piece.number)) continue;
      pieces.push(piece);
      if (piece.more) continue;
      yield joinPieces(pieces, this.dimensions);
      pieces = [];
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** The frame at an offset, or null if there is no whole one that follows the one before. */
  async #frame(
    offset: number,
    previous: number,
  ): Promise<{ piece: ChangePiece; next: { offset: number; previous: number } } | null> {
    const at = await this.#have(offset, FRAME_HEADER_BYTES);
    const header = at < 0 ? null : decodeFrameHeader(this.#chunk, at);
    if (header === null || header.previous !== previous) return null;
    const payload = await this.#have(offset + FRAME_HEADER_BYTES, header.length);
    if (payload < 0 || xxh32(this.#chunk, payload, header.length) !== header.payloadChecksum) return null;
    const next = { offset: offset + FRAME_HEADER_BYTES + header.length, previous: header.checksum };
    try {
      return { piece: unpack(this.#chunk.subarray(payload, payload + header.length)) as ChangePiece, next };
    } catch {
      return null;
    }
  }

  /** Whether a frame behind an offset says that what is there was acknowledged. */
  async #acknowledgedBehind(offset: number): Promise<boolean> {
    for (let from = offset + 1; ; ) {
      const length = Math.min(CHUNK, this.#size - from);
      if (length < FRAME_HEADER_BYTES) return false;
      const start = await this.#have(from, length);
      const found = this.#chunk.subarray(start, start + length).indexOf(FRAME_MARK);
      if (found < 0) {
        from += length - FRAME_MARK.length + 1;
        continue;
      }
      const at = await this.#have(from + found, FRAME_HEADER_BYTES);
      if (at >= 0 && (decodeFrameHeader(this.#chunk, at)?.acknowledged ?? 0) > offset) return true;
      from += found + 1;
    }
  }

  /** Where bytes are in the chunk, after they were read if need be; -1 if the log has not so many. */
  async #have(offset: number, length: number): Promise<number> {
    if (offset + length > this.#size) return -1;
    const at = offset - this.#chunkStart;
    if (at >= 0 && at + length <= this.#chunk.length) return at;
    const chunk = Buffer.alloc(Math.min(Math.max(length, CHUNK), this.#size - offset));
    for (let read = 0; read < chunk.length; ) {
      const { bytesRead } = await this.#handle.read(chunk, read, chunk.length - read, offset + read);
      if (bytesRead === 0) throw truncated(this.path, this.#size, offset + read);
      read += bytesRead;
    }
    this.#chunk = chunk;
    this.#chunkStart = offset;
    return 0;
  }
}

/** The error for a log with damage before its end. */
export function damagedLog(path: string, { end, rest }: LogScan): ScanneryError {
  const message =
    `${path} is damaged: the ${rest} bytes from byte ${end.offset} on differ from what was written; ` +
    'Index.repair keeps what is before';
  return new ScanneryError('SCANNERY_CHECKSUM', message, { path, value: end.offset });
}
