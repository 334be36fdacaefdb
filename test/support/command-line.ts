import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { vi } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;

/** Words by which Node runs the command line from source. */
export const COMMAND = [process.execPath, '--import', loader, join(root, 'src/cli/main.ts')] as const;

/** What a command line left behind. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the command line in a process of its own, without a terminal. */
export function start(args: readonly string[], cwd: string): { child: ChildProcess; ended: Promise<Ran> } {
  const [node, ...words] = COMMAND;
  const child = spawn(node, [...words, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const ended = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...texts }));
  });
  return { child, ended };
}

/** Runs the command line in a process of its own. */
export const runProcess = (args: readonly string[], cwd: string): Promise<Ran> => start(args, cwd).ended;

/** Runs the command line in this process, which is faster; what it writes is taken. */
export async function runHere(args: readonly string[], signal = new AbortController().signal): Promise<Ran> {
  const texts = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation(((text: string, done?: () => void) => {
      texts[name] += text;
      done?.();
      return true;
    }) as never),
  );
  try {
    const code = await runCommandLine(args, signal);
    return { code, ...texts };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
