// What the tests of the load test drive: time that is made up, and targets that answer as they are told.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../scripts/load-test/clock.ts';
import { drive, type Load, type Target } from '../../scripts/load-test/driver.ts';

/** A clock that jumps to what is awaited next as soon as everything else has come to rest. */
export function virtualClock(): Clock & { readonly block: (milliseconds: number) => void; stop(): void } {
  let now = 1000; // not 0, as nothing may rely on the origin
  let running = true;
  const sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  const until = (at: number): Promise<void> => new Promise((wake) => void sleepers.push({ at, wake }));
  void (async () => {
    while (running) {
      await nextTurn();
      sleepers.sort((a, b) => a.at - b.at);
      const next = sleepers.shift();
      if (next === undefined) continue;
      now = Math.max(now, next.at);
      next.wake();
    }
  })();
  return {
    now: () => now,
    turn: () => until(now + 0.05),
    // Some of it at the least, or a wait that rounds to nothing would never end.
    sleep: (milliseconds) => until(now + Math.max(milliseconds, 0.001)),
    block: (milliseconds) => {
      now += milliseconds;
    },
    stop: () => {
      running = false;
    },
  };
}

/** A load of which tests change a part. */
export const LOAD: Load = {
  ...{ rate: 500, duration: 2000, warmUp: 0, drain: 1000, maxOutstanding: 1000, pace: 'timer', seed: 1 },
};

type Answer = (queryIndex: number, clock: ReturnType<typeof virtualClock>) => Promise<void>;

/** Drives a target that answers so, under LOAD with changes, on a clock of its own. */
export async function run(answer: Answer, load: Partial<Load> = {}, signal?: AbortSignal) {
  const clock = virtualClock();
  const target: Target = { search: (i) => answer(i, clock), close: async () => {} };
  try {
    return await drive(target, 10, { ...LOAD, ...load }, { clock, signal });
  } finally {
    clock.stop();
  }
}

/** Part of the records that are at most so many milliseconds. */
export function share(times: { at(percentile: number): number }, milliseconds: number): number {
  let part = 0;
  while (part < 1000 && times.at(part / 10) <= milliseconds) part++;
  return part / 1000;
}
