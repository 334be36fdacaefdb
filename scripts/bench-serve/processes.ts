import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { threadTimes } from '../load-test/cpu.ts';

/** A server in a process of its own. */
export interface Server {
  readonly url: URL;
  /** Processor time so far, of the main thread and of all, in milliseconds; undefined where there is no /proc. */
  cpu(): { readonly main: number; readonly all: number } | undefined;
  /** Resident bytes now; undefined where there is no /proc. */
  memory(): number | undefined;
  /** Asks it to end, and waits; throws if it does not end well. */
  stop(): Promise<void>;
}

/** Starts a program of Node that prints a line of JSON with its `url` once it listens. */
export async function startServer(args: readonly string[]): Promise<Server> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const url = await Promise.race([readyUrl(child), exited.then(([code]) => failed(args, code))]);
  return {
    url,
    cpu: () => processorTime(child.pid!),
    memory: () => residentBytes(child.pid!),
    async stop() {
      child.kill('SIGTERM');
      const [code] = await exited;
      if (code !== 0) failed(args, code);
    },
  };
}

async function readyUrl(child: ChildProcess): Promise<URL> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const { url } = JSON.parse(line) as { url?: string };
    if (url !== undefined) {
      child.stdout!.resume();
      return new URL(url);
    }
  }
  return new Promise(() => {}); // it has ended, which is told elsewhere
}

function failed(args: readonly string[], code: number | null): never {
  throw new Error(`node ${args.join(' ')} ended with ${code}`);
}

function processorTime(pid: number): { main: number; all: number } | undefined {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return undefined;
  const times = threadTimes(tasks);
  const main = times.find(({ id }) => id === pid)?.milliseconds ?? Number.NaN;
  return { main, all: times.reduce((sum, { milliseconds }) => sum + milliseconds, 0) };
}

function residentBytes(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
