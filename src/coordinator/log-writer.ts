import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { encodeHeader } from '../protocol/file-format.ts';
import type { Durability } from '../protocol/live-options.ts';
import { encodeFrame, frameChecksum } from '../protocol/log-format.ts';
import { pack } from '../protocol/packing.ts';
import { type Change, type ChangePiece, piecesOf } from './changes.ts';
import { wrap, writeAll } from './files.ts';
import { syncDirectory } from './generations.ts';
import { LOG_KIND, LOG_START, type LogPosition, LogReader } from './log-reader.ts';
import { temporaryPath } from './temporary-names.ts';

/** Frames are written at once up to this size. */
const WRITE_BYTES = 1 << 20;
/** With `durability: 'interval'`, what was written is on the disk after this time. */
const INTERVAL_MS = 1000;

/** A log that changes are appended to. One append at a time. */
export class LogWriter {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #durability: Durability;
  readonly #dimensions: number;
  #position: LogPosition;
  #isDirty = false;
  /** Why nothing more may be appended: what is on the disk is not known. */
  #failure: unknown = null;
  #syncing: Promise<void> = Promise.resolve();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(
    file: { path: string; handle: FileHandle },
    position: LogPosition,
    { durability, dimensions }: { durability: Durability; dimensions: number },
  ) {
    this.#path = file.path;
    this.#handle = file.handle;
    this.#position = position;
    this.#durability = durability;
    this.#dimensions = dimensions;
    if (durability === 'interval') this.#timer = setInterval(() => this.#syncSoon(), INTERVAL_MS).unref();
  }

  /** Makes an empty log, which is on the disk before it has its name. */
  static async create(path: string, options: { durability: Durability; dimensions: number }): Promise<LogWriter> {
    return wrap(path, async () => {
      const temporary = temporaryPath(dirname(path));
      const handle = await open(temporary, 'wx');
      try {
        await writeAll(handle, encodeHeader(LOG_KIND, { dimensions: options.dimensions }, []), 0);
        await handle.sync();
        await rename(temporary, path);
        await syncDirectory(dirname(path));
      } catch (error) {
        await handle.close();
        throw error;
      }
      return new LogWriter({ path, handle }, LogReader.start, options);
    });
  }

  /** Bytes of changes in the log. */
  get bytes(): number {
    return this.#position.offset - LOG_START;
  }

  /** Whether only a new log can take more. */
  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  /**
   * Appends changes, to be found by whoever opens the index from now on; returns their numbers.
   *
   * @throws {ScanneryError} SCANNERY_IO; then none of them is in the log
   */
  async append(changes: readonly Change[]): Promise<number[]> {
    const numbers = changes.map((_, i) => this.#position.number + i);
    await this.#write(async (put) => {
      for (const [i, change] of changes.entries()) {
        for await (const piece of piecesOf(change, numbers[i]!, this.#dimensions)) await put(piece);
      }
    });
    return numbers;
  }

  /** Takes back a change that could not be made. */
  async takeBack(number: number): Promise<void> {
    try {
      await this.#write((put) => put({ number: this.#position.number, more: false, kind: 'void', of: number }));
    } catch (error) {
      this.#failure ??= error;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#syncing;
    try {
      if (this.#isDirty && this.#durability === 'interval' && !this.hasFailed) await this.#handle.datasync();
    } finally {
      await this.#handle.close();
    }
  }

  async #write(make: (put: (piece: ChangePiece) => Promise<void>) => Promise<void>): Promise<void> {
    const before = this.#position;
    let { offset, previous, frame: start, number } = before;
    let pending: Buffer[] = [];
    let bytes = 0;
    const flush = async (): Promise<void> => {
      await writeAll(this.#handle, Buffer.concat(pending, bytes), offset - bytes);
      pending = [];
      bytes = 0;
    };
    await wrap(this.#path, async () => {
      if (this.#failure !== null) throw this.#failure;
      try {
        await make(async (piece) => {
          const frame = encodeFrame(pack(piece), before.offset, previous);
          previous = frameChecksum(frame);
          number = piece.number + 1;
          start = offset;
          offset += frame.length;
          bytes += frame.length;
          pending.push(frame);
          if (bytes >= WRITE_BYTES) await flush();
        });
        await flush();
      } catch (error) {
        await this.#cut(before.offset);
        throw error;
      }
      if (this.#durability === 'always') {
        try {
          await this.#handle.datasync();
        } catch (error) {
          // What reached the disk, of this or of what is before, is not known from now on.
          this.#failure = error;
          await this.#cut(before.offset);
          throw error;
        }
      }
      this.#isDirty = true;
      this.#position = { offset, previous, frame: start, number };
    });
  }

  /** Takes off what was refused, for good. */
  async #cut(offset: number): Promise<void> {
    try {
      await this.#handle.truncate(offset);
      if (this.#durability === 'always') await this.#handle.datasync();
    } catch (error) {
      this.#failure ??= error;
    }
  }

  #syncSoon(): void {
    if (!this.#isDirty || this.hasFailed) return;
    this.#isDirty = false;
    this.#syncing = this.#handle.datasync().catch((error) => {
      this.#failure ??= error;
    });
  }
}
