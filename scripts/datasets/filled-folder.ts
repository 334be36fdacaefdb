import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ProgressListener } from './types.ts';

const POLL_MILLISECONDS = 200;

export interface FillOptions {
  /** Folder to fill; what it held before is replaced. */
  directory: string;
  /** Bytes that come into the folder, for the progress shown. */
  bytes: number;
  /** Told of the phase 'download', in bytes that lie in the folder so far. */
  progress?: ProgressListener | undefined;
}

function folderBytes(directory: string): number {
  let total = 0;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) total += folderBytes(path);
      else if (entry.isFile()) total += statSync(path).size;
    }
  } catch {
    // Files come and go while they are being fetched.
  }
  return total;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes the partial folders of processes that ended before their time. */
function removeLeftovers(directory: string): void {
  const marker = `${basename(directory)}.partial-`;
  for (const entry of readdirSync(dirname(directory))) {
    if (entry.startsWith(marker) && !isRunning(Number(entry.slice(marker.length)))) {
      rmSync(join(dirname(directory), entry), { recursive: true, force: true });
    }
  }
}

/**
 * Fills a folder that gets its name only when it is whole, and leaves nothing behind where that fails.
 *
 * @param fill fills the partial folder that it is given, and returns the folder to keep: that one, or one inside it
 */
export async function fillFolder(options: FillOptions, fill: (partial: string) => Promise<string>): Promise<void> {
  const { directory, bytes, progress } = options;
  mkdirSync(dirname(directory), { recursive: true });
  removeLeftovers(directory);
  const partial = `${directory}.partial-${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial);
  const report = (done: number) => progress?.({ phase: 'download', done, total: bytes });
  const timer = setInterval(() => report(Math.min(folderBytes(partial), bytes - 1)), POLL_MILLISECONDS);
  try {
    report(0);
    const whole = await fill(partial);
    rmSync(directory, { recursive: true, force: true });
    renameSync(whole, directory);
    report(bytes);
  } finally {
    clearInterval(timer);
    rmSync(partial, { recursive: true, force: true });
  }
}

/** The last line of npm's or apt's complaints that names a failure or else, advice and stack traces being no such, the last. */
function lastErrorLine(output: string): string {
  const lines = output
    .split(/\r?\n/)
    .map((line) => line.replace(/^(npm\s+(error|ERR!)|E:)\s*/i, '').replace(/[\s.]+$/, ''))
    .filter((line) => line !== '' && !/complete log of this run|[\\/]_logs[\\/]/i.test(line));
  return (
    lines.findLast((line) => /\bfailed\b|error: |no matching|not permitted|denied/i.test(line)) ?? lines.at(-1) ?? ''
  );
}

/**
 * Runs a command in `cwd`; resolves to an empty string on success, otherwise to the reason of the failure.
 *
 * @param command the program with its first arguments
 */
export function runCommand(command: readonly string[], args: readonly string[], cwd: string): Promise<string> {
  const [program, ...first] = command;
  return new Promise((resolve) => {
    // A .cmd file needs a shell, and no argument here holds anything that a shell would read differently.
    const child = spawn(program!, [...first, ...args], {
      cwd,
      shell: program!.endsWith('.cmd'),
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-65536);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ENOENT' ? `the command '${program}' was not found` : error.message);
    });
    child.on('close', (code, signal) => {
      if (code === 0) resolve('');
      else resolve(lastErrorLine(output) || `${program} ended with ${signal ?? `code ${code}`} and no message`);
    });
  });
}
