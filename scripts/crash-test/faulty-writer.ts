// Runs a workload and is killed right before its N-th file operation, or in the middle of it.
import { writeSync } from 'node:fs';
import { hasHalf, intercept } from './faults.ts';
import { runWorkload, type Start } from './workload.ts';

export interface FaultyOrders {
  readonly directory: string;
  readonly start: Start;
  /** The operation that it does not live to do; null: it does all, and says what they are. */
  readonly at: number | null;
  readonly half: boolean;
}

const { directory, start, at, half } = JSON.parse(process.argv[2]!) as FaultyOrders;
// At once, so that nothing said is lost when the process is.
const say = (line: string): unknown => writeSync(1, `${line}\n`);
const end = (): never => {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
};

let count = 0;
await intercept(directory, (operation) => {
  if (at === null) say(`operation ${JSON.stringify({ kind: operation.kind, half: hasHalf(operation) })}`);
  return count++ === at ? { half, strike: end } : undefined;
});
await runWorkload(directory, start, {
  submitted: (number) => say(`S ${number}`),
  acknowledged: (number) => say(`A ${number}`),
});
