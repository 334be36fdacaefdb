import { type Check, invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';

/** One raw feature of a batch of examples: a value per example. */
export type FeatureColumn = readonly (string | number | bigint)[] | Float32Array | Float64Array | Int32Array;

/** A batch's raw features: one column, or columns by name, all of one length. */
export type Features = FeatureColumn | Readonly<Record<string, FeatureColumn>>;

/** Turns raw features into embeddings. A trained `Tower` is one; so is any object with this method. */
export interface QueryModel {
  /** Embeddings of a batch, row-major f32 [examples x dimensions]. */
  embed(batch: Features): Promise<Float32Array>;
}

export const queryModel: Check<QueryModel> = (value, option) => {
  if (typeof (value as QueryModel | null)?.embed === 'function') return value as QueryModel;
  throw invalid(option, value, 'an object with an embed method');
};

export function isColumn(value: unknown): value is FeatureColumn {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/**
 * The number of examples in a batch.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION when it is no column and no record of columns of equal length
 */
export function batchLength(batch: Features, name = 'features'): number {
  if (isColumn(batch)) return batch.length;
  if (typeof batch !== 'object' || batch === null) throw invalid(name, batch, 'a column, or columns by name');
  let length = -1;
  for (const [key, column] of Object.entries(batch)) {
    if (!isColumn(column)) throw invalid(`${name}.${key}`, column, 'an array or typed array');
    if (length >= 0 && column.length !== length) {
      throw new ScanneryError(
        'SCANNERY_INVALID_OPTION',
        `${name}.${key} has ${column.length} values where the columns before it have ${length}`,
        { option: `${name}.${key}`, value: column.length },
      );
    }
    length = column.length;
  }
  if (length < 0) throw invalid(name, batch, 'a column, or columns by name');
  return length;
}
