import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkDirectory } from './check.ts';
import { Disk, fingerprintOf, LOSSES, materialise } from './disk.ts';
import { type FileOperation, intercept } from './faults.ts';
import { groupsOf, prepare, runWorkload, STARTS, type Start } from './workload.ts';

export interface PowerTotals {
  operations: number;
  /** Different contents of the disk that were opened. */
  states: number;
  readonly violations: string[];
}

/** A file operation, and what the caller had been told before it. */
interface Traced {
  readonly operation: FileOperation;
  readonly submitted: number;
  readonly acknowledged: number;
}

/** Loses power after each file operation of the workloads, in each way that a disk may, and opens what is left. */
export async function losePower(folder: string, jobs: number): Promise<PowerTotals> {
  const totals: PowerTotals = { operations: 0, states: 0, violations: [] };
  for (const start of STARTS) {
    const prepared = join(folder, `${start}-before`);
    const before = await prepare(prepared, start);
    const directory = join(folder, start);
    cpSync(prepared, directory, { recursive: true });
    const disk = new Disk(directory);
    const trace = await traceOf(directory, start);
    totals.operations += trace.length - 1;
    const operations = groupsOf(start).flat();
    const seen = new Set<string>();
    const states = (function* () {
      for (const [at, { operation, submitted, acknowledged }] of trace.entries()) {
        for (const loss of LOSSES) {
          const image = disk.after(loss);
          for (const path of image.keys()) if (path.startsWith('LOCK-')) image.delete(path);
          const key = `${submitted} ${acknowledged} ${fingerprintOf(image)}`;
          if (!seen.has(key)) yield { at, loss, image, submitted, acknowledged };
          seen.add(key);
        }
        disk.do(operation);
      }
    })();
    const work = async (): Promise<void> => {
      for (const { at, loss, image, submitted, acknowledged } of states) {
        const own = join(folder, `${start}-${totals.states++}`);
        materialise(image, own);
        const written = { before, operations: operations.slice(0, submitted), acknowledged };
        const { violation } = await checkDirectory(own, written, at, { durability: 'always' });
        if (violation === undefined) rmSync(own, { recursive: true });
        else {
          const where = `power lost before operation ${at} of the workload '${start}', ${JSON.stringify(loss)}, ${own}`;
          totals.violations.push(`${where}: ${violation}`);
        }
      }
    };
    await Promise.all(Array.from({ length: jobs }, work));
  }
  return totals;
}

/** The file operations of a workload; the last one stands for its end. */
async function traceOf(directory: string, start: Start): Promise<Traced[]> {
  const trace: Traced[] = [];
  let [submitted, acknowledged] = [0, 0];
  const note = (operation: FileOperation): undefined => {
    trace.push({ operation, submitted, acknowledged });
  };
  const restore = await intercept(directory, note);
  try {
    await runWorkload(directory, start, {
      submitted: (number) => {
        submitted = number + 1;
      },
      acknowledged: (number) => {
        acknowledged = number + 1;
      },
    });
  } finally {
    restore();
  }
  note({ kind: 'sync', path: directory });
  return trace;
}
