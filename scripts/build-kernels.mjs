// Compiles the kernels for each tier, unless they are newer than their sources.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
const kernels = 'src/shard/kernels';
const sources = [
  ...readdirSync(`${root}${kernels}/assembly`)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${kernels}/assembly/${name}`),
  'src/protocol/shard-layout.ts',
  'scripts/build-kernels.mjs',
];
const newest = Math.max(...sources.map((path) => statSync(root + path).mtimeMs));
const tiers = { simd: 'simd,threads', relaxed: 'simd,relaxed-simd,threads' };

for (const [tier, features] of Object.entries(tiers)) {
  const out = `${kernels}/${tier}.wasm`;
  if (existsSync(root + out) && statSync(root + out).mtimeMs > newest) continue;
  const { error, stderr } = await asc.main([
    `${kernels}/assembly/index.ts`,
    ...['--baseDir', root, '--outFile', out, '--enable', features, '--runtime', 'stub', '-O3', '--noAssert'],
    ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
  ]);
  if (error) {
    console.error(stderr.toString());
    throw error;
  }
  console.log(`${out}: ${statSync(root + out).size} bytes`);
}
