import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fillFolder, runCommand } from './filled-folder.ts';
import { type ProgressListener, UnavailableError } from './types.ts';

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
  await fillFolder({ directory, bytes: unpackedBytes, progress }, async (partial) => {
    // With a manifest here npm has no reason to look for one further up.
    writeFileSync(join(partial, 'package.json'), '{ "private": true }\n');
    const args = ['install', `${name}@${version}`, '--prefix=.', '--no-save', '--no-package-lock', '--ignore-scripts'];
    args.push('--legacy-peer-deps', '--no-audit', '--no-fund', '--no-progress', '--no-update-notifier');
    args.push(
      '--loglevel=error',
      '--fetch-retries=2',
      '--fetch-retry-mintimeout=1000',
      '--fetch-retry-maxtimeout=5000',
    );
    if (options.offline) args.push('--offline');
    let reason = await runCommand(command, args, partial);
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
    return partial;
  });
  return packageDirectory(options);
}
