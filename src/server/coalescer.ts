import type { Index, Query, SearchOptions, SearchResult } from '../index.ts';
import type { Deadline } from './deadline.ts';

/** Queries that are searched together at the most: each waits for the last of them. */
const MOST = 16;

/** What queries that are searched together have in common. */
export type Setting = Pick<SearchOptions, 'k' | 'numLeavesToSearch' | 'numReorderingCandidates'>;

/**
 * Searches queries that want the same together: those that arrive in the same turn of the event loop, and those that come while
 * every thread of the index has a group of its own to work on and one more is ready, as they would have to wait anyway. A query of
 * a group costs this thread half of what one by itself does, and the index less, too. Nobody waits for queries that have not arrived.
 */
export class Coalescer {
  readonly #index: Index;
  readonly #threads: number;
  /** Groups that have not begun: as many as there are settings in use. */
  readonly #open = new Set<Group>();
  readonly #controllers: AbortController[] = [];
  #running = 0;
  #isScheduled = false;

  constructor(index: Index) {
    this.#index = index;
    this.#threads = index.stats().threads;
  }

  search(query: Query, setting: Setting, deadline: Deadline): Promise<SearchResult> {
    let group: Group | undefined;
    for (const each of this.#open) {
      if (each.wants(setting)) group = each;
    }
    if (group === undefined) {
      group = new Group(setting, this.#controllers);
      this.#open.add(group);
      this.#flushSoon();
    }
    const result = group.add(query, deadline);
    if (group.members.length === MOST) this.#run(group);
    return result;
  }

  #flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      for (const group of this.#open) {
        // One more than there are threads, or whoever is done first would wait for this one.
        if (this.#running > this.#threads) return;
        this.#run(group);
      }
    });
  }

  #run(group: Group): void {
    this.#open.delete(group);
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
  readonly #controllers: AbortController[];
  readonly #controller: AbortController;
  #ended = 0;

  /** Controllers that ended nothing are used again, as they take long to make. */
  constructor(setting: Setting, controllers: AbortController[]) {
    this.#setting = setting;
    this.#controllers = controllers;
    this.#controller = controllers.pop() ?? new AbortController();
  }

  wants({ k, numLeavesToSearch, numReorderingCandidates }: Setting): boolean {
    const setting = this.#setting;
    return (
      k === setting.k &&
      numLeavesToSearch === setting.numLeavesToSearch &&
      numReorderingCandidates === setting.numReorderingCandidates
    );
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
    await this.#search(index);
    if (this.#ended === 0) this.#controllers.push(this.#controller);
  }

  async #search(index: Index): Promise<void> {
    const { members } = this;
    if (members.length === 1) return this.#one(index, members[0]!);
    const queries = members.map(({ query }) => query);
    try {
      const results = await index.searchBatch(queries, { ...this.#setting, signal: this.#controller.signal });
      for (let i = 0; i < members.length; i++) members[i]!.resolve(results[i]!);
    } catch {
      // One of them is to blame, and the others are not; and each is to have an error of its own.
      await Promise.all(members.map((member) => this.#one(index, member)));
    }
  }

  #one(index: Index, { query, resolve, reject }: Member): Promise<void> {
    return index.search(query, { ...this.#setting, signal: this.#controller.signal }).then(resolve, reject);
  }
}
