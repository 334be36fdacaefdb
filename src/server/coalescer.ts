import type { Index, Query, SearchOptions, SearchResult } from '../index.ts';
import type { Deadline } from './deadline.ts';

/** Queries that are searched together at the most: each waits for the last of them. */
const MOST = 24;

/** What queries that are searched together have in common. */
export type Setting = Pick<SearchOptions, 'k' | 'numLeavesToSearch' | 'numReorderingCandidates'>;

/**
 * Searches queries that want the same together: those that arrive in the same turn of the event loop, and those that come while
 * every thread of the index has a group of its own to work on, as they would have to wait anyway. A query of a group costs this thread
 * half of what one by itself does, and the index less, too. Nobody waits for queries that have not arrived.
 */
export class Coalescer {
  readonly #index: Index;
  readonly #threads: number;
  readonly #open = new Map<string, Group>();
  #running = 0;
  #isScheduled = false;

  constructor(index: Index) {
    this.#index = index;
    this.#threads = index.stats().threads;
  }

  search(query: Query, setting: Setting, deadline: Deadline): Promise<SearchResult> {
    const key = `${setting.k}/${setting.numLeavesToSearch}/${setting.numReorderingCandidates}`;
    let group = this.#open.get(key);
    if (group === undefined) {
      group = new Group(setting);
      this.#open.set(key, group);
      this.#flushSoon();
    }
    const result = group.add(query, deadline);
    if (group.members.length === MOST) this.#run(key, group);
    return result;
  }

  #flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (const [key, group] of this.#open) {
        if (this.#running >= this.#threads) return;
        this.#run(key, group);
      }
    });
  }

  #run(key: string, group: Group): void {
    this.#open.delete(key);
    this.#running++;
    void group.run(this.#index).then(() => {
      this.#running--;
      if (this.#open.size > 0) this.#flushSoon();
    });
  }
}

interface Member {
  readonly query: Query;
  readonly resolve: (result: SearchResult) => void;
  readonly reject: (error: unknown) => void;
}

class Group {
  readonly members: Member[] = [];
  readonly #setting: Setting;
  readonly #controller = new AbortController();
  #ended = 0;

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  add(query: Query, deadline: Deadline): Promise<SearchResult> {
    return new Promise((resolve, reject) => {
      this.members.push({ query, resolve, reject });
      deadline.onAbort((reason) => {
        reject(reason);
        // Once nobody waits for any of them.
        if (++this.#ended === this.members.length) this.#controller.abort(reason);
      });
    });
  }

  /** Answers all of them; resolves when that is done, whatever came of it. */
  async run(index: Index): Promise<void> {
    const { members } = this;
    if (members.length === 1) return this.#one(index, members[0]!);
    const queries = members.map(({ query }) => query);
    try {
      const results = await index.searchBatch(queries, { ...this.#setting, signal: this.#controller.signal });
      for (const [i, { resolve }] of members.entries()) resolve(results[i]!);
    } catch {
      // One of them is to blame, and the others are not; and each is to have an error of its own.
      await Promise.all(members.map((member) => this.#one(index, member)));
    }
  }

  #one(index: Index, { query, resolve, reject }: Member): Promise<void> {
    return index.search(query, { ...this.#setting, signal: this.#controller.signal }).then(resolve, reject);
  }
}
