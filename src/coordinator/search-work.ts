import { addStages, readAnswer, readExplanation, readRows } from './answers.ts';
import { type QuerySource, type VectorShape, type Work, writeQuery } from './call.ts';
import type { GrowingIds } from './growing-ids.ts';
import type { Request, Slots } from './slots.ts';
import type { SearchResult } from './types.ts';

export interface SearchedIndex extends VectorShape {
  readonly kernelMetric: number;
  readonly ids: GrowingIds;
  readonly shards: number;
}

/** An answer, with its rows if the request wants them. */
export interface FoundRows extends SearchResult {
  rows?: Uint32Array;
}

/** Queries: each goes into a slot of its own. */
export class SearchWork implements Work<FoundRows> {
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

  read(slots: Slots, slot: number): FoundRows {
    const { mode, explain, stages, wantsRows } = this.#request;
    const answer: FoundRows = readAnswer(slots, slot, mode, this.#index);
    if (stages !== undefined) addStages(slots, slot, this.#index.shards, stages);
    if (wantsRows) answer.rows = readRows(slots, slot);
    return explain ? { ...answer, ...readExplanation(slots, slot, mode, this.#index.shards) } : answer;
  }
}
