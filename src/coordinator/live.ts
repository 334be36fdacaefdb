import { ScanneryError } from '../protocol/errors.ts';
import type { RebalanceOptions } from '../protocol/options.ts';
import { withDefaults } from './measuring.ts';
import type { Parts } from './parts.ts';
import { rebuild } from './rebuild.ts';
import { needsVectors } from './stored-vectors.ts';
import { throwIfAborted } from './threads.ts';
import type { TuneResult } from './types.ts';

/** An open index: what it consists of now, the order of its writes, and how it is rebuilt and closed while it is in use. */
export class Live {
  /** Null once closed, so that the memory can go. */
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  #sizeWhenClosed = 0;
  /** Settles, without an error, when all writes so far have. */
  #written: Promise<unknown> = Promise.resolve();
  /** Calls of several steps that need the parts that they began with. */
  readonly #uses = new Set<Promise<unknown>>();
  #rebalancing: Promise<void> | null = null;
  /** Ends the rebalancing that is under way. */
  #abort = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#parts?.contents.size ?? this.#sizeWhenClosed;
  }

  /** @throws {ScanneryError} SCANNERY_CLOSED */
  open(): Parts {
    if (this.#closing === null && this.#parts !== null) return this.#parts;
    throw new ScanneryError('SCANNERY_CLOSED', 'the index is closed');
  }

  /** Does something that takes several steps; the parts it is given serve until it has ended. */
  async use<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
    const using = work(this.open());
    const settled = using.catch(() => {});
    this.#uses.add(settled);
    try {
      return await using;
    } finally {
      this.#uses.delete(settled);
    }
  }

  /** Writes, or saves, after all writes before it, and before all that come later. */
  async write<T>(signal: AbortSignal | undefined, work: (parts: Parts) => Promise<T>): Promise<T> {
    this.open();
    throwIfAborted(signal);
    return this.#turn(() => {
      throwIfAborted(signal);
      return work(this.#parts!);
    });
  }

  /** Makes what tuning chose the search defaults. */
  setDefaults(result: TuneResult): void {
    const parts = this.open();
    this.#parts = { ...parts, data: withDefaults(parts.data, result) };
  }

  /** Builds the vectors there are into new memories while everything goes on, then serves from these. One at a time. */
  async rebalance(options: Readonly<RebalanceOptions>): Promise<void> {
    if (this.open().data.config.reordering === false) throw needsVectors('rebalance');
    while (this.#rebalancing !== null) await this.#rebalancing.catch(() => {});
    throwIfAborted(options.signal);
    this.open();
    const { signal, onProgress } = options;
    this.#abort = new AbortController();
    const abort = (): void => this.#abort.abort(signal!.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#rebalancing = this.#rebalance(this.#abort.signal, onProgress).finally(() => {
      this.#rebalancing = null;
      signal?.removeEventListener('abort', abort);
    });
    try {
      await this.#rebalancing;
    } catch (error) {
      // Closing aborts it, but that is not what the caller did.
      if (this.#closing !== null && signal?.aborted !== true) this.open();
      throw error;
    }
  }

  async #rebalance(signal: AbortSignal, onProgress: RebalanceOptions['onProgress']): Promise<void> {
    const before = this.#parts!;
    const fresh = await rebuild(before, { signal, onProgress });
    try {
      await fresh.catchUp();
      await this.#turn(async () => {
        await fresh.catchUp();
        throwIfAborted(signal);
        const { defaults } = this.#parts!.data.config;
        this.#parts = { ...fresh.parts, data: { ...fresh.parts.data, config: fresh.configWith(defaults) } };
      });
    } catch (error) {
      await fresh.parts.serving.stop();
      throw error;
    }
    // Searches that began before end where they began.
    await Promise.all(this.#uses);
    await before.serving.stop();
    fresh.parts.serving.dispatcher.add(before.serving.dispatcher.counters);
  }

  /** Waits for the calls in flight, then frees threads and memory. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #stop(): Promise<void> {
    this.#abort.abort();
    await this.#rebalancing?.catch(() => {});
    await this.#written;
    await this.#parts!.serving.stop();
    this.#sizeWhenClosed = this.#parts!.contents.size;
    this.#parts = null;
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#written.then(work);
    this.#written = turn.catch(() => {});
    return turn;
  }
}
