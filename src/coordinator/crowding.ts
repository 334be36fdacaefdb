import { invalid } from '../protocol/check.ts';
import { OPERATION_AND, OPERATION_NOT } from '../protocol/control-layout.ts';
import type { Crowding } from '../protocol/filter.ts';
import type { Attribute } from './attribute-schema.ts';
import type { IndexData } from './build.ts';
import type { QuerySource } from './call.ts';
import { codesStep } from './compile-filter.ts';
import type { CompiledFilter, Filters } from './filters.ts';
import type { FoundRows } from './search-work.ts';
import type { Request } from './slots.ts';

/** How results are found of which the crowd picks. */
export interface CrowdSearch {
  find(source: QuerySource, request: Request, filter: CompiledFilter): Promise<FoundRows[]>;
  readonly filters: Filters;
  readonly filter: CompiledFilter;
}

/** Picks results so that not too many share a value. */
export class Crowd {
  readonly #data: IndexData;
  readonly #attribute: Attribute | undefined;
  readonly #max: number;

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION for an attribute of numbers */
  constructor(data: IndexData, { attribute, max }: Crowding) {
    this.#data = data;
    this.#attribute = data.attributes.schema.get(attribute);
    this.#max = max;
    if (this.#attribute?.kind === 'number') {
      throw invalid('crowding.attribute', attribute, 'an attribute of tokens, or of true and false');
    }
  }

  /**
   * The best k of each query. What was found may end before there are k: then values that have all the results they may have are
   * filtered out, and the rest is looked for again, so every round ends with more of them, or with nothing left to find.
   */
  async search(source: QuerySource, wanted: Request, search: CrowdSearch): Promise<FoundRows[]> {
    const { k } = wanted;
    // All that is rescored anyway; exact searches give what they are asked for.
    const most = Math.max(wanted.limit, 2 * k);
    const request = { ...wanted, k: most, limit: most, wantsRows: true };
    const first = await search.find(source, request, search.filter);
    return Promise.all(
      first.map(async (found, i) => {
        const full = new Set<number>();
        const some = { count: 1, row: () => source.row(i) };
        for (let latest = found; ; ) {
          const picked = this.#pick(found, k, full);
          // A round that found less than it was asked for has found all there is.
          if (picked.length === k || latest.ids.length < request.k || this.#attribute === undefined) {
            return taken(found, picked);
          }
          const steps = [
            ...search.filter.steps,
            codesStep(this.#attribute, full),
            { operation: OPERATION_NOT },
          ] as const;
          const rest = search.filters.of([...steps, { operation: OPERATION_AND }]);
          [latest] = (await search.find(some, request, rest)) as [FoundRows];
          found = joined(found, latest, this.#data.metric === 'squared_l2' ? 1 : -1);
        }
      }),
    );
  }

  /** Places of the best of what was found, and the values that have as many as they may. */
  #pick(found: FoundRows, k: number, full: Set<number>): number[] {
    const counts = new Map<number, number>();
    const picked: number[] = [];
    for (let i = 0; i < found.ids.length && picked.length < k; i++) {
      const value = this.#valueOf(found.rows![i]!);
      const count = counts.get(value) ?? 0;
      if (value !== 0 && count >= this.#max) continue;
      counts.set(value, count + 1);
      if (value !== 0 && count + 1 === this.#max) full.add(value);
      picked.push(i);
    }
    return picked;
  }

  /** The code of a row's value, 0 for none. */
  #valueOf(row: number): number {
    if (this.#attribute === undefined) return 0;
    const { memory, local } = this.#data.rows.placeOf(row)!;
    return this.#data.attributes.memories[memory]!.read(local, this.#attribute);
  }
}

function taken(found: FoundRows, picked: readonly number[]): FoundRows {
  const { rows: _, ...others } = found;
  return {
    ...others,
    ids: picked.map((i) => found.ids[i]!),
    scores: Float32Array.from(picked, (i) => found.scores[i]!),
  };
}

/**
 * What two rounds found, best first (lowest first with a sign of 1): the later one had less to look through and may have searched it
 * more thoroughly, so some of it may be better.
 */
function joined(earlier: FoundRows, later: FoundRows, sign: 1 | -1): FoundRows {
  const seen = new Set(earlier.rows);
  const all = [earlier, later].flatMap(({ ids, scores, rows }, round) =>
    ids.map((id, i) => ({ id, score: scores[i]!, row: rows![i]!, round })),
  );
  const fresh = all.filter(({ row, round }) => round === 0 || !seen.has(row));
  fresh.sort((a, b) => sign * (a.score - b.score) || a.row - b.row);
  return {
    ...earlier,
    ids: fresh.map(({ id }) => id),
    scores: Float32Array.from(fresh, ({ score }) => score),
    rows: Uint32Array.from(fresh, ({ row }) => row),
  };
}
