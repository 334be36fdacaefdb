import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What the process took at a time. */
export interface Sample {
  /** Since the beginning. */
  readonly seconds: number;
  readonly bytes: number;
}

export interface Growth {
  /** Along the line of least squares, from the first window to the last. */
  readonly bytes: number;
  readonly mean: number;
  readonly windows: number;
}

const WINDOWS = 8;
const LEAST_WINDOWS = 5;
/** A rebalance, during which memory is taken twice, begins and ends within it. */
const LEAST_SECONDS = 15;

/**
 * How much memory grew, by the least of each window: what a rebalance takes for a while, or what waits to be collected, does not
 * count. Undefined if there are too few windows to tell.
 */
export function growthOf(samples: readonly Sample[], from: number): Growth | undefined {
  const after = samples.filter(({ seconds }) => seconds >= from);
  if (after.length === 0) return undefined;
  const [begin, end] = [after[0]!.seconds, after.at(-1)!.seconds];
  const windows = Math.min(WINDOWS, Math.floor((end - begin) / LEAST_SECONDS));
  if (windows < LEAST_WINDOWS) return undefined;
  const least: number[] = new Array(windows).fill(Number.POSITIVE_INFINITY);
  for (const { seconds, bytes } of after) {
    const window = Math.min(windows - 1, Math.floor(((seconds - begin) / (end - begin)) * windows));
    least[window] = Math.min(least[window]!, bytes);
  }
  const found = [...least.entries()].filter(([, bytes]) => bytes < Number.POSITIVE_INFINITY);
  const mean = average(found.map(([, bytes]) => bytes));
  const middle = average(found.map(([window]) => window));
  const slope =
    found.reduce((sum, [window, bytes]) => sum + (window - middle) * (bytes - mean), 0) /
    found.reduce((sum, [window]) => sum + (window - middle) ** 2, 0);
  return { bytes: slope * (windows - 1), mean, windows };
}

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Takes samples of the memory of this process, one a second. */
export class MemoryWatch {
  readonly rss: Sample[] = [];
  readonly heap: Sample[] = [];
  /** Resident memory without JavaScript's heap, which V8 lets grow the more, the later it gets to collect. */
  readonly outside: Sample[] = [];
  /** Bytes of JavaScript's heap in use once all that can be is collected: after the warm-up, and at the end. */
  readonly heapInUse: { warm?: number; end?: number } = {};
  readonly #begun = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #isWarm: (seconds: number) => boolean;

  constructor(isWarm: (seconds: number) => boolean) {
    this.#isWarm = isWarm;
    this.#timer = setInterval(() => this.#take(), 1000);
    this.#take();
  }

  /** Seconds since the beginning. */
  get seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.heapInUse.end = collectedHeap();
  }

  #take(): void {
    const { seconds } = this;
    const { rss, heapUsed, heapTotal } = process.memoryUsage();
    this.rss.push({ seconds, bytes: rss });
    this.outside.push({ seconds, bytes: rss - heapTotal });
    this.heap.push({ seconds, bytes: heapUsed });
    // Twice in a run, so that all else goes on as if nobody looked.
    if (this.heapInUse.warm === undefined && this.#isWarm(seconds)) this.heapInUse.warm = collectedHeap();
  }
}

function collectedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
