import { copyFile, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Durability } from '../protocol/live-options.ts';
import type { IndexData } from './build.ts';
import type { Change } from './changes.ts';
import { announced } from './channels.ts';
import { wrap } from './files.ts';
import { generationPath, readCurrent } from './generations.ts';
import type { DirectoryLock } from './lock.ts';
import { LOG_FILE, type LogScan } from './log-reader.ts';
import { LogWriter } from './log-writer.ts';
import type { Parts } from './parts.ts';
import { saveIndex } from './save.ts';
import type { LogStats } from './types.ts';
import { warn } from './warnings.ts';

/** A checkpoint is made when the log is larger than this, and than a quarter of the index. */
const LEAST_CHECKPOINT_BYTES = 1 << 26;

/** Files that a checkpoint writes anew, and those that were never finished. */
const OWN = /^(index|log|shard-\d+)\.scannery$|\.tmp$/;

export interface StoreOptions {
  readonly durability: Durability;
  /** Undefined: chosen from the size of the index. */
  readonly checkpointBytes: number | undefined;
}

/** Where the log of a generation ends, as it was read. */
export interface StoredState {
  readonly generation: number;
  /** Null if there is no log yet. */
  readonly log: LogScan | null;
}

/** The directory of an index that keeps every write: a generation, and a log of what was written since it was made. */
export class Store {
  readonly directory: string;
  readonly #lock: DirectoryLock;
  readonly #options: StoreOptions;
  #generation: number;
  #log: LogWriter;
  /** Whether the directory may name another generation than the one whose log this is. */
  #isAstray = false;
  #checkpoints = 0;
  #nextTry = 0;

  private constructor(
    directory: string,
    lock: DirectoryLock,
    options: StoreOptions,
    generation: number,
    log: LogWriter,
  ) {
    this.directory = directory;
    this.#lock = lock;
    this.#options = options;
    this.#generation = generation;
    this.#log = log;
  }

  /** Goes on where a log was found to end. What follows there was never acknowledged and is cut off, with a warning. */
  static async open(
    directory: string,
    lock: DirectoryLock,
    { generation, log }: StoredState,
    { dimensions }: IndexData,
    options: StoreOptions,
  ): Promise<Store> {
    const path = join(generationPath(directory, generation), LOG_FILE);
    const form = { durability: options.durability, dimensions };
    if (log === null) return new Store(directory, lock, options, generation, await LogWriter.create(path, form));
    return wrap(path, async () => {
      const handle = await open(path, 'r+');
      try {
        if (log.rest > 0) await handle.truncate(log.end.offset);
        // Whoever wrote it may have left that to the system.
        await handle.sync();
      } catch (error) {
        await handle.close();
        throw error;
      }
      if (log.rest > 0)
        warn('SCANNERY_LOG_CUT', `${path}: ${log.rest} bytes of unfinished writes were cut off its end`);
      return new Store(directory, lock, options, generation, new LogWriter({ path, handle }, log.end, form));
    });
  }

  get stats(): LogStats {
    const { durability } = this.#options;
    return { durability, bytes: this.#log.bytes, checkpoints: this.#checkpoints };
  }

  /** Appends changes to the log. If that is no longer possible, a checkpoint of `parts` starts a new one. */
  async append(changes: readonly Change[], parts: Parts): Promise<number[]> {
    this.#lock.check();
    if (this.#log.hasFailed || this.#isAstray) await this.checkpoint(parts);
    return this.#log.append(changes);
  }

  takeBack(number: number): Promise<void> {
    return this.#log.takeBack(number);
  }

  /** Whether the log has grown so long that a checkpoint is due. */
  isDue({ data }: Parts): boolean {
    const bytes = data.shards.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
    const limit = this.#options.checkpointBytes ?? Math.max(LEAST_CHECKPOINT_BYTES, bytes / 4);
    return this.#log.bytes > Math.max(limit, this.#nextTry);
  }

  /**
   * Saves the index as a new generation with an empty log, and removes the old one. Nothing may be written meanwhile.
   *
   * @throws {ScanneryError} SCANNERY_IO, SCANNERY_LOCKED; then the old generation and its log stay
   */
  checkpoint(parts: Parts): Promise<void> {
    const { directory } = this;
    return announced(
      'scannery:checkpoint',
      () => ({ directory }),
      () => this.#checkpoint(parts),
    );
  }

  async #checkpoint({ data, kernels }: Parts): Promise<void> {
    const before = generationPath(this.directory, this.#generation);
    let log: LogWriter | undefined;
    try {
      const generation = await saveIndex(this.directory, data, kernels, {
        lock: this.#lock,
        extra: async (folder) => {
          await copyOthers(before, folder);
          const { durability } = this.#options;
          log = await LogWriter.create(join(folder, LOG_FILE), { durability, dimensions: data.dimensions });
        },
      });
      const old = this.#log;
      [this.#log, this.#generation, this.#isAstray, this.#nextTry] = [log!, generation, false, 0];
      this.#checkpoints++;
      // Nothing of it is needed any more, so neither is what closing says.
      await old.close().catch(() => {});
    } catch (error) {
      await log?.close().catch(() => {});
      // A failure behind the switch: others read the new generation by now, or will after a crash.
      this.#isAstray = (await readCurrent(this.directory).catch(() => null)) !== this.#generation;
      throw error;
    }
  }

  /** A checkpoint that may fail: the log has everything. Then it waits until the log is twice as long. */
  async tryCheckpoint(parts: Parts): Promise<void> {
    try {
      await this.checkpoint(parts);
    } catch (error) {
      this.#nextTry = 2 * this.#log.bytes;
      warn('SCANNERY_CHECKPOINT_FAILED', `${this.directory}: no checkpoint was made, the log goes on: ${error}`);
    }
  }

  /** Gives the directory up. A log of which it is not known what is on the disk is replaced by a checkpoint before. */
  async close(parts: Parts): Promise<void> {
    try {
      if (this.#log.hasFailed) await this.checkpoint(parts);
    } finally {
      try {
        await wrap(this.directory, () => this.#log.close());
      } finally {
        await this.#lock.release();
      }
    }
  }
}

/** Copies what lies beside an index, such as the rest of a recommender. */
async function copyOthers(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (OWN.test(name)) continue;
    await copyFile(join(from, name), join(to, name));
    const copy = await open(join(to, name), 'r+');
    await copy.sync().finally(() => copy.close());
  }
}
