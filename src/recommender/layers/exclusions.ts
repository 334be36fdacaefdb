import type { Id } from '../../coordinator/types.ts';
import { invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { checkIdentifier, isIdentifierList } from './identifiers.ts';

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
