import { createRandom } from '../datasets/index.ts';
import { median } from '../measure.ts';

/** A value with the ends of its 95 % interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Solves a symmetric system by elimination with pivoting; undefined when it is singular. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] | undefined {
  const size = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column + 1; row < size; row++)
      if (Math.abs(rows[row]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = row;
    const head = rows[pivot]!;
    if (!(Math.abs(head[column]!) > 1e-12)) return undefined;
    rows[pivot] = rows[column]!;
    rows[column] = head;
    for (const [row, cells] of rows.entries()) {
      if (row === column) continue;
      const factor = cells[column]! / head[column]!;
      for (let i = column; i <= size; i++) cells[i] = cells[i]! - factor * head[i]!;
    }
  }
  return rows.map((row, i) => row[size]! / row[i]!);
}

/**
 * Coefficients of at least 0 that minimise the sum of (row . coefficients - target)^2.
 *
 * Every subset of the columns is tried, which is exact, and cheap for the handful of columns that there are here.
 */
export function nonNegativeLeastSquares(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  const columns = rows[0]?.length ?? 0;
  // Columns are of very different sizes (codes in millions, one query): scaled, the system stays well conditioned.
  const scales = Array.from({ length: columns }, (_, c) => Math.hypot(...rows.map((row) => row[c]!)) || 1);
  const scaled = rows.map((row) => row.map((value, c) => value / scales[c]!));
  let best = new Array<number>(columns).fill(0);
  let bestError = targets.reduce((sum, target) => sum + target * target, 0);
  for (let subset = 1; subset < 1 << columns; subset++) {
    const chosen = scales.flatMap((_, c) => (subset & (1 << c) ? [c] : []));
    const gram = chosen.map((a) => chosen.map((b) => scaled.reduce((sum, row) => sum + row[a]! * row[b]!, 0)));
    const right = chosen.map((a) => scaled.reduce((sum, row, i) => sum + row[a]! * targets[i]!, 0));
    const found = solve(gram, right);
    if (found === undefined || found.some((value) => !(value >= 0))) continue;
    const full = new Array<number>(columns).fill(0);
    for (const [i, c] of chosen.entries()) full[c] = found[i]!;
    const error = scaled.reduce(
      (sum, row, i) => sum + (row.reduce((dot, value, c) => dot + value * full[c]!, 0) - targets[i]!) ** 2,
      0,
    );
    if (error < bestError) {
      bestError = error;
      best = full;
    }
  }
  return best.map((value, c) => value / scales[c]!);
}

/** The quantile of sorted samples, linear between neighbours; infinite samples sort last and stay infinite. */
function between(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  const high = sorted[Math.ceil(at)]!;
  return low === high ? low : low + (high - low) * (at - Math.floor(at));
}

export function percentileInterval(samples: readonly number[]): Interval {
  const sorted = [...samples].sort((a, b) => a - b);
  return { low: between(sorted, 0.025), high: between(sorted, 0.975) };
}

/** Draws `count` items with replacement, `times` times over; the same seed draws the same. */
export function resamples(count: number, times: number, seed: number): number[][] {
  const random = createRandom(seed);
  return Array.from({ length: times }, () => Array.from({ length: count }, () => random.below(count)));
}

/** Bootstrap interval of the median; undefined below three samples, of which nothing can be said. */
export function medianInterval(samples: readonly number[], seed = 1): Interval | undefined {
  if (samples.length < 3) return undefined;
  return percentileInterval(
    resamples(samples.length, 1000, seed).map((drawn) => median(drawn.map((i) => samples[i]!))),
  );
}
