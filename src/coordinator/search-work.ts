import { readAnswer, readExplanation } from './answers.ts';
import { type QuerySource, type VectorShape, type Work, writeQuery } from './call.ts';
import type { GrowingIds } from './growing-ids.ts';
import type { Request, Slots } from './slots.ts';
import type { SearchResult } from './types.ts';

export interface SearchedIndex extends VectorShape {
  readonly kernelMetric: number;
  readonly ids: GrowingIds;
  readonly shards: number;
}

/** Queries: each goes into a slot of its own. */
export class SearchWork implements Work<SearchResult> {
  readonly isSearch = true;
  readonly #source: QuerySource;
  readonly #request: Request;
  readonly #index: SearchedIndex;

  constructor(source: QuerySource, request: Request, index: SearchedIndex) {
    this.#source = source;
    this.#request = request;
    this.#index = index;
  }

  get count(): number {
    return this.#source.count;
  }

  place(slots: Slots, query: number): number {
    const slot = slots.take(this.#request);
    try {
      const row = this.count === 1 ? undefined : query;
      writeQuery(this.#source.row(query), row, this.#index, slots.views.f32, slots.queryAt(slot));
    } catch (error) {
      slots.free(slot);
      throw error;
    }
    return slot;
  }

  read(slots: Slots, slot: number): SearchResult {
    const { mode, explain } = this.#request;
    const answer = readAnswer(slots, slot, mode, this.#index);
    return explain ? { ...answer, ...readExplanation(slots, slot, mode, this.#index.shards) } : answer;
  }
}
