import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ProgressListener, UnavailableError } from './types.ts';

const POLL_MILLISECONDS = 200;

export interface InstallOptions {
  /** Name of the package, without a scope. */
  name: string;
  /** Exact version. */
  version: string;
  /** Size of the unpacked package in bytes, for the progress shown. */
  unpackedBytes: number;
  /** Folder to hold the package, in a node_modules folder of its own. */
  directory: string;
  /** Use nothing but what npm has in its own cache. */
  offline?: boolean | undefined;
  /** Command that stands for npm, with its first arguments; npm itself by default. */
  npmCommand?: readonly string[] | undefined;
  progress?: ProgressListener | undefined;
}

/** Where an installed package lies. */
export function packageDirectory(options: Pick<InstallOptions, 'name' | 'directory'>): string {
  return join(options.directory, 'node_modules', options.name);
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
    // Files come and go while npm works.
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

/** Removes the folders of installations whose process has ended before its time. */
function removeLeftovers(directory: string): void {
  const marker = `${basename(directory)}.partial-`;
  for (const entry of readdirSync(dirname(directory))) {
    if (entry.startsWith(marker) && !isRunning(Number(entry.slice(marker.length)))) {
      rmSync(join(dirname(directory), entry), { recursive: true, force: true });
    }
  }
}

/** The last line of npm's complaints that names a failure or else, advice and stack traces being no such, the last. */
function lastErrorLine(output: string): string {
  const lines = output
    .split(/\r?\n/)
    .map((line) => line.replace(/^npm\s+(error|ERR!)\s*/i, '').replace(/[\s.]+$/, ''))
    .filter((line) => line !== '' && !/complete log of this run|[\\/]_logs[\\/]/i.test(line));
  return (
    lines.findLast((line) => /\bfailed\b|error: |no matching|not permitted|denied/i.test(line)) ?? lines.at(-1) ?? ''
  );
}

/** Runs npm in `cwd`; resolves to an empty string on success, otherwise to the reason of the failure. */
function runNpm(command: readonly string[], args: readonly string[], cwd: string): Promise<string> {
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
      else resolve(lastErrorLine(output) || `npm ended with ${signal ?? `code ${code}`} and no message`);
    });
  });
}

/**
 * Installs one exact version of an npm package into a folder of its own, without its dependencies' scripts, its peers
 * or a trace in the project. The folder gets its name only when it is whole. npm checks the package's integrity.
 *
 * Progress: phase 'download', in bytes of the package unpacked so far, for npm unpacks while it downloads.
 *
 * @returns the folder of the package
 * @throws UnavailableError if npm is missing or fails
 */
export async function installPackage(options: InstallOptions): Promise<string> {
  const { name, version, unpackedBytes, directory, progress } = options;
  const command = options.npmCommand ?? [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
  mkdirSync(dirname(directory), { recursive: true });
  removeLeftovers(directory);
  const partial = `${directory}.partial-${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial);
  // With a manifest here npm has no reason to look for one further up.
  writeFileSync(join(partial, 'package.json'), '{ "private": true }\n');

  const report = (done: number) => progress?.({ phase: 'download', done, total: unpackedBytes });
  const timer = setInterval(() => report(Math.min(folderBytes(partial), unpackedBytes - 1)), POLL_MILLISECONDS);
  try {
    report(0);
    const args = ['install', `${name}@${version}`, '--prefix=.', '--no-save', '--no-package-lock', '--ignore-scripts'];
    args.push('--legacy-peer-deps', '--no-audit', '--no-fund', '--no-progress', '--no-update-notifier');
    args.push(
      '--loglevel=error',
      '--fetch-retries=2',
      '--fetch-retry-mintimeout=1000',
      '--fetch-retry-maxtimeout=5000',
    );
    if (options.offline) args.push('--offline');
    let reason = await runNpm(command, args, partial);
    if (reason === '' && !existsSync(packageDirectory({ name, directory: partial }))) {
      reason = 'npm reported success but left no package';
    }
    if (reason !== '') {
      const size = Math.round(unpackedBytes / 1e6);
      throw new UnavailableError(
        `The npm package ${name}@${version} is not in ${directory}, and npm could not install it there: ${reason}. ` +
          `To get it, run this again with npm at hand and a network (${size} MB unpacked), ` +
          'or copy the cache folder of a machine that has it.',
      );
    }
    rmSync(directory, { recursive: true, force: true });
    renameSync(partial, directory);
    report(unpackedBytes);
    return packageDirectory(options);
  } finally {
    clearInterval(timer);
    rmSync(partial, { recursive: true, force: true });
  }
}
