import { integer, invalid } from '../../protocol/check.ts';
import type { Random } from '../../protocol/random.ts';
import { type FeatureColumn, isColumn } from './features.ts';
import { badValue } from './string-lookup.ts';
import { checkWeights, Matrix, type WeightMemory } from './weights.ts';

/** Keras's default initialiser of embeddings: uniform in [-0.05, 0.05). */
const INITIAL_RANGE = 0.05;

/** A table of trainable embeddings, looked up by index. As Keras's Embedding. */
export class Embedding {
  /** Rows of the table; behind a StringLookup its `vocabularySize`. */
  readonly inputDim: number;
  /** Numbers per embedding. */
  readonly outputDim: number;
  #table: Matrix | null = null;
  /** Weights that were set before there was a table. */
  #initial: Float32Array | null = null;

  /**
   * @param inputDim rows, 1 to 100 million
   * @param outputDim numbers per embedding, 1 to 4,096
   */
  constructor(inputDim: number, outputDim: number) {
    this.inputDim = integer(1, 100_000_000)(inputDim, 'inputDim');
    this.outputDim = integer(1, 4096)(outputDim, 'outputDim');
  }

  /** The table, f32 [inputDim x outputDim], as a copy; null before the tower is built. */
  getWeights(): Float32Array | null {
    return this.#table?.read() ?? this.#initial?.slice() ?? null;
  }

  /**
   * Replaces the table.
   *
   * @param weights f32 [inputDim x outputDim], which is copied
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION for another length
   */
  setWeights(weights: Float32Array): void {
    checkWeights(weights, this.inputDim * this.outputDim, 'weights');
    if (this.#table !== null) this.#table.write(weights);
    else this.#initial = weights.slice();
  }

  /** @internal */
  get table(): Matrix | null {
    return this.#table;
  }

  /**
   * Takes memory for the table and fills it: with the weights it had elsewhere, or at random.
   * @internal
   */
  build(store: WeightMemory, random: Random): Matrix {
    const before = this.getWeights();
    const table = new Matrix(store, this.inputDim, this.outputDim);
    if (before !== null) table.write(before);
    else {
      for (let i = 0; i < this.inputDim; i++) {
        const row = table.row(i);
        for (let j = 0; j < row.length; j++) row[j] = (2 * random.uniform() - 1) * INITIAL_RANGE;
      }
    }
    this.#table = table;
    this.#initial = null;
    return table;
  }

  /**
   * Checks indices from row `first` and writes as many as `out`, u32 [n], has room for.
   * @internal
   */
  write(column: FeatureColumn, first: number, name: string, out: Uint32Array): void {
    if (!isColumn(column)) throw invalid(name, column, 'a column of integers');
    for (let i = 0; i < out.length; i++) {
      const given: unknown = column[first + i];
      const value = typeof given === 'bigint' ? Number(given) : given;
      if (!(typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < this.inputDim)) {
        throw badValue(name, first + i, given, `an integer from 0 to ${this.inputDim - 1}`);
      }
      out[i] = value;
    }
  }
}
