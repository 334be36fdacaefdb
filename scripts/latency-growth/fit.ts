// How a quantity grows with the number of vectors: by which power, and whether as a constant and a multiple of the root.
import { type Interval, nonNegativeLeastSquares } from '../shard-scaling/least-squares.ts';

export interface SizedValue {
  readonly n: number;
  readonly value: number;
}

/** value = factor x n^exponent */
export interface PowerFit {
  readonly exponent: number;
  readonly factor: number;
  /** Of the exponent, from how far the points lie off the line; none for two points, which are always on it. */
  readonly standardError?: number | undefined;
  /** 95 % interval of the exponent, by Student's t: with few points it is much wider than two standard errors. */
  readonly interval?: Interval | undefined;
}

/** value = constant + perRoot x sqrt(n) */
export interface RootFit {
  readonly constant: number;
  readonly perRoot: number;
  /** Largest distance of a value from the fit, relative to the fit. */
  readonly worstResidual: number;
}

export interface Growth {
  readonly power: PowerFit;
  readonly root: RootFit;
}

/** 97.5 % quantiles of Student's t for 1, 2, 3 ... degrees of freedom. */
const T_QUANTILES = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
/** To two digits from eleven degrees of freedom on. */
const quantileOfT = (freedom: number): number => T_QUANTILES[freedom - 1] ?? 1.96 + 2.6 / freedom;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The least-squares line through log value over log n. */
export function fitPower(points: readonly SizedValue[]): PowerFit {
  const xs = points.map(({ n }) => Math.log(n));
  const ys = points.map(({ value }) => Math.log(value));
  const [x, y] = [mean(xs), mean(ys)];
  const spread = xs.reduce((sum, at) => sum + (at - x) ** 2, 0);
  if (!(spread > 0)) throw new RangeError('A power needs at least two different n.');
  const exponent = xs.reduce((sum, at, i) => sum + (at - x) * (ys[i]! - y), 0) / spread;
  const logFactor = y - exponent * x;
  const squares = xs.reduce((sum, at, i) => sum + (ys[i]! - logFactor - exponent * at) ** 2, 0);
  const factor = Math.exp(logFactor);
  const freedom = points.length - 2;
  if (freedom === 0) return { exponent, factor };
  const standardError = Math.sqrt(squares / freedom / spread);
  const margin = quantileOfT(freedom) * standardError;
  return { exponent, factor, standardError, interval: { low: exponent - margin, high: exponent + margin } };
}

export const powerAt = ({ factor, exponent }: PowerFit, n: number): number => factor * n ** exponent;
export const rootAt = ({ constant, perRoot }: RootFit, n: number): number => constant + perRoot * Math.sqrt(n);

/** Least squares of relative residuals, so that the largest size does not decide alone; neither coefficient is below 0. */
export function fitRoot(points: readonly SizedValue[]): RootFit {
  const [constant, perRoot] = nonNegativeLeastSquares(
    points.map(({ n, value }) => [1 / value, Math.sqrt(n) / value]),
    points.map(() => 1),
  ) as [number, number];
  const fit = { constant, perRoot, worstResidual: 0 };
  return { ...fit, worstResidual: Math.max(...points.map(({ n, value }) => Math.abs(value / rootAt(fit, n) - 1))) };
}

/** Both fits; undefined when there are fewer than two sizes, or a value that has no logarithm. */
export function fitGrowth(points: readonly SizedValue[]): Growth | undefined {
  if (points.length < 2 || points.some(({ value }) => !(value > 0))) return undefined;
  return { power: fitPower(points), root: fitRoot(points) };
}
