import { COSTS_VERSION, type Coefficient, type Costs } from './costs.ts';

const about = (value: number, low: number, high: number): Coefficient => ({ value, low, high });

/**
 * What the planner reckons with until it is given the costs of the machine in question. Recall and skew are those of
 * docs/design.md and the README for word vectors; times are rounded from a calibration on a shared machine of two cores, hence the
 * wide ranges.
 */
export const REFERENCE_COSTS: Costs = {
  version: COSTS_VERSION,
  source: 'built-in figures for GloVe word vectors on a shared two-core machine, rough',
  kernels: 'simd',
  dimensions: 100,
  k: 10,
  stages: {
    query: about(5, 0, 15),
    unit: about(1.5, 0, 4.5),
    route: about(0.0007, 0.0004, 0.001),
    scan: about(0.00011, 0.000075, 0.00015),
    reorder: about(0.2, 0.05, 0.3),
  },
  residual: 0.1,
  callerMicroseconds: 6,
  skew: 1.5,
  recallLeaves: 991,
  recall: [
    { fraction: 40 / 991, candidates: 80, recall: 0.93 },
    { fraction: 60 / 991, candidates: 100, recall: 0.9542 },
    { fraction: 83 / 991, candidates: 150, recall: 0.9725 },
    { fraction: 250 / 991, candidates: 300, recall: 0.9948 },
  ],
};
