import { createTimes, type Times } from '../load-test/histogram.ts';

export interface Throughput {
  /** Calls that were answered, those of the warm-up included. */
  readonly calls: number;
  /** Calls a second. */
  readonly rate: number;
  /** Milliseconds of a call. */
  readonly latency: Times;
}

/** Keeps `atOnce` calls under way for so many milliseconds, after a quarter of that which is not counted. */
export async function closedLoop(
  call: (i: number) => Promise<void>,
  atOnce: number,
  milliseconds: number,
): Promise<Throughput> {
  const latency = createTimes();
  const start = performance.now() + milliseconds / 4;
  const end = start + milliseconds;
  let next = 0;
  let counted = 0;
  const one = async (): Promise<void> => {
    for (let called = performance.now(); called < end; ) {
      await call(next++);
      const now = performance.now();
      if (now >= start && now < end) {
        counted++;
        latency.record(now - called);
      }
      called = now;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return { calls: next, rate: (counted * 1000) / milliseconds, latency };
}
