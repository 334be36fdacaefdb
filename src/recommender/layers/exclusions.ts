import type { Id, Query, QueryBatch } from '../../coordinator/types.ts';
import { invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { checkIdentifier, isIdentifierList } from './identifiers.ts';
import { countQueries, type Embedded, type Retrieved, type TopKResult } from './retrieved.ts';

const MOST = 2 ** 31 - 1;

/** Lists of identifiers, one per query, that must not be among its results. */
export class Exclusions {
  readonly #sets: readonly ReadonlySet<Id>[];

  constructor(lists: readonly (readonly Id[])[]) {
    if (!Array.isArray(lists)) throw invalid('exclusions', lists, 'an array of arrays');
    this.#sets = lists.map((list: readonly Id[], query) => {
      if (!isIdentifierList(list)) throw invalid(`exclusions[${query}]`, list, 'an array of identifiers');
      return new Set(Array.from(list, (id) => checkIdentifier(id, query)));
    });
  }

  /** How many lists there are. */
  get count(): number {
    return this.#sets.length;
  }

  /** What a query wants none of. */
  of(query: number): ReadonlySet<Id> {
    return this.#sets[query]!;
  }

  /**
   * The k best candidates of each query that are not excluded, of candidates that cannot be looked up. `retrieve` is asked for as many more as there are exclusions;
   * as identifiers repeat, that may still be too few for some queries, which then ask for twice as many.
   */
  async search(
    queries: Embedded,
    dimensions: number,
    k: number,
    retrieve: (queries: Embedded, ask: number) => Promise<Retrieved>,
  ): Promise<TopKResult> {
    this.checkCount(countQueries(queries, dimensions));
    const scores: Float32Array[] = [];
    const identifiers: Id[][] = [];
    let pending: readonly number[] = Array.from(this.#sets.keys());
    let ask = Math.min(MOST, k + this.#sets.reduce((most, set) => Math.max(most, set.size), 0));
    for (let some = queries; ; ) {
      const found = await retrieve(some, ask);
      this.checkCount(pending.length === this.#sets.length ? found.scores.length : undefined);
      const short: number[] = [];
      pending.forEach((query, i) => {
        const rows = found.rows[i]!;
        const kept = keep(rows, found.scores[i]!, this.#sets[query]!, k, (row) => found.identifierOf(row, i));
        scores[query] = kept.scores;
        identifiers[query] = kept.identifiers;
        // Fewer than were asked for are all that there are.
        if (kept.identifiers.length < k && rows.length === ask && ask < MOST) short.push(query);
      });
      if (short.length === 0) return [scores, identifiers];
      some = { embeddings: pick(queries.embeddings, short, this.#sets.length), examples: undefined };
      pending = short;
      ask = Math.min(MOST, ask * 2);
    }
  }

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION unless there is a list for each query */
  checkCount(queries: number | undefined): void {
    if (queries === undefined || queries === this.#sets.length) return;
    throw new ScanneryError(
      'SCANNERY_INVALID_OPTION',
      `exclusions has ${this.#sets.length} lists for ${queries} queries; there must be one for each`,
      { option: 'exclusions', value: this.#sets.length },
    );
  }
}

function keep(
  rows: readonly number[],
  scores: Float32Array,
  excluded: ReadonlySet<Id>,
  k: number,
  identifierOf: (row: number) => Id,
): { scores: Float32Array; identifiers: Id[] } {
  const kept = new Float32Array(Math.min(k, rows.length));
  const identifiers: Id[] = [];
  for (let i = 0; i < rows.length && identifiers.length < k; i++) {
    const identifier = identifierOf(rows[i]!);
    if (excluded.has(identifier)) continue;
    kept[identifiers.length] = scores[i]!;
    identifiers.push(identifier);
  }
  return { scores: identifiers.length === kept.length ? kept : kept.slice(0, identifiers.length), identifiers };
}

/** Some of `count` queries. */
function pick(queries: QueryBatch, some: readonly number[], count: number): readonly Query[] {
  if (Array.isArray(queries)) return some.map((i) => queries[i]!);
  const flat = queries as Float32Array;
  const dimensions = flat.length / count;
  return some.map((i) => flat.subarray(i * dimensions, (i + 1) * dimensions));
}
