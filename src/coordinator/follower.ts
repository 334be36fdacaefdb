import { join } from 'node:path';
import { applyChange, mergeUpserts } from './apply.ts';
import { generationPath, readCurrent } from './generations.ts';
import { LOG_FILE, LogReader, type LogScan } from './log-reader.ts';
import type { OpenedParts, Parts } from './parts.ts';
import type { StoredState } from './store.ts';

/** What following a writer came to. */
export interface Followed {
  /** The same, or others where the index had to be opened anew. */
  readonly parts: Parts;
  readonly changes: number;
}

/** A reader of a directory that another process writes to. */
export class Follower {
  readonly #directory: string;
  readonly #reopen: () => Promise<OpenedParts>;
  #state: StoredState;

  constructor(directory: string, state: StoredState, reopen: () => Promise<OpenedParts>) {
    this.#directory = directory;
    this.#state = state;
    this.#reopen = reopen;
  }

  /** Brings an index up to what the directory holds. If it throws, what was taken in before stays. */
  async follow(parts: Parts): Promise<Followed> {
    const { generation, log } = this.#state;
    if ((await readCurrent(this.#directory)) !== generation) return this.#openAnew();
    const reader = await LogReader.open(join(generationPath(this.#directory, generation), LOG_FILE));
    // Without a log nothing was written, or a new generation has come meanwhile.
    if (reader === null) return log === null && (await this.#isCurrent()) ? { parts, changes: 0 } : this.#openAnew();
    try {
      const from = log?.end ?? LogReader.start;
      if (!(await reader.has(from))) return this.#openAnew();
      const scan = await reader.scan(from);
      const tookBackEarlier = [...scan.voided].some((number) => number < from.number);
      if (tookBackEarlier || scan.rest < 0 || (scan.rest > 0 && !(await isOneLog(reader, scan)))) {
        return this.#openAnew();
      }
      let changes = 0;
      let now = parts;
      for await (const change of mergeUpserts(counted(reader.changes(scan, from), () => changes++))) {
        now = (await applyChange(now, change)).parts;
      }
      this.#state = { generation, log: scan };
      return { parts: now, changes };
    } finally {
      await reader.close();
    }
  }

  async #isCurrent(): Promise<boolean> {
    return (await readCurrent(this.#directory)) === this.#state.generation;
  }

  async #openAnew(): Promise<Followed> {
    const { parts, state } = await this.#reopen();
    this.#state = state;
    return { parts, changes: 0 };
  }
}

/** Whether a log that goes on with something unreadable is otherwise what it was, and not cut and written to since. */
async function isOneLog(reader: LogReader, { end }: LogScan): Promise<boolean> {
  const whole = await reader.scan();
  return !whole.isDamaged && whole.end.offset === end.offset && whole.end.previous === end.previous;
}

async function* counted<T>(items: AsyncIterable<T>, count: () => void): AsyncGenerator<T> {
  for await (const item of items) {
    count();
    yield item;
  }
}
