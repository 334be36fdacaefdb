import { type IdColumn, IdColumnBuilder } from '../../coordinator/id-column.ts';
import { invalid, type OptionTable, resolveOptions } from '../../protocol/check.ts';
import { ScanneryError, show } from '../../protocol/errors.ts';
import { type FeatureColumn, isColumn } from './features.ts';

export interface StringLookupOptions {
  /** The known strings, each once; the i-th becomes i + 1. */
  vocabulary: readonly string[];
}

const OPTIONS: OptionTable<StringLookupOptions> = {
  vocabulary: {
    default: undefined as never,
    check: (value, option) => {
      if (Array.isArray(value)) return value;
      throw invalid(option, value, 'an array of strings');
    },
  },
};

/**
 * Maps strings to integers: those of the vocabulary to 1, 2, ... in its order, all others to 0 (one out-of-vocabulary slot).
 * As Keras's StringLookup with `mask_token=None` and one out-of-vocabulary index. Numbers and bigints are looked up by their
 * decimal text.
 */
export class StringLookup {
  readonly #indices = new Map<string, number>();

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION for an entry that is no string (with its row) or comes twice */
  constructor(options: StringLookupOptions) {
    const { vocabulary } = resolveOptions(OPTIONS, options);
    if (vocabulary === undefined) throw invalid('vocabulary', vocabulary, 'an array of strings');
    for (const [row, entry] of vocabulary.entries()) {
      if (typeof entry !== 'string' || !entry.isWellFormed())
        throw badEntry(row, entry, 'which is no well-formed string');
      if (this.#indices.has(entry)) throw badEntry(row, entry, `as has row ${this.#indices.get(entry)! - 1}`);
      this.#indices.set(entry, row + 1);
    }
  }

  /** Entries, the out-of-vocabulary slot included: the `inputDim` of the embedding behind it. */
  get vocabularySize(): number {
    return this.#indices.size + 1;
  }

  /** The known strings, without the out-of-vocabulary slot. */
  getVocabulary(): string[] {
    return [...this.#indices.keys()];
  }

  /** Indices of a column of strings: u32 [n]. */
  call(column: FeatureColumn): Uint32Array {
    if (!isColumn(column)) throw invalid('features', column, 'a column of strings');
    const out = new Uint32Array(column.length);
    this.write(column, 0, 'features', out);
    return out;
  }

  /**
   * Writes the indices of as many values from row `first` as `out`, u32 [n], has room for.
   * @internal
   */
  write(column: FeatureColumn, first: number, name: string, out: Uint32Array): void {
    if (!isColumn(column)) throw invalid(name, column, 'a column of strings');
    for (let i = 0; i < out.length; i++) {
      const value = column[first + i]!;
      if (typeof value === 'string') out[i] = this.#indices.get(value) ?? 0;
      else if (typeof value === 'number' || typeof value === 'bigint') out[i] = this.#indices.get(String(value)) ?? 0;
      else throw badValue(name, first + i, value, 'a string');
    }
  }

  /**
   * The vocabulary as a column, for saving.
   * @internal
   */
  column(): IdColumn {
    const builder = new IdColumnBuilder();
    for (const entry of this.#indices.keys()) builder.add(entry);
    return builder.finish();
  }
}

function badEntry(row: number, value: unknown, why: string): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_OPTION', `vocabulary has ${show(value)} in row ${row}, ${why}`, {
    option: 'vocabulary',
    value,
    row,
  });
}

export function badValue(name: string, row: number, value: unknown, allowed: string): ScanneryError {
  return new ScanneryError(
    'SCANNERY_INVALID_OPTION',
    `row ${row} of ${name} must be ${allowed}, received ${show(value)}`,
    {
      option: name,
      value,
      row,
    },
  );
}
