import { setImmediate as nextTurn, setTimeout as timer } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds from any origin, with fractions. */
  now(): number;
  /** Lets the event loop turn once. */
  turn(): Promise<void>;
  /** Waits for about so many milliseconds without taking the processor; may well be late. */
  sleep(milliseconds: number): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  turn: () => nextTurn(),
  sleep: (milliseconds) => timer(milliseconds),
};
