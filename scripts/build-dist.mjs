// Makes dist/: the compiled sources, the kernels beside their loader, and the public declarations in one file.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

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
const declarations = rollUp('index.d.ts');
for (const path of emitted.filter((name) => name.endsWith('.d.ts'))) rmSync(join(dist, path));
writeFileSync(join(dist, 'index.d.ts'), declarations);

for (const path of emitted.filter((name) => name.endsWith('.js'))) {
  const left = /\bfrom '\.[^']*\.ts'/.exec(readFileSync(join(dist, path), 'utf8'));
  if (left) throw new Error(`dist/${path} still imports a TypeScript file: ${left[0]}`);
}

const wasm = readdirSync(join(root, 'src', kernels)).filter((name) => name.endsWith('.wasm'));
if (wasm.length === 0) throw new Error('there are no kernels; run `npm run kernels` first');
mkdirSync(join(dist, kernels), { recursive: true });
for (const name of wasm) copyFileSync(join(root, 'src', kernels, name), join(dist, kernels, name));

/**
 * The declarations that users can reach, in one file. Each of tsc's declaration files holds internal types beside the public
 * ones, and those name WebAssembly, which TypeScript knows from the DOM library only: users would have to include it.
 *
 * This relies on how tsc lays declarations out: each begins in the first column, and what belongs to it is indented.
 */
function rollUp(entry) {
  const files = new Map();
  const taken = new Map();

  function parse(path) {
    let file = files.get(path);
    if (file !== undefined) return file;
    file = { declared: new Map(), imported: new Map(), exported: new Map() };
    files.set(path, file);
    const pattern = /((?:^\/\*\*[\s\S]*?\*\/\n)?)(^[a-z][^\n]*(?:[;}]$|\n(?:[ ][^\n]*\n)*\}[^\n]*$))/gm;
    const text = readFileSync(join(dist, path), 'utf8');
    for (const [, comment, code] of text.matchAll(pattern)) {
      const link = /^(import|export) (type )?\{([^}]*)\} from '(\.[^']*)\.ts';$/.exec(code);
      if (link) {
        const from = posix.join(posix.dirname(path), `${link[4]}.d.ts`);
        for (const item of link[3].split(',').filter((part) => part.trim() !== '')) {
          const [name, local = name] = item
            .trim()
            .replace(/^type /, '')
            .split(' as ');
          (link[1] === 'import' ? file.imported : file.exported).set(local, { from, name });
        }
        continue;
      }
      if (code.startsWith('import ')) continue; // from outside; `take` complains if it is needed
      const name = /^(?:export )?(?:declare )?(?:abstract )?(?:class|const|function|interface|type) (\w+)/.exec(
        code,
      )?.[1];
      if (name === undefined) throw new Error(`dist/${path}: cannot read the declaration ${code}`);
      const earlier = file.declared.get(name);
      file.declared.set(name, `${earlier === undefined ? '' : `${earlier}\n`}${comment}${code}`);
    }
    return file;
  }

  function take(path, name) {
    const code = parse(path).declared.get(name);
    if (code === undefined) throw new Error(`dist/${path} does not declare ${name}`);
    const earlier = taken.get(name);
    if (earlier !== undefined) {
      if (earlier.path !== path) throw new Error(`${name} is declared in dist/${path} and in dist/${earlier.path}`);
      return;
    }
    taken.set(name, { path, code });
    const words = code.replaceAll(/\/\*[\s\S]*?\*\/|'[^']*'|"[^"]*"/g, '').match(/[A-Za-z_$][\w$]*/g);
    if (words.includes('WebAssembly'))
      throw new Error(`the public declarations reach ${name}, which names WebAssembly`);
    const { declared, imported } = parse(path);
    for (const word of new Set(words)) {
      const source = imported.get(word);
      if (declared.has(word)) take(path, word);
      else if (source !== undefined) take(source.from, source.name);
    }
  }

  const { exported } = parse(entry);
  for (const [name, source] of exported) {
    if (name !== source.name) throw new Error(`dist/${entry} renames ${source.name}, which is not provided for`);
    take(source.from, name);
  }
  const code = [...taken].map(([name, declaration]) =>
    exported.has(name) ? declaration.code : declaration.code.replaceAll(/^export /gm, ''),
  );
  // With this line, what is not marked as exported is not.
  return `${code.join('\n')}\nexport {};\n`;
}
