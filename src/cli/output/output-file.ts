import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileWork } from '../errors.ts';

const BUFFER_BYTES = 1 << 20;

/** A file that is written under another name until it is whole. */
export class OutputFile {
  readonly path: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #offset: number;

  private constructor(path: string, temporary: string, handle: FileHandle, offset: number) {
    this.path = path;
    this.#temporary = temporary;
    this.#handle = handle;
    this.#offset = offset;
  }

  /** `headerBytes` are left free for a header that is known in the end. */
  static async create(path: string, headerBytes = 0): Promise<OutputFile> {
    const temporary = join(dirname(path), `.${basename(path)}-${process.pid}.tmp`);
    const handle = await fileWork(path, () => open(temporary, 'w'));
    return new OutputFile(path, temporary, handle, headerBytes);
  }

  async append(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= BUFFER_BYTES) await this.#flush();
  }

  /** Makes it appear under its name. */
  async commit(header?: Uint8Array): Promise<void> {
    await this.#flush();
    await fileWork(this.path, async () => {
      if (header !== undefined) await writeAll(this.#handle, header, 0);
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.#temporary, this.path);
    });
  }

  /** Removes what was written, unless it was committed. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true });
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    await fileWork(this.path, () => writeAll(this.#handle, bytes, this.#offset));
    this.#offset += bytes.length;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let start = 0; start < bytes.length; ) {
    start += (await handle.write(bytes, start, bytes.length - start, offset + start)).bytesWritten;
  }
}
