// The entry of worker threads where this runs from source. They are compiled once into one file, since every thread would otherwise
// compile some forty for a third of a second. piscina tries to `require` its file first; of TypeScript a loader would then make CommonJS,
// where each use of another module's constant is a call: a tenth of a search. A module that waits cannot be required, so it is imported.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { threadId } from 'node:worker_threads';

const source = fileURLToPath(new URL('..', import.meta.url));
const cache = join(source, '../.cache/worker');

/** Changes with every file that a worker may be made of, and with this one. */
function fingerprint() {
  const hash = createHash('sha256');
  for (const folder of ['protocol', 'shard']) {
    for (const name of readdirSync(join(source, folder), { recursive: true }).sort()) {
      if (!/\.m?[jt]s$/.test(name)) continue;
      const { mtimeMs, size } = statSync(join(source, folder, name));
      hash.update(`${folder}/${name} ${mtimeMs} ${size}\n`);
    }
  }
  return hash.digest('hex').slice(0, 16);
}

async function compile(file) {
  const { build } = await import('esbuild');
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    const old = join(cache, name);
    if (Date.now() - statSync(old, { throwIfNoEntry: false })?.mtimeMs > 3_600_000) rmSync(old, { force: true });
  }
  // Other threads may be at it, too: the last one to finish wins, and all make the same.
  const outfile = `${file}.${process.pid}.${threadId}`;
  await build({
    entryPoints: [join(source, 'shard/worker.ts')],
    outfile,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'error',
    // Puts constants where they are used; otherwise they would be variables.
    minifySyntax: true,
  });
  renameSync(outfile, file);
}

const file = join(cache, `${fingerprint()}.mjs`);
if (!existsSync(file)) await compile(file);
const { default: run } = await import(pathToFileURL(file).href);
export default run;
