import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { JAVASCRIPT, SERVER, TYPESCRIPT } from './consumer-programs.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the consumers' programs print. */
export interface Outcome {
  /** Version of the Node that ran it. */
  node: string;
  /** Tier of the kernels. */
  kernels: string;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'scannery-package-'));
}

// npm tells what it runs where the project is, and test runners change how Node starts: neither concerns a consumer.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle|config_local_prefix)|NODE_OPTIONS$|NODE_ENV$|VITEST|SCANNERY_)/.test(name),
  ),
);

/** Runs a program; resolves to its standard output, and rejects with all its output if it fails. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, [...args], { cwd, env: environment, maxBuffer: 1 << 26 });
    return stdout;
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string };
    throw new Error(`${message}\n${stdout ?? ''}${stderr ?? ''}`);
  }
}

/** Builds and packs the project; returns the path of the tarball. */
export async function pack(directory: string): Promise<string> {
  const into = join(directory, 'packed');
  mkdirSync(into);
  await run('npm', ['pack', '--pack-destination', into], root);
  return join(into, readdirSync(into)[0]!);
}

/** Makes an empty project and installs packages into it; returns its folder. */
export async function installInto(directory: string, name: string, packages: readonly string[]): Promise<string> {
  const project = join(directory, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }));
  await run('npm', ['install', '--prefix', project, '--no-audit', '--no-fund', ...packages], project);
  return project;
}

/** Installs the Node of a version, 22 or 24.1.0 for example; returns the path of its binary. */
export async function installNode(directory: string, version: string): Promise<string> {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const project = await installInto(directory, `node-${version}`, [`${name}@${version}`]);
  return join(project, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

/** Runs the JavaScript program in a project that has the package. */
export async function runJavaScript(project: string, node = process.execPath): Promise<Outcome> {
  writeFileSync(join(project, 'main.js'), JAVASCRIPT);
  return JSON.parse(await run(node, ['main.js'], project));
}

/** The packages of the server, as they are asked for by the package. */
export function serverPackages(): string[] {
  const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const others = ['h5wasm', 'onnxruntime-node'];
  return Object.entries(peerDependencies).flatMap(([name, range]) =>
    others.includes(name) ? [] : [`${name}@${range}`],
  );
}

/** Runs the program with a server in a project that has the package and those of the server. */
export async function runServer(project: string, node = process.execPath): Promise<Outcome> {
  writeFileSync(join(project, 'server.js'), SERVER);
  return JSON.parse(await run(node, ['server.js'], project));
}

/** Compiles the TypeScript program as strictly as can be, in a project that has the package, and runs it. */
export async function runTypeScript(project: string, node = process.execPath): Promise<Outcome> {
  for (const name of ['@types/node', 'undici-types']) {
    cpSync(join(root, 'node_modules', name), join(project, 'node_modules', name), { recursive: true });
  }
  writeFileSync(join(project, 'main.ts'), TYPESCRIPT);
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], project);
  return JSON.parse(await run(node, ['main.js'], project));
}

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2022'],
  types: ['node'],
  module: 'nodenext',
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noUncheckedSideEffectImports: true,
};
