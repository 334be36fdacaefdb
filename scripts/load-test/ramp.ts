export interface Measured {
  /** Arrivals a second that the schedule held. */
  readonly offeredRate: number;
  readonly achievedRate: number;
  /** Milliseconds, at the percentile of the objective. */
  readonly latency: number;
  readonly dropped: number;
}

export interface Step<M extends Measured> {
  readonly rate: number;
  readonly measured: M;
  /** Why the rate is too high; undefined if it is not. */
  readonly failure: string | undefined;
}

export interface RampOptions<M extends Measured> {
  readonly measure: (rate: number) => Promise<M>;
  /** Milliseconds. */
  readonly objective: number;
  /** Rate of the first step. */
  readonly start: number;
  /** Rates beyond are not tried. */
  readonly highest: number;
  /** How close the bounds must come, as a part of the rate. */
  readonly tolerance?: number;
  readonly onStep?: (step: Step<M>) => void;
  /** Ends the search; the step under way is not counted. */
  readonly signal?: AbortSignal | undefined;
}

export interface RampResult<M extends Measured> {
  /** The highest rate that kept the objective; undefined if none did. */
  readonly best: Step<M> | undefined;
  readonly steps: readonly Step<M>[];
  /** Rates were tried until the answer was known to the tolerance. */
  readonly complete: boolean;
}

/** Part of the arrivals that must be answered in time with them. */
const KEPT_UP = 0.98;
const LOWEST = 1;

export function failureOf(measured: Measured, objective: number): string | undefined {
  const { dropped, achievedRate, offeredRate, latency } = measured;
  if (dropped > 0) return `${dropped.toLocaleString('en')} dropped`;
  if (offeredRate === 0) return 'no arrivals in the measured time';
  // Against what was offered, as the arrivals of a short run stray from the rate by themselves.
  if (achievedRate < KEPT_UP * offeredRate) {
    return `achieved ${((100 * achievedRate) / offeredRate).toFixed(1)} % of the rate`;
  }
  if (!(latency <= objective)) return `latency ${latency.toPrecision(3)} ms`;
  return undefined;
}

/**
 * Finds the highest rate under which latency keeps its objective: doubles the rate until it fails, or halves it until it
 * does not, then bisects between the two. A rate fails when it does so twice in a row.
 */
export async function findRate<M extends Measured>(options: RampOptions<M>): Promise<RampResult<M>> {
  const { measure, objective, start, highest, tolerance = 0.05, onStep, signal } = options;
  const steps: Step<M>[] = [];
  let best: Step<M> | undefined;
  let failed = Number.POSITIVE_INFINITY;

  function next(): number | undefined {
    if (best === undefined) {
      if (failed === Number.POSITIVE_INFINITY) return Math.min(start, highest);
      return failed / 2 >= LOWEST ? failed / 2 : undefined;
    }
    if (failed === Number.POSITIVE_INFINITY) return best.rate < highest ? Math.min(2 * best.rate, highest) : undefined;
    return failed > best.rate * (1 + tolerance) ? (best.rate + failed) / 2 : undefined;
  }

  const aborted = (): boolean => signal?.aborted === true;
  let rate = next();
  for (; rate !== undefined && !aborted(); rate = next()) {
    let measured = await measure(rate);
    // A hiccup of the machine fails one run, a rate that is too high also the next.
    if (!aborted() && failureOf(measured, objective) !== undefined) measured = await measure(rate);
    if (aborted()) break;
    const step = { rate, measured, failure: failureOf(measured, objective) };
    steps.push(step);
    if (step.failure === undefined) best = step;
    else failed = rate;
    onStep?.(step);
  }
  return { best, steps, complete: rate === undefined };
}
