// Writes to an index until it is killed, and says what it has begun (S) and what it was told is done (A).
import { writeSync } from 'node:fs';
import { Index, type OpenOptions } from '../../src/index.ts';
import { perform } from './content.ts';
import { operationAt } from './sequence.ts';

export interface WriterOrders {
  readonly directory: string;
  readonly seed: number;
  /** Number of the first operation. */
  readonly from: number;
  readonly options: OpenOptions;
}

const IN_FLIGHT = 8;
const { directory, seed, from, options } = JSON.parse(process.argv[2]!) as WriterOrders;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** At once, so that nothing said is lost when the process is; a pipe takes a line as a whole, or none of it while it is full. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

say('opening');
const index = await Index.open(directory, options);
say('open');
const flights = new Set<Promise<void>>();
for (let number = from; ; number++) {
  const operation = operationAt(seed, number);
  say(`S ${number}`);
  const flight = perform(index, operation).then(() => {
    say(`A ${number}`);
    flights.delete(flight);
  });
  flights.add(flight);
  if (flights.size >= IN_FLIGHT) await Promise.race(flights);
}
