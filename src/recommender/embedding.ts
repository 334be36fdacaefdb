import { integer, invalid } from '../protocol/check.ts';
import type { Random } from '../protocol/random.ts';
import { type FeatureColumn, isColumn } from './features.ts';
import { badValue } from './string-lookup.ts';
import { Matrix, type WeightMemory } from './weights.ts';

/** Keras's default initialiser of embeddings: uniform in [-0.05, 0.05). */
const INITIAL_RANGE = 0.05;

/** A table of trainable embeddings, looked up by index. As Keras's Embedding. */
export class Embedding {
  /** Rows of the table; behind a StringLookup its `vocabularySize`. */
  readonly inputDim: number;
  /** Numbers per embedding. */
  readonly outputDim: number;
  #table: Matrix | null = null;

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
    return this.#table?.read() ?? null;
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
    const before = this.#table;
    const table = new Matrix(store, this.inputDim, this.outputDim);
    for (let i = 0; i < this.inputDim; i++) {
      const row = table.row(i);
      if (before !== null) row.set(before.row(i));
      else for (let j = 0; j < row.length; j++) row[j] = (2 * random.uniform() - 1) * INITIAL_RANGE;
    }
    this.#table = table;
    return table;
  }

  /**
   * Checks indices from row `first` and writes as many as `out`, u32 [n], has room for.
   * @internal
   */
  write(column: FeatureColumn, first: number, name: string, out: Uint32Array): void {
    if (!isColumn(column)) throw invalid(name, column, 'a column of integers');
    for (let i = 0; i < out.length; i++) {
      const value = column[first + i]!;
      if (!(Number.isInteger(value) && Number(value) >= 0 && Number(value) < this.inputDim)) {
        throw badValue(name, first + i, value, `an integer from 0 to ${this.inputDim - 1}`);
      }
      out[i] = Number(value);
    }
  }
}
