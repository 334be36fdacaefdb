import { boolean, integer, type OptionTable, oneOf, resolveOptions } from '../../protocol/check.ts';
import type { Random } from '../../protocol/random.ts';
import { checkWeights, Matrix, padded, type WeightMemory } from './weights.ts';

export interface DenseOptions {
  /** Default 'linear'. */
  activation?: 'relu' | 'linear' | undefined;
  /** Default true. */
  useBias?: boolean | undefined;
}

const OPTIONS: OptionTable<DenseOptions> = {
  activation: { default: 'linear', check: oneOf('relu', 'linear') },
  useBias: { default: true, check: boolean },
};

/** A fully connected layer: activation(input x weights + bias). As Keras's Dense. */
export class Dense {
  /** Numbers per output. */
  readonly units: number;
  readonly activation: 'relu' | 'linear';
  readonly useBias: boolean;
  #weights: Matrix | null = null;
  #bias: Matrix | null = null;
  /** Weights that were set before the tower was built. */
  #initial: readonly [Float32Array, Float32Array] | null = null;

  /** @param units numbers per output, 1 to 4,096 */
  constructor(units: number, options: DenseOptions = {}) {
    this.units = integer(1, 4096)(units, 'units');
    const { activation, useBias } = resolveOptions(OPTIONS, options);
    this.activation = activation!;
    this.useBias = useBias!;
  }

  /** Weights f32 [inputs x units] and bias f32 [units], as copies; null before the tower is built. */
  getWeights(): [weights: Float32Array, bias: Float32Array] | null {
    if (this.#weights !== null) return [this.#weights.read(), this.#bias!.read()];
    return this.#initial === null ? null : [this.#initial[0].slice(), this.#initial[1].slice()];
  }

  /**
   * Replaces weights f32 [inputs x units] and bias f32 [units], which are copied.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION for other lengths, if need be when the tower is built
   */
  setWeights([weights, bias]: readonly [weights: Float32Array, bias: Float32Array]): void {
    checkWeights(weights, this.#weights === null ? null : this.#weights.rows * this.units, 'weights');
    checkWeights(bias, this.units, 'bias');
    if (this.#weights === null) this.#initial = [weights.slice(), bias.slice()];
    else {
      this.#weights.write(weights);
      this.#bias!.write(bias);
    }
  }

  /** @internal */
  get parameters(): { weights: Matrix; bias: Matrix } | null {
    return this.#weights === null ? null : { weights: this.#weights, bias: this.#bias! };
  }

  /**
   * Takes memory for the weights and fills it: with those it had elsewhere, or at random (Glorot and Bengio 2010, uniform, as
   * Keras does by default; the bias is zero).
   *
   * @param rows where each input is among the padded inputs
   * @internal
   */
  build(store: WeightMemory, rows: readonly number[], paddedRows: number, random: Random): void {
    const before = this.getWeights();
    const inputs = rows.length;
    const weights = new Matrix(store, inputs, this.units, paddedRows, rows);
    const bias = new Matrix(store, 1, this.units);
    const range = Math.sqrt(6 / (inputs + this.units));
    if (before !== null) {
      weights.write(checkWeights(before[0], inputs * this.units, 'weights'));
      bias.write(before[1]);
    } else weights.write(Float32Array.from({ length: inputs * this.units }, () => (2 * random.uniform() - 1) * range));
    this.#weights = weights;
    this.#bias = bias;
    this.#initial = null;
  }

  /** Where this layer's outputs are among its padded outputs. */
  get outputRows(): number[] {
    return Array.from({ length: this.units }, (_, i) => i);
  }

  get paddedUnits(): number {
    return padded(this.units);
  }
}
