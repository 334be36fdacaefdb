import { createRandom } from '../datasets/index.ts';

/**
 * Arrivals of a Poisson process: independent callers who know nothing of each other, which is what a service faces. Each
 * call returns the next arrival, in milliseconds from the start.
 *
 * @param rate arrivals a second
 * @param seed the same seed gives the same arrivals; those of another rate are the same ones, scaled
 */
export function poissonSchedule(rate: number, seed: number): () => number {
  const random = createRandom(seed);
  const meanGap = 1000 / rate;
  let at = 0;
  return () => {
    at -= Math.log(1 - random.uniform()) * meanGap;
    return at;
  };
}
