import type { Change } from './changes.ts';
import { Fifo } from './fifo.ts';
import { throwIfAborted } from './threads.ts';

/** Changes that are logged together at the most. */
const GROUP = 1024;

/** What is done with changes. */
export interface ChangeSteps {
  /** Makes sure that changes outlive the process, all of them or, if it throws, none. */
  log(changes: readonly Change[]): Promise<readonly number[]>;
  /** Makes a change visible; if it throws, nothing has changed. */
  apply(change: Change): Promise<unknown>;
  /** Makes sure that a change which could not be applied is not found either. */
  takeBack(number: number): Promise<void>;
}

interface Entry {
  readonly signal: AbortSignal | undefined;
  /** Of a change. */
  readonly check: (() => Promise<Change>) | null;
  /** Of what nothing else may happen beside. */
  readonly work: (() => Promise<unknown>) | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The order of writes. Changes that wait are logged together, so that one wait for the disk serves them all, and then applied one
 * after another.
 */
export class WriteQueue {
  readonly #entries = new Fifo<Entry>();
  readonly #steps: ChangeSteps;
  #running: Promise<void> | null = null;

  constructor(steps: ChangeSteps) {
    this.#steps = steps;
  }

  /** Makes a change, which `check` finds to be possible, after all before it. */
  change<T>(signal: AbortSignal | undefined, check: () => Promise<Change>): Promise<T> {
    return this.#enter(signal, { check, work: null }) as Promise<T>;
  }

  /** Does something after all before it and before all that come later. */
  alone<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return this.#enter(signal, { check: null, work }) as Promise<T>;
  }

  /** Settles when all that was entered has. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  #enter(signal: AbortSignal | undefined, what: Pick<Entry, 'check' | 'work'>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#entries.push({ ...what, signal, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // What is called in the same turn of the loop comes together.
    await Promise.resolve();
    let entry = this.#entries.shift();
    while (entry !== undefined) {
      if (entry.work !== null) {
        await settle(entry, entry.work);
        entry = this.#entries.shift();
        continue;
      }
      const group = [entry];
      for (entry = this.#entries.shift(); entry?.check && group.length < GROUP; entry = this.#entries.shift()) {
        group.push(entry);
      }
      await this.#runGroup(group);
      // Where nothing was waiting before, something may be now.
      entry ??= this.#entries.shift();
    }
    this.#running = null;
  }

  async #runGroup(group: readonly Entry[]): Promise<void> {
    const changes: Change[] = [];
    const sound: Entry[] = [];
    for (const entry of group) {
      try {
        throwIfAborted(entry.signal);
        changes.push(await entry.check!());
        sound.push(entry);
      } catch (error) {
        entry.reject(error);
      }
    }
    if (changes.length === 0) return;
    let numbers: readonly number[];
    try {
      numbers = await this.#steps.log(changes);
    } catch (error) {
      for (const entry of sound) entry.reject(error);
      return;
    }
    for (const [i, entry] of sound.entries()) {
      try {
        entry.resolve(await this.#steps.apply(changes[i]!));
      } catch (error) {
        await this.#steps.takeBack(numbers[i]!);
        entry.reject(error);
      }
    }
  }
}

async function settle(entry: Entry, work: () => Promise<unknown>): Promise<void> {
  try {
    throwIfAborted(entry.signal);
    entry.resolve(await work());
  } catch (error) {
    entry.reject(error);
  }
}
