import { copyFileSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fillFolder, runCommand } from './filled-folder.ts';
import { type ProgressListener, UnavailableError } from './types.ts';

export interface UnpackOptions {
  /** Name of the Debian package. */
  name: string;
  /** Folder of the package to keep, such as 'usr/share/datasets/iris'. */
  folder: string;
  /** Whether a folder holds what is wanted. */
  isWhole: (folder: string) => boolean;
  /** Where that folder goes. */
  directory: string;
  /** Size of the package file in bytes, for the progress shown. */
  bytes: number;
  /** Command that stands for apt-get, with its first arguments; apt-get itself by default. */
  aptCommand?: readonly string[] | undefined;
  /** Command that stands for dpkg-deb, with its first arguments; dpkg-deb itself by default. */
  unpackCommand?: readonly string[] | undefined;
  progress?: ProgressListener | undefined;
}

/**
 * Downloads a Debian package and keeps one folder of it, and its copyright notice, without installing it or being root. apt
 * checks the package by the hashes of its signed lists. The folder gets its name only when it is whole.
 *
 * Progress: phase 'download', in bytes of the package file.
 *
 * @throws UnavailableError if apt-get or dpkg-deb is missing or fails
 */
export async function unpackPackage(options: UnpackOptions): Promise<void> {
  const { name, folder, directory, isWhole } = options;
  const { aptCommand = ['apt-get'], unpackCommand = ['dpkg-deb'] } = options;
  const fail = (reason: string): never => {
    throw new UnavailableError(
      `The Debian package ${name} is neither installed nor in ${directory}, and could not be had: ${reason}. ` +
        `To get it, run this again on Debian or one of its kin with a network and apt's lists (apt-get update), ` +
        `or put the files of its folder /${folder}, from wherever you have them, into ${directory}.`,
    );
  };
  await fillFolder(options, async (partial) => {
    const failure = await runCommand(aptCommand, ['download', name], partial);
    if (failure !== '') fail(failure);
    const file = readdirSync(partial).find((entry) => entry.endsWith('.deb'));
    if (file === undefined) return fail('apt-get reported success but left no package');
    const damage = await runCommand(unpackCommand, ['-x', file, 'unpacked'], partial);
    if (damage !== '') fail(damage);
    const unpacked = join(partial, 'unpacked');
    const kept = join(unpacked, folder);
    if (!isWhole(kept)) fail(`it does not hold what it should in /${folder}`);
    const notice = join(unpacked, 'usr/share/doc', name, 'copyright');
    if (existsSync(notice)) copyFileSync(notice, join(kept, 'copyright'));
    return kept;
  });
}
