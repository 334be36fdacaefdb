import { realpath } from 'node:fs/promises';
import { ScanneryError } from '../protocol/errors.ts';
import type { RebalanceOptions } from '../protocol/live-options.ts';
import { applyChange } from './apply.ts';
import type { Change } from './changes.ts';
import { announced } from './channels.ts';
import type { Companion } from './companion.ts';
import type { WriteEvent } from './events.ts';
import type { Follower } from './follower.ts';
import { changedPart, isUnfit } from './health.ts';
import type { Parts } from './parts.ts';
import { rebuild } from './rebuild.ts';
import { saveIndex } from './save.ts';
import type { Store } from './store.ts';
import { needsVectors } from './stored-vectors.ts';
import { throwIfAborted } from './threads.ts';
import type { Id, LogStats, RefreshResult, TuneResult } from './types.ts';
import { warn } from './warnings.ts';
import { WriteQueue } from './write-queue.ts';

/** What of its directory an open index goes on with: either keeps its writes there, or follows those of another. */
export interface Keeping {
  readonly store?: Store;
  readonly follower?: Follower;
}

export interface LiveOptions extends Keeping {
  /** The changed part of the vectors at which the index rebalances itself; false: never. */
  readonly rebalanceAt?: number | false | undefined;
}

/** A write as it was asked for, which nobody has looked at yet. */
interface Write {
  readonly kind: WriteEvent['kind'];
  readonly ids: ArrayLike<Id> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Parts of the way to a rebalancing after which is looked whether what was added suits the tree. */
const LOOK_EVERY = 1 / 5;
/** Smaller indexes do not rebalance themselves: nothing is slow in them. */
const LEAST_REBALANCED = 10_000;

/** An open index: what it consists of now, the order of its writes, and how it is rebuilt and closed while it is in use. */
export class Live {
  /** The public index. */
  owner!: object;
  /** Null once closed, so that the memory can go. */
  #parts: Parts | null;
  #closing: Promise<void> | null = null;
  #sizeWhenClosed = 0;
  readonly #writes: WriteQueue;
  readonly #keeping: Keeping;
  #rebalanceAt: number;
  /** The changed part at which was last looked whether what was added suits the tree. */
  #lookedAt = 0;
  /** Calls of several steps that need the parts that they began with. */
  readonly #uses = new Set<Promise<unknown>>();
  #rebalancing: Promise<void> | null = null;
  #isCheckpointing = false;
  /** Ends the rebalancing that is under way. */
  #abort = new AbortController();

  /** `keeping`: what of the directory it was opened from goes on to matter. */
  constructor(parts: Parts, { rebalanceAt = false, ...keeping }: LiveOptions = {}) {
    this.#parts = parts;
    this.#keeping = keeping;
    this.#rebalanceAt = rebalanceAt === false ? Number.POSITIVE_INFINITY : rebalanceAt;
    this.#writes = new WriteQueue({
      log: async (changes) => (await keeping.store?.append(changes, this.#parts!)) ?? [],
      takeBack: async (number) => keeping.store?.takeBack(number),
      apply: async (change) => {
        const { parts, result } = await applyChange(this.#parts!, change);
        this.#parts = parts;
        return result;
      },
    });
  }

  /** What is kept of writes, or undefined. */
  get log(): LogStats | undefined {
    return this.#keeping.store?.stats;
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

  /**
   * Makes a change, which `check` finds to be possible, after all before it.
   *
   * @throws {ScanneryError} SCANNERY_READ_ONLY, SCANNERY_CLOSED, SCANNERY_ABORTED; SCANNERY_IO, then nothing has changed
   */
  change<T>({ kind, ids, signal }: Write, check: (parts: Parts) => Promise<Change>): Promise<T> {
    return announced(
      'scannery:write',
      () => ({ index: this.owner, kind, rows: ids?.length ?? 0 }),
      () => this.#change(signal, check),
    );
  }

  async #change<T>(signal: AbortSignal | undefined, check: (parts: Parts) => Promise<Change>): Promise<T> {
    this.#openForWriting();
    throwIfAborted(signal);
    const { store } = this.#keeping;
    try {
      return await this.#writes.change<T>(signal, () => check(this.#parts!));
    } finally {
      if (this.#closing === null) {
        if (store?.isDue(this.#parts!)) this.#checkpointSoon(store);
        this.#rebalanceIfDue();
      }
    }
  }

  /** Saves into a directory; into the one that the index writes to anyway, or none, as a checkpoint. */
  async save(directory: unknown, companion?: Companion): Promise<void> {
    this.open();
    const { store } = this.#keeping;
    await this.#writes.alone(undefined, async () => {
      const parts = this.#parts!;
      const isOwn =
        directory === undefined || (typeof directory === 'string' && (await isSame(directory, store?.directory)));
      if (store !== undefined && isOwn) return store.checkpoint(parts);
      await saveIndex(directory, parts.data, parts.kernels, { companion });
    });
  }

  /** Takes in what the writer of the directory has written since. */
  async refresh(): Promise<RefreshResult> {
    this.open();
    const { follower } = this.#keeping;
    if (follower === undefined) throw notReadOnly();
    const { before, after, changes } = await this.#writes.alone(undefined, async () => {
      const before = this.#parts!;
      const { parts, changes } = await follower.follow(before);
      this.#parts = parts;
      return { before, after: parts, changes };
    });
    const reopened = after.serving !== before.serving;
    if (reopened) await this.#retire(before, after);
    return { changes, reopened };
  }

  /** Makes what tuning chose the search defaults. */
  async setDefaults({ k, numLeavesToSearch, numReorderingCandidates }: TuneResult): Promise<void> {
    const change: Change = { kind: 'defaults', defaults: { k, numLeavesToSearch, numReorderingCandidates } };
    this.open();
    // Of a reader they are its own, until it is refreshed.
    await this.#writes.change(undefined, async () => change);
  }

  /** Builds the vectors there are into new memories while everything goes on, then serves from these. One at a time. */
  async rebalance(options: Readonly<RebalanceOptions>): Promise<void> {
    if (this.#openForWriting().data.config.reordering === false) throw needsVectors('rebalance');
    while (this.#rebalancing !== null) await this.#rebalancing.catch(() => {});
    throwIfAborted(options.signal);
    this.open();
    const { signal, onProgress } = options;
    this.#abort = new AbortController();
    const abort = (): void => this.#abort.abort(signal!.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#rebalancing = announced(
      'scannery:rebalance',
      () => ({ index: this.owner }),
      () => this.#rebalance(this.#abort.signal, onProgress),
    ).finally(() => {
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
      await this.#writes.alone(undefined, async () => {
        await fresh.catchUp();
        throwIfAborted(signal);
        const { defaults } = this.#parts!.data.config;
        this.#parts = { ...fresh.parts, data: { ...fresh.parts.data, config: fresh.configWith(defaults) } };
        await this.#keeping.store?.tryCheckpoint(this.#parts);
      });
    } catch (error) {
      await fresh.parts.serving.stop();
      throw error;
    }
    await this.#retire(before, fresh.parts);
  }

  /** Rebalances when much has changed, or when what was added since the build does not suit it. */
  #rebalanceIfDue(): void {
    const { data } = this.#parts!;
    if (this.#rebalancing !== null || data.config.reordering === false) return;
    if (this.#rebalanceAt === Number.POSITIVE_INFINITY || data.rows.live < LEAST_REBALANCED) return;
    const changed = changedPart(data);
    if (changed >= this.#rebalanceAt) void this.#rebalanceUnasked();
    else if (changed < this.#lookedAt) this.#lookedAt = 0;
    else if (changed >= this.#lookedAt + LOOK_EVERY * this.#rebalanceAt) {
      this.#lookedAt = changed;
      void this.use(async () => {
        if ((await isUnfit(data)) && this.#parts?.data.rows === data.rows) void this.#rebalanceUnasked();
      }).catch(() => {});
    }
  }

  async #rebalanceUnasked(): Promise<void> {
    try {
      await this.rebalance({});
    } catch (error) {
      if (this.#closing !== null) return;
      // Not at every write from now on.
      this.#rebalanceAt *= 2;
      warn('SCANNERY_REBALANCE_FAILED', `the index goes on as it is: ${error}`);
    }
  }

  /** Ends what served before; searches that began there end there. */
  async #retire(before: Parts, after: Parts): Promise<void> {
    await Promise.all(this.#uses);
    await before.serving.stop();
    after.serving.dispatcher.add(before.serving.dispatcher.counters);
  }

  #checkpointSoon(store: Store): void {
    if (this.#isCheckpointing) return;
    this.#isCheckpointing = true;
    void this.#writes.alone(undefined, async () => {
      await store.tryCheckpoint(this.#parts!);
      this.#isCheckpointing = false;
    });
  }

  /** Waits for the calls in flight, then frees threads and memory. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #stop(): Promise<void> {
    this.#abort.abort();
    await this.#rebalancing?.catch(() => {});
    await this.#writes.idle();
    try {
      await this.#keeping.store?.close(this.#parts!);
    } finally {
      await Promise.all(this.#uses);
      await this.#parts!.serving.stop();
      this.#sizeWhenClosed = this.#parts!.contents.size;
      this.#parts = null;
    }
  }

  #openForWriting(): Parts {
    const parts = this.open();
    if (this.#keeping.follower === undefined) return parts;
    throw new ScanneryError('SCANNERY_READ_ONLY', 'the index was opened with readOnly and cannot be written to');
  }
}

async function isSame(directory: string, other: string | undefined): Promise<boolean> {
  if (other === undefined) return false;
  return directory === other || (await realpath(directory).catch(() => null)) === (await realpath(other));
}

function notReadOnly(): ScanneryError {
  return new ScanneryError('SCANNERY_NOT_SUPPORTED', 'only an index that was opened with readOnly can be refreshed');
}
