import type { Index, SearchOptions } from '../index.ts';
import type { Admission } from './admission.ts';
import type { Metrics } from './metrics.ts';

/** The weight of a sample in the moving average. */
const WEIGHT = 0.05;
/** Samples after which the average is a moving one. */
const FIRST = 1 / WEIGHT;

/** Measures the recall of some of the queries that are answered, one at a time, while the server is not busy. */
export class RecallSampler {
  readonly #index: Index;
  readonly #fraction: number;
  readonly #queries: Admission;
  readonly #metrics: Metrics;
  #samples = 0;
  #mean = 0;
  #running: Promise<void> | undefined;

  constructor(index: Index, fraction: number, queries: Admission, metrics: Metrics) {
    this.#index = index;
    this.#fraction = fraction;
    this.#queries = queries;
    this.#metrics = metrics;
  }

  /** Perhaps measures a query that was answered. */
  offer(query: ArrayLike<number>, options: SearchOptions): void {
    if (this.#fraction === 0 || this.#running !== undefined || Math.random() >= this.#fraction) return;
    const { filter, allowIds, excludeIds, crowding, ...setting } = options;
    if (filter ?? allowIds ?? excludeIds ?? crowding) return;
    if (this.#queries.inFlight * 2 > this.#queries.limit) return;
    this.#running = this.#measure(Float32Array.from(query), setting).finally(() => {
      this.#running = undefined;
    });
  }

  /** Waits for what is being measured. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #measure(query: Float32Array, { k, numLeavesToSearch, numReorderingCandidates }: SearchOptions): Promise<void> {
    let recall: number;
    try {
      recall = await this.#index.measureRecall({ queries: query, k, numLeavesToSearch, numReorderingCandidates });
    } catch {
      // It is closed, or keeps no vectors to compare with: then there is no recall to tell of.
      return;
    }
    this.#samples++;
    this.#mean += (recall - this.#mean) * Math.max(WEIGHT, 1 / Math.min(this.#samples, FIRST));
    this.#metrics.recall(this.#mean);
  }
}
