import { readdir, readFile, readlink, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ScanneryError } from '../protocol/errors.ts';
import { wrap } from './files.ts';
import { processLives, randomName, temporaryPath } from './temporary-names.ts';

// Who may write to a directory. Each who wants to puts down a file of his own and then looks for those of others: of two, at
// least one sees the other, and gives way. A file is its owner's as long as he lives, so a process that was killed leaves
// nothing that anybody has to remove. System locks (flock) would say the same, but Node has none.

const LOCK = /^LOCK-(writer|save)-(\d+)-[0-9a-f]+$/;
/** So often a holder shows those who cannot see its process that it lives. */
const BEAT_MS = 1000;
/** So long they watch. */
const WATCH_MS = 10_000;
/** Two who came at the same time give way to each other and try again, so many times. */
const TRIES = 6;

/** Locks of this process that were given up but could not be removed. */
const abandoned = new Set<string>();

/** A writer keeps the directory; a save has it for a while. */
export type LockKind = 'writer' | 'save';

interface Owner {
  readonly pid: number;
  /** When the process started, in clock ticks since the machine did; null where the system does not tell. */
  readonly started: string | null;
  /** Where process ids mean the same: machine since its start, and namespace. */
  readonly place: string;
}

export class DirectoryLock {
  readonly #path: string;
  readonly #beat: NodeJS.Timeout;
  #lost = false;

  private constructor(path: string) {
    this.#path = path;
    this.#beat = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => {
        this.#lost = true;
      });
    }, BEAT_MS).unref();
  }

  /**
   * Takes a directory for writing. A save waits for other saves.
   *
   * @param watchMs how long a lock is watched whose process cannot be seen from here
   * @throws {ScanneryError} SCANNERY_LOCKED if a living process has it, this one included; SCANNERY_IO
   */
  static async take(directory: string, kind: LockKind, watchMs = WATCH_MS): Promise<DirectoryLock> {
    return wrap(directory, async () => {
      const temporary = temporaryPath(directory);
      const name = `LOCK-${kind}-${process.pid}-${randomName()}`;
      const path = join(directory, name);
      for (let attempt = 1; ; ) {
        let other: string | undefined;
        try {
          await writeFile(temporary, JSON.stringify(await self()), { flag: 'wx' });
          await rename(temporary, path);
          other = await findOther(directory, name, watchMs);
        } catch (error) {
          for (const file of [temporary, path]) await remove(file).catch(() => {});
          throw error;
        }
        if (other === undefined) return new DirectoryLock(path);
        await remove(path);
        const waits = LOCK.exec(other)![1] === 'save';
        if (!waits && attempt++ === TRIES) throw locked(directory, other);
        await delay(10 + 20 * Math.random());
      }
    });
  }

  /**
   * What a holder that was thought dead has to stop for.
   *
   * @throws {ScanneryError} SCANNERY_LOCKED
   */
  check(): void {
    if (this.#lost)
      throw new ScanneryError('SCANNERY_LOCKED', `${this.#path} is gone: another process took the directory`);
  }

  /** @throws {ScanneryError} SCANNERY_IO; then others have to wait until the process ends, but this one need not */
  async release(): Promise<void> {
    clearInterval(this.#beat);
    await remove(this.#path);
  }
}

async function remove(path: string): Promise<void> {
  abandoned.add(path);
  await wrap(path, () => rm(path, { force: true }));
  abandoned.delete(path);
}

/** A lock of another that lives; those of the dead are removed. */
async function findOther(directory: string, own: string, watchMs: number): Promise<string | undefined> {
  for (const name of await readdir(directory)) {
    if (name === own || !LOCK.test(name)) continue;
    const path = join(directory, name);
    if (!abandoned.has(path) && (await lives(path, watchMs))) return name;
    await remove(path);
  }
  return undefined;
}

async function lives(path: string, watchMs: number): Promise<boolean> {
  try {
    const owner = parseOwner(await readFile(path, 'utf8'));
    const { place } = await self();
    if (owner?.place === place) {
      return processLives(owner.pid) && (owner.started === null || owner.started === (await startOf(owner.pid)));
    }
    // Of another machine or container: it lives if it shows so.
    const { mtimeMs } = await stat(path);
    for (const until = performance.now() + watchMs; performance.now() < until; ) {
      await delay(BEAT_MS / 4);
      if ((await stat(path)).mtimeMs !== mtimeMs) return true;
    }
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Null where the power went before the text was on the disk: then process ids say nothing any more. */
function parseOwner(text: string): Owner | null {
  try {
    return JSON.parse(text) as Owner | null;
  } catch {
    return null;
  }
}

async function self(): Promise<Owner> {
  const { pid } = process;
  return { pid, started: await startOf(pid), place: await placeOfProcesses() };
}

async function startOf(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The name before may hold spaces and brackets; of what follows it is the 20th.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

async function placeOfProcesses(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1');
    return `${boot.trim()} ${await readlink('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

function locked(directory: string, name: string): ScanneryError {
  const pid = Number(LOCK.exec(name)![2]);
  const who = pid === process.pid ? 'this process' : `process ${pid}`;
  const message = `${directory} is open for writing in ${who}; open it with readOnly, or close it there`;
  return new ScanneryError('SCANNERY_LOCKED', message, { path: join(directory, name), value: pid });
}
