import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const [FOLDER, SUFFIX] = process.platform === 'win32' ? ['Scripts', '.exe'] : ['bin', ''];

/** A program of a virtual environment of Python; undefined if it is not there. */
export function programOf(environment: string, name: string): string | undefined {
  const path = join(environment, FOLDER, `${name}${SUFFIX}`);
  return existsSync(path) ? path : undefined;
}

/**
 * Makes a virtual environment, and installs packages from PyPI into it. Packages that cannot be had for this system are told and
 * left out. Returns its interpreter; undefined if there is no Python 3 with venv, which is told.
 */
export function makeEnvironment(
  environment: string,
  packages: readonly string[],
  say: (line: string) => void,
): string | undefined {
  const made = spawnSync('python3', ['-m', 'venv', environment], { stdio: ['ignore', 2, 2] });
  const python = programOf(environment, 'python');
  if (made.status !== 0 || python === undefined) {
    say('python3 -m venv failed: Python 3 with its venv module is needed.');
    return undefined;
  }
  for (const name of packages) {
    const { status } = spawnSync(python, ['-m', 'pip', 'install', '--quiet', name], { stdio: ['ignore', 2, 2] });
    say(status === 0 ? `${name}: installed` : `${name}: cannot be installed here`);
  }
  return python;
}
