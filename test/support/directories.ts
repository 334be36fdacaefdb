import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll } from 'vitest';

/** A fresh directory that is removed after the file's tests. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'scannery-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Every file below a directory, by relative path, ascending. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** Each file's hash, by relative path. */
export function fingerprint(directory: string): Record<string, string> {
  return Object.fromEntries(
    filesIn(directory).map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex'),
    ]),
  );
}

/** Copies a directory as a machine that starts again would find it: nobody has it open. */
export function copyUnlocked(from: string, to: string): string {
  cpSync(from, to, { recursive: true, filter: (path) => !basename(path).startsWith('LOCK-') });
  return to;
}
