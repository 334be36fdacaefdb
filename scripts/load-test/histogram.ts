import { build, type Histogram } from 'hdr-histogram-js';

/** Longest time told apart from longer ones: an hour, in nanoseconds. */
const LONGEST = 3.6e12;
const NANOSECONDS = 1e6;

/** A distribution of times, each kept to three digits. All in milliseconds; NaN where nothing was recorded. */
export interface Times {
  readonly count: number;
  readonly mean: number;
  readonly max: number;
  record(milliseconds: number): void;
  /** The time that `percentile` per cent of the records do not exceed. */
  at(percentile: number): number;
}

export function createTimes(): Times {
  const histogram: Histogram = build({
    useWebAssembly: false,
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST,
    numberOfSignificantValueDigits: 3,
    autoResize: false,
  });
  let largest = 0;
  let sum = 0;
  const known = (value: number): number => (histogram.totalCount === 0 ? Number.NaN : value);
  return {
    get count() {
      return histogram.totalCount;
    },
    get mean() {
      return known(sum / histogram.totalCount);
    },
    get max() {
      return known(largest);
    },
    record(milliseconds) {
      const time = Math.max(0, milliseconds);
      sum += time;
      largest = Math.max(largest, time);
      histogram.recordValue(Math.min(LONGEST, Math.round(time * NANOSECONDS)));
    },
    at(percentile) {
      // The histogram answers with the top of a bucket, which may lie above the largest record.
      return known(Math.min(largest, histogram.getValueAtPercentile(percentile) / NANOSECONDS));
    },
  };
}
