// Makes dist/: the compiled sources with the declarations that users can reach, the kernels beside their loader, and the console.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const kernels = 'shard/kernels';

rmSync(dist, { recursive: true, force: true });
try {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
} catch {
  process.exit(1); // tsc has said why
}

const emitted = readdirSync(dist, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'));
for (const path of emitted.filter((name) => name.endsWith('.js'))) {
  const left = /\b(?:from|import) '\.[^']*\.ts'/.exec(readFileSync(join(dist, path), 'utf8'));
  if (left) throw new Error(`dist/${path} still imports a TypeScript file: ${left[0]}`);
}

const { bin, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = Object.values(exports).flatMap(({ types }) => (types ? [posix.relative('dist', types)] : []));
const declarations = reachableDeclarations(entries);
for (const path of emitted.filter((name) => name.endsWith('.d.ts'))) {
  if (declarations.has(path)) writeFileSync(join(dist, path), declarations.get(path));
  else rmSync(join(dist, path));
}

for (const path of Object.values(bin)) {
  if (!readFileSync(join(root, path), 'utf8').startsWith('#!'))
    throw new Error(`${path} has no first line for a shell`);
  chmodSync(join(root, path), 0o755);
}

const wasm = readdirSync(join(root, 'src', kernels)).filter((name) => name.endsWith('.wasm'));
if (wasm.length === 0) throw new Error('there are no kernels; run `npm run kernels` first');
for (const name of wasm) copyFileSync(join(root, 'src', kernels, name), join(dist, kernels, name));

// The console's page, which the server reads from dist/console.
await build({ configFile: join(root, 'vite.config.ts'), configLoader: 'runner', logLevel: 'warn' });

/**
 * The declaration files that some lead to, themselves included, by path. tsc leaves imports of './x.ts' in them, which some
 * resolvers of types refuse.
 */
function reachableDeclarations(entries) {
  const found = new Map();
  const open = [...entries];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path)) continue;
    const folder = posix.dirname(path);
    const text = readFileSync(join(dist, path), 'utf8').replaceAll(
      /(\bfrom '|\bimport\(')(\.[^']*)\.ts'/g,
      (_, start, target) => {
        open.push(posix.join(folder, `${target}.d.ts`));
        return `${start}${target}.js'`;
      },
    );
    // TypeScript knows these types from the DOM library only, which users would then have to include.
    if (/\bWebAssembly\./.test(text)) throw new Error(`dist/${path} is public and names types of WebAssembly`);
    found.set(path, text);
  }
  return found;
}
