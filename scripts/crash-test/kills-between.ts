import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkDirectory } from './check.ts';
import { reached, runChild } from './child.ts';
import type { FaultyOrders } from './faulty-writer.ts';
import { groupsOf, prepare, STARTS, type Start } from './workload.ts';

export interface BetweenTotals {
  /** File operations of the workloads. */
  operations: number;
  kills: number;
  readonly violations: string[];
}

/** Kills a writer before each of its file operations, and in the middle of each that can be done by half. */
export async function killBetweenOperations(folder: string, jobs: number): Promise<BetweenTotals> {
  const totals: BetweenTotals = { operations: 0, kills: 0, violations: [] };
  for (const start of STARTS) {
    const prepared = join(folder, start);
    const before = await prepare(prepared, start);
    const operations = groupsOf(start).flat();
    const run = async (at: number | null, half: boolean) => {
      const directory = join(folder, `${start}-${at}-${half}`);
      cpSync(prepared, directory, { recursive: true });
      const orders: FaultyOrders = { directory, start, at, half };
      return { directory, ...(await runChild('./faulty-writer.ts', orders, () => {})) };
    };
    const all = await run(null, false);
    if (all.code !== 0) throw new Error(`The workload fails by itself: ${all.errors}`);
    rmSync(all.directory, { recursive: true });
    const kinds = all.lines.filter((line) => line.startsWith('operation ')).map((line) => JSON.parse(line.slice(10)));
    totals.operations += kinds.length;
    const cases = kinds.flatMap(({ half }, at) =>
      half
        ? [
            { at, half: false },
            { at, half },
          ]
        : [{ at, half: false }],
    );
    const work = async (): Promise<void> => {
      for (let next = cases.shift(); next !== undefined; next = cases.shift()) {
        const { at, half } = next;
        const { directory, lines, signal, errors } = await run(at, half);
        const [submitted, acknowledged] = [reached(lines, 'S', 0), reached(lines, 'A', 0)];
        const begun = operations.slice(0, submitted);
        const verdict =
          signal === 'SIGKILL'
            ? await checkDirectory(directory, { before, operations: begun, acknowledged }, at)
            : { violation: `the writer was not killed: ${errors}` };
        totals.kills++;
        if (verdict.violation === undefined) rmSync(directory, { recursive: true });
        else totals.violations.push(`${where(start, at, kinds[at].kind, half)}, ${directory}: ${verdict.violation}`);
      }
    };
    await Promise.all(Array.from({ length: jobs }, work));
  }
  return totals;
}

const where = (start: Start, at: number, kind: string, half: boolean): string =>
  `${half ? 'in the middle of' : 'before'} operation ${at} (${kind}) of the workload '${start}'`;
