import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const STATEMENT =
  /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"](?: as string)?\s*\)/gm;

function importsOf(file: string): string[] {
  return Array.from(readFileSync(file, 'utf8').matchAll(STATEMENT), (match) => (match[1] ?? match[2] ?? match[3])!);
}

/** Source files below a folder, by their path from the root. */
function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?<!\.d)\.m?[jt]s$/.test(name) && statSync(join(root, folder, name)).isFile())
    .map((name) => join(folder, name));
}

/** What a file imports of this project, by path from the root, and the packages that it imports. */
function dependencies(file: string): { internal: string[]; packages: string[] } {
  const all = importsOf(join(root, file));
  const internal = all.filter((name) => name.startsWith('.'));
  return {
    internal: internal.map((name) => relative(root, resolve(root, dirname(file), name))),
    packages: all.filter((name) => !name.startsWith('.') && !name.startsWith('node:')),
  };
}

/** The files by which the package is imported. */
const ENTRIES = ['src/index.ts', 'src/recommender/index.ts', 'src/io/index.ts', 'src/server/index.ts'];

/** What each layer may import: folders, and files. */
const LAYERS: Record<string, string[]> = {
  'src/protocol': ['src/protocol'],
  'src/shard': ['src/protocol', 'src/shard'],
  'src/coordinator': ['src/protocol', 'src/shard', 'src/coordinator'],
  'src/io': ['src/protocol', 'src/coordinator/types.ts', 'src/io'],
  'src/recommender': ['src/protocol', 'src/shard', 'src/coordinator', 'src/io', 'src/recommender'],
  // As users do, by the public names, and a few helpers.
  'src/server': [
    'src/index.ts',
    'src/protocol/check.ts',
    'src/protocol/errors.ts',
    'src/protocol/packing.ts',
    'src/server',
  ],
};

/** Layers that are built on the package's front doors. */
const ON_TOP = ['src/server/'];

describe.each(Object.keys(LAYERS))('%s', (layer) => {
  const files = sources(layer);

  it('has files to look at', () => {
    expect(files.length).toBeGreaterThan(5);
    expect(files.flatMap((file) => dependencies(file).internal).length).toBeGreaterThan(5);
  });

  it.each(files)('%s imports nothing from layers above', (file) => {
    const allowed = file.startsWith('src/server/models/')
      ? [...LAYERS[layer]!, 'src/recommender/index.ts']
      : LAYERS[layer]!;
    const outside = dependencies(file).internal.filter(
      (path) => !allowed.some((place) => path === place || path.startsWith(`${place}/`)),
    );
    expect(outside).toEqual([]);
  });

  it('names every file that it imports with its extension', () => {
    const without = files
      .filter((file) => !file.includes('/assembly/'))
      .flatMap((file) => dependencies(file).internal.filter((path) => !/\.[jt]s$/.test(path)));
    expect(without).toEqual([]);
  });
});

/** The package that an import names, perhaps by a subpath. */
const packageOf = (name: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(name)![0];

const users = (name: string): string[] =>
  sources('src').filter((file) => dependencies(file).packages.map(packageOf).includes(name));

it('only threads.ts knows piscina', () => {
  expect(users('piscina')).toEqual(['src/coordinator/threads.ts']);
});

it('only packing.ts knows msgpackr', () => {
  expect(users('msgpackr')).toEqual(['src/protocol/packing.ts']);
});

it('only data-files.ts knows csv-parse', () => {
  expect(users('csv-parse')).toEqual(['src/recommender/data/data-files.ts']);
});

it('only onnx-query-model.ts knows onnxruntime-node, and only once it is needed', () => {
  expect(users('onnxruntime-node')).toEqual(['src/recommender/model/onnx-query-model.ts']);
  const text = readFileSync(join(root, 'src/recommender/model/onnx-query-model.ts'), 'utf8');
  expect(text).not.toMatch(/\b(from|import) 'onnxruntime-node/);
});

it('only h5wasm.ts knows h5wasm, and only once it is needed', () => {
  expect(users('h5wasm')).toEqual(['src/io/h5wasm.ts']);
  const text = readFileSync(join(root, 'src/io/h5wasm.ts'), 'utf8');
  expect(text).not.toMatch(/\b(from|import) 'h5wasm/);
});

it('the source imports no package that is not a dependency', () => {
  const {
    dependencies: declared,
    peerDependencies,
    peerDependenciesMeta,
  } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const peers = Object.keys(peerDependencies);
  expect(peers.filter((name) => peerDependenciesMeta[name]?.optional !== true)).toEqual([]);
  // Development alone uses this one; it is not in the package.
  const shipped = sources('src').filter((file) => file !== 'src/shard/worker-from-source.mjs');
  const used = new Set(shipped.flatMap((file) => dependencies(file).packages.map(packageOf)));
  expect([...used].sort()).toEqual([...Object.keys(declared), ...peers].sort());
});

it.each(ENTRIES)('%s imports from the layers, and none of these imports it', (entry) => {
  expect(dependencies(entry).internal.length).toBeGreaterThan(0);
  const importers = sources('src').filter((file) => dependencies(file).internal.includes(entry));
  expect(importers.filter((file) => !ON_TOP.some((folder) => file.startsWith(folder)))).toEqual([]);
});

const SERVER_PACKAGES = [
  'fastify',
  '@fastify/helmet',
  '@fastify/rate-limit',
  '@fastify/swagger',
  '@fastify/swagger-ui',
  'prom-client',
  'typebox',
];

it.each(SERVER_PACKAGES)('only the server knows %s', (name) => {
  expect(users(name).length).toBeGreaterThan(0);
  expect(users(name).filter((file) => !file.startsWith('src/server/'))).toEqual([]);
});

it('importing scannery/server imports none of its optional packages, which are asked for once they are needed', () => {
  const reached = new Set(['src/server/index.ts']);
  for (const file of reached) {
    const text = withoutTypes(readFileSync(join(root, file), 'utf8'));
    const now = [...text.matchAll(STATEMENT)].map((match) => match[1] ?? match[2]).filter((name) => name !== undefined);
    expect(now.filter((name) => SERVER_PACKAGES.includes(name))).toEqual([]);
    const internal = now.filter((name) => name.startsWith('.'));
    for (const name of internal) reached.add(relative(root, resolve(root, dirname(file), name)));
  }
  expect([...reached]).toContain('src/server/server.ts');
  expect([...reached]).not.toContain('src/server/app.ts');
});

describe('scripts', () => {
  it.each(sources('scripts'))('%s uses the package by its front doors only', (file) => {
    const inside = dependencies(file).internal.filter(
      (path) => !ENTRIES.includes(path) && !/^(scripts|test\/support)\//.test(path),
    );
    expect(inside).toEqual([]);
  });
});

describe('files of src', () => {
  const files = sources('src');

  it('are many, and have at most 300 lines each', () => {
    expect(files.length).toBeGreaterThanOrEqual(60);
    const lines = (file: string): number => readFileSync(join(root, file), 'utf8').split('\n').length - 1;
    expect(files.filter((file) => lines(file) > 300)).toEqual([]);
  });

  it('have kebab-case names, as have their folders', () => {
    const names = files.flatMap((file) => file.split(/[\\/]/));
    expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.ts|\.mjs)?$/.test(name))).toEqual([]);
  });
});

it('no cycle leads from a source file back to itself', () => {
  const graph = new Map(
    sources('src')
      .filter((file) => !file.includes('/assembly/'))
      .map((file) => [file, valueImports(file)]),
  );
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    expect(path, `${[...path, file].join(' > ')}`).not.toContain(file);
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  expect(done.size).toBeGreaterThan(20);
});

/** Imports of values; those of types alone are gone at run time. */
function valueImports(file: string): string[] {
  const text = withoutTypes(readFileSync(join(root, file), 'utf8'));
  const names = Array.from(text.matchAll(STATEMENT), (match) => (match[1] ?? match[2] ?? match[3])!);
  return names.filter((name) => name.startsWith('.')).map((name) => relative(root, resolve(root, dirname(file), name)));
}

const withoutTypes = (text: string): string => text.replaceAll(/^(?:import|export) type\b[^;]*;/gm, '');
