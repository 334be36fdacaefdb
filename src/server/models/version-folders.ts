import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ScanneryError } from '../../protocol/errors.ts';

/** What a saved layer's directory has in it. */
const ARTEFACT = 'CURRENT';

/**
 * The versions that a model's directory holds, each with its path. Folders whose name is no number are passed over; a directory
 * without any that is a saved layer itself is version 1.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_IO
 */
export async function versionFolders(directory: string): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  const entries = await readDirectory(directory);
  for (const entry of entries) {
    const version = Number(entry.name);
    const named = /^\d+$/.test(entry.name) && Number.isSafeInteger(version);
    // '7' counts before '007'. A link may lead to a folder; if it does not, loading it says so.
    if (
      named &&
      (entry.isDirectory() || entry.isSymbolicLink()) &&
      (!found.has(version) || entry.name === `${version}`)
    )
      found.set(version, join(directory, entry.name));
  }
  if (found.size === 0 && entries.some(({ name }) => name === ARTEFACT)) found.set(1, directory);
  return found;
}

async function readDirectory(path: string) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw new ScanneryError('SCANNERY_IO', message, { path, cause });
    throw new ScanneryError('SCANNERY_NOT_FOUND', `there is no directory ${path}`, { path, cause });
  }
}

/** Names, sizes and times of a folder's files: equal while nobody writes there. A folder that is gone has one, too. */
export async function filesPrint(path: string): Promise<string> {
  const orCode = (error: NodeJS.ErrnoException): string => String(error.code);
  const names = await readdir(path, { recursive: true }).catch(orCode);
  if (typeof names === 'string') return names;
  const lines = names.sort().map(async (name) => {
    const found = await stat(join(path, name)).catch(orCode);
    return `${name} ${typeof found === 'string' ? found : `${found.size} ${found.mtimeMs}`}`;
  });
  return (await Promise.all(lines)).join('\n');
}
