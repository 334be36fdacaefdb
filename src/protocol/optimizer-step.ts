/** An optimiser, with what changes from step to step. */
export type OptimizerStep =
  | { readonly kind: 'adagrad'; readonly learningRate: number; readonly epsilon: number }
  | {
      readonly kind: 'adam';
      readonly alpha: number;
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
    };
