import { numberAbove, type OptionTable, resolveOptions } from '../../protocol/check.ts';
import type { OptimizerStep } from '../../protocol/optimizer-step.ts';

export interface AdagradOptions {
  /** Above 0. Default 0.001, as in Keras; the tutorial takes 0.1. */
  learningRate?: number | undefined;
  /** What the sums of squares start from. Default 0.1. */
  initialAccumulatorValue?: number | undefined;
  /** Default 1e-7. */
  epsilon?: number | undefined;
}

export interface AdamOptions {
  /** Above 0. Default 0.001. */
  learningRate?: number | undefined;
  /** Decay of the first moment, below 1. Default 0.9. */
  beta1?: number | undefined;
  /** Decay of the second moment, below 1. Default 0.999. */
  beta2?: number | undefined;
  /** Default 1e-7. */
  epsilon?: number | undefined;
}

const positive = numberAbove(0, 1e10);
/** What f32 tells from 1. */
const decay = numberAbove(0, 1 - 1e-7);
/** What f32 tells from 0, by which weights without a gradient would be divided. */
const small = numberAbove(1e-38, 1e10);

const ADAGRAD: OptionTable<AdagradOptions> = {
  learningRate: { default: 0.001, check: positive },
  initialAccumulatorValue: { default: 0.1, check: (value, option) => (value === 0 ? 0 : positive(value, option)) },
  epsilon: { default: 1e-7, check: small },
};

const ADAM: OptionTable<AdamOptions> = {
  learningRate: { default: 0.001, check: positive },
  beta1: { default: 0.9, check: decay },
  beta2: { default: 0.999, check: decay },
  epsilon: { default: 1e-7, check: small },
};

/** How weights follow their gradients. */
export interface Optimizer {
  /** What each of its slots, arrays as large as the weights, starts from. */
  readonly slots: readonly number[];
  /** The step number `t`, counted from 1. */
  step(t: number): OptimizerStep;
}

/** Adagrad (Duchi et al. 2011) as Keras has it: rows of a table that got no gradient stay as they are. */
export class Adagrad implements Optimizer {
  readonly #options: Readonly<Required<AdagradOptions>>;

  constructor(options: AdagradOptions = {}) {
    this.#options = resolveOptions(ADAGRAD, options) as Readonly<Required<AdagradOptions>>;
  }

  get slots(): readonly number[] {
    return [this.#options.initialAccumulatorValue!];
  }

  step(): OptimizerStep {
    const { learningRate, epsilon } = this.#options;
    return { kind: 'adagrad', learningRate: learningRate!, epsilon: epsilon! };
  }
}

/** Adam (Kingma and Ba 2015) as Keras has it: moments of every weight fade at every step. */
export class Adam implements Optimizer {
  readonly #options: Readonly<Required<AdamOptions>>;
  readonly slots = [0, 0] as const;

  constructor(options: AdamOptions = {}) {
    this.#options = resolveOptions(ADAM, options) as Readonly<Required<AdamOptions>>;
  }

  step(t: number): OptimizerStep {
    const { learningRate, beta1, beta2, epsilon } = this.#options as { [K in keyof AdamOptions]-?: number };
    const alpha = (learningRate * Math.sqrt(1 - power(beta2, t))) / (1 - power(beta1, t));
    return { kind: 'adam', alpha, beta1, beta2, epsilon };
  }
}

/** By repeated squaring: the last bits of Math.pow differ between engines, and training is to be repeatable. */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let square = base, left = exponent; left > 0; left = Math.floor(left / 2), square *= square) {
    if (left % 2 === 1) result *= square;
  }
  return result;
}
