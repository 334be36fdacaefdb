import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How a process ended, and all that it had said. */
export interface Ended {
  readonly lines: readonly string[];
  readonly errors: string;
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
}

/** Runs a file of this folder in a process of its own. `hear` is told each line as it comes, and may kill the process. */
export function runChild(
  file: string,
  orders: unknown,
  hear: (line: string, kill: () => void) => void,
): Promise<Ended> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', path, JSON.stringify(orders)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    hear(line, () => child.kill('SIGKILL'));
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // After this, nothing more is in the pipes.
    child.once('close', (code, signal) => resolve({ lines, errors, signal, code }));
  });
}

/** The numbers behind a letter: how many operations have begun (S), or were told to be done (A), counted from the first. */
export function reached(lines: readonly string[], letter: 'S' | 'A', from: number): number {
  const numbers = lines.filter((line) => line.startsWith(`${letter} `)).map((line) => Number(line.slice(2)));
  return Math.max(from, ...numbers.map((number) => number + 1)) - from;
}
