import { setImmediate as nextTurn } from 'node:timers/promises';

/** Steps between two turns of the event loop: together they take about a millisecond. */
const SLICE = 2048;

/** Calls `step` for 0 .. count - 1, and gives the event loop its turn now and then. */
export async function eachSlice(count: number, step: (i: number) => void): Promise<void> {
  for (let i = 0; i < count; i++) {
    step(i);
    if ((i + 1) % SLICE === 0) await nextTurn();
  }
}
