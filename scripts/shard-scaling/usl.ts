// Gunther's Universal Scalability Law, C(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)).
import { levenbergMarquardt } from 'ml-levenberg-marquardt';
import { median } from '../measure.ts';
import { type Interval, nonNegativeLeastSquares, percentileInterval, resamples } from './least-squares.ts';

const RESAMPLES = 400;
const LEAST_POINTS = 3;
const LEAST_ROUNDS = 3;

export interface UslCoefficients {
  /** Throughput of one. */
  readonly lambda: number;
  /** Contention: the part of the work that is done one after the other. */
  readonly sigma: number;
  /** Coherency: what every pair costs. */
  readonly kappa: number;
}

/** Throughput at each N, one value per round; round r of all series was measured in turns. */
export interface UslSeries {
  readonly n: number;
  readonly rounds: readonly number[];
}

export interface UslFit extends UslCoefficients {
  /** N of the highest throughput: infinite when kappa is 0. */
  readonly peak: number;
  /** Largest distance of a median from the curve, relative to the curve. */
  readonly worstResidual: number;
  /** 95 % bootstrap intervals over rounds; undefined when there are too few of them. */
  readonly intervals?: Readonly<Record<keyof UslCoefficients | 'peak', Interval>>;
  readonly notes: readonly string[];
}

export type UslOutcome = { readonly fit: UslFit } | { readonly refused: string };

export function throughputAt({ lambda, sigma, kappa }: UslCoefficients, n: number): number {
  return (lambda * n) / (1 + sigma * (n - 1) + kappa * n * (n - 1));
}

/** Where throughput is highest: sqrt((1 - sigma) / kappa), but never below 1. */
export function peakOf({ sigma, kappa }: UslCoefficients): number {
  if (sigma >= 1) return 1;
  return kappa > 0 ? Math.max(1, Math.sqrt((1 - sigma) / kappa)) : Number.POSITIVE_INFINITY;
}

const squaredError = (c: UslCoefficients, ns: readonly number[], values: readonly number[]): number =>
  ns.reduce((sum, n, i) => sum + (throughputAt(c, n) / values[i]! - 1) ** 2, 0);

/**
 * Least squares of relative residuals, sigma and kappa of at least 0. Noise of a throughput grows with the throughput, so
 * absolute residuals would listen to the fastest configurations only.
 */
export function fitCoefficients(ns: readonly number[], values: readonly number[]): UslCoefficients {
  // N / C is linear in 1 / lambda, sigma / lambda and kappa / lambda, which gives a start that keeps to the bounds.
  const rows = ns.map((n, i) => [1, n - 1, n * (n - 1)].map((term) => (term * values[i]!) / n));
  const [a, b, c] = nonNegativeLeastSquares(
    rows,
    ns.map(() => 1),
  ) as [number, number, number];
  // Without a constant term lambda would be infinite; the value of the least N then stands in.
  const start: UslCoefficients =
    a > 0
      ? { lambda: 1 / a, sigma: b / a, kappa: c / a }
      : { lambda: Math.max(...values.map((value, i) => value / ns[i]!)), sigma: 0, kappa: 0 };

  // The library damps all parameters alike, so they are brought to the same size.
  const largest = Math.max(...ns);
  const sizes = [start.lambda, 1 / Math.max(1, largest - 1), 1 / Math.max(1, largest * (largest - 1))] as const;
  const unscaled = (p: readonly number[]): UslCoefficients => ({
    lambda: p[0]! * sizes[0],
    sigma: (p[1] ?? 0) * sizes[1],
    kappa: (p[2] ?? 0) * sizes[2],
  });
  let best = start;
  const consider = (free: readonly number[]): void => {
    const spread = (p: readonly number[]): number[] => {
      const full = [1, 0, 0];
      for (const [i, index] of free.entries()) full[index] = p[i]!;
      return full;
    };
    const scaledStart = [1, start.sigma / sizes[1], start.kappa / sizes[2]];
    const { parameterValues } = levenbergMarquardt(
      { x: [...ns], y: [...values] },
      (p) => {
        const coefficients = unscaled(spread(p));
        return (n) => throughputAt(coefficients, n);
      },
      {
        initialValues: free.map((index) => scaledStart[index]!),
        minValues: free.map((index) => (index === 0 ? 1e-9 : 0)),
        maxValues: free.map(() => 1e9),
        weights: [...values],
        damping: 1e-3,
        maxIterations: 25,
        errorTolerance: 1e-26,
        jacobianFunction: (p) => {
          const { lambda, sigma, kappa } = unscaled(spread(p));
          return (n) => {
            const below = 1 + sigma * (n - 1) + kappa * n * (n - 1);
            const slope = (-lambda * n) / (below * below);
            const all = [(n / below) * sizes[0], slope * (n - 1) * sizes[1], slope * n * (n - 1) * sizes[2]];
            return free.map((index) => all[index]!);
          };
        },
      },
    );
    const found = unscaled(spread(parameterValues));
    if (squaredError(found, ns, values) < squaredError(best, ns, values)) best = found;
  };
  consider([0, 1, 2]);
  // At a bound the library's clipped steps may stop short of the optimum, so the faces are searched by themselves.
  if (best.kappa === 0 || start.kappa === 0) consider([0, 1]);
  if (best.sigma === 0 || start.sigma === 0) consider([0, 2]);
  return best;
}

/** Fits the law to the medians over rounds, and again to those of rounds drawn with replacement. */
export function fitUsl(series: readonly UslSeries[], seed = 1): UslOutcome {
  const distinct = [...new Set(series.map(({ n }) => n))].sort((a, b) => a - b);
  if (distinct.length !== series.length) throw new RangeError('Every N must occur once.');
  if (distinct.length < LEAST_POINTS) {
    const have = distinct.length === 0 ? 'there are none' : `only N = ${distinct.join(', ')} measured`;
    return { refused: `no fit: ${have}, and three coefficients need at least ${LEAST_POINTS} different N` };
  }
  if (series.some(({ n, rounds }) => !(n >= 1) || rounds.length === 0 || rounds.some((value) => !(value > 0)))) {
    return { refused: 'no fit: every N must be at least 1 and every throughput above 0' };
  }
  const ns = series.map(({ n }) => n);
  const medians = series.map(({ rounds }) => median(rounds));
  const coefficients = fitCoefficients(ns, medians);
  const notes: string[] = [];
  const bound = (['sigma', 'kappa'] as const).filter((name) => coefficients[name] === 0);
  if (bound.length > 0)
    notes.push(`${bound.join(' and ')} at the bound of 0, where intervals of 0 to 0 show the bound, no certainty`);
  else if (distinct.length === LEAST_POINTS)
    notes.push('three N determine three coefficients: the fit cannot show whether the law holds');
  const peak = peakOf(coefficients);
  if (Number.isFinite(peak) && peak > distinct.at(-1)!)
    notes.push('the peak lies beyond the largest N measured: it is extrapolated');
  const worstResidual = Math.max(...ns.map((n, i) => Math.abs(medians[i]! / throughputAt(coefficients, n) - 1)));
  const count = Math.min(...series.map(({ rounds }) => rounds.length));
  if (count < LEAST_ROUNDS) {
    notes.push(`no intervals: ${count} round(s), and they need at least ${LEAST_ROUNDS}`);
    return { fit: { ...coefficients, peak, worstResidual, notes } };
  }
  if (count < 10) notes.push(`intervals over ${count} rounds only tend to be too narrow`);
  // Whole rounds are drawn, so that what disturbed all series of a round stays together.
  const drawn = resamples(count, RESAMPLES, seed).map((picks) =>
    fitCoefficients(
      ns,
      series.map(({ rounds }) => median(picks.map((round) => rounds[round]!))),
    ),
  );
  const intervals = {
    lambda: percentileInterval(drawn.map(({ lambda }) => lambda)),
    sigma: percentileInterval(drawn.map(({ sigma }) => sigma)),
    kappa: percentileInterval(drawn.map(({ kappa }) => kappa)),
    peak: percentileInterval(drawn.map(peakOf)),
  };
  return { fit: { ...coefficients, peak, worstResidual, intervals, notes } };
}
