import type { Index, Query, SearchOptions, SearchResult } from '../index.ts';
import type { Deadline } from './deadline.ts';

/** Queries that are searched together. More save little, and each waits for the last of them. */
const MOST = 8;

/** What queries that are searched together have in common. */
export type Setting = Pick<SearchOptions, 'k' | 'numLeavesToSearch' | 'numReorderingCandidates'>;

/**
 * Searches queries that arrive in the same turn of the event loop, and want the same, together: eight calls of the index cost
 * this thread about twice what one of eight queries does. Nobody waits for queries that have not arrived.
 */
export class Coalescer {
  readonly #index: Index;
  readonly #open = new Map<string, Group>();
  readonly #flush = (): void => {
    for (const group of this.#open.values()) group.run(this.#index);
    this.#open.clear();
  };

  constructor(index: Index) {
    this.#index = index;
  }

  search(query: Query, setting: Setting, deadline: Deadline): Promise<SearchResult> {
    const key = `${setting.k}/${setting.numLeavesToSearch}/${setting.numReorderingCandidates}`;
    let group = this.#open.get(key);
    if (group === undefined) {
      if (this.#open.size === 0) setImmediate(this.#flush);
      group = new Group(setting);
      this.#open.set(key, group);
    }
    const result = group.add(query, deadline);
    if (group.members.length === MOST) {
      this.#open.delete(key);
      group.run(this.#index);
    }
    return result;
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

  run(index: Index): void {
    const { members } = this;
    if (members.length === 1) {
      this.#one(index, members[0]!);
      return;
    }
    const queries = members.map(({ query }) => query);
    index.searchBatch(queries, { ...this.#setting, signal: this.#controller.signal }).then(
      (results) => {
        for (const [i, { resolve }] of members.entries()) resolve(results[i]!);
      },
      // One of them is to blame, and the others are not; and each is to have an error of its own.
      () => {
        for (const member of members) this.#one(index, member);
      },
    );
  }

  #one(index: Index, { query, resolve, reject }: Member): void {
    index.search(query, { ...this.#setting, signal: this.#controller.signal }).then(resolve, reject);
  }
}
