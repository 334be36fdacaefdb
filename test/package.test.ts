import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  installInto,
  pack,
  root,
  runJavaScript,
  runServer,
  runTypeScript,
  serverPackages,
  temporaryDirectory,
} from './support/installed-package.ts';

const MINUTES = 60_000;

let directory: string;
let tarball: string;
let project: string;
let files: string[];

beforeAll(async () => {
  directory = temporaryDirectory();
  tarball = await pack(directory);
  project = await installInto(directory, 'javascript', [tarball]);
  const installed = join(project, 'node_modules/scannery');
  files = readdirSync(installed, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(installed, path)).isFile())
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
}, 5 * MINUTES);

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe('the packed package', () => {
  it('holds what users need', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'dist/console/index.html',
        'dist/console/licences.txt',
        'dist/index.d.ts',
        'dist/index.js',
        'dist/io/index.d.ts',
        'dist/io/index.js',
        'dist/recommender/index.d.ts',
        'dist/recommender/index.js',
        'dist/server/index.d.ts',
        'dist/server/index.js',
        'dist/shard/kernels/relaxed.wasm',
        'dist/shard/kernels/simd.wasm',
        'dist/shard/worker.js',
        'docs/errors.md',
        'package.json',
      ]),
    );
  });

  it('holds nothing else', () => {
    const known =
      /^(dist\/.+\.(js|d\.ts|wasm)|dist\/console\/(index\.html|licences\.txt|assets\/[\w-]+\.(js|css|svg))|docs\/.+\.(md|svg)|(README|CHANGELOG)\.md|LICENSE|package\.json)$/;
    expect(files.filter((path) => !known.test(path))).toEqual([]);
  });

  it('holds no declarations that its entries do not lead to', () => {
    const declarations = files.filter((path) => path.endsWith('.d.ts'));
    expect(declarations).toEqual(
      expect.arrayContaining(['dist/coordinator/types.d.ts', 'dist/recommender/model/features.d.ts']),
    );
    expect(declarations).not.toContain('dist/coordinator/save.d.ts');
  });

  it('holds no data', () => {
    expect(files.filter((path) => /^data\/|\.gz$/.test(path))).toEqual([]);
  });

  it('names no path of the machine that packed it', () => {
    const places = [root, process.cwd(), homedir(), directory].map((path) => path.replace(/[\\/]$/, ''));
    const absolute = /(?<![\w.:/-])(\/(home|root|Users|work|mnt|opt)\/|[A-Z]:\\)/;
    const guilty = files.filter((path) => {
      const content = readFileSync(join(project, 'node_modules/scannery', path), 'latin1');
      return absolute.test(content) || places.some((place) => content.includes(`${place}/`));
    });
    expect(guilty).toEqual([]);
  });

  it(
    'builds, searches, saves and opens from JavaScript',
    async () => {
      const outcome = await runJavaScript(project);
      expect(outcome.node).toBe(process.versions.node);
      expect(['simd', 'relaxed']).toContain(outcome.kernels);
    },
    MINUTES,
  );

  it(
    'builds, searches, saves and opens from strict TypeScript that checks its declarations',
    async () => {
      const outcome = await runTypeScript(await installInto(directory, 'typescript', [tarball]));
      expect(outcome.node).toBe(process.versions.node);
    },
    2 * MINUTES,
  );

  it(
    'serves, where the packages of the server are installed',
    async () => {
      const outcome = await runServer(await installInto(directory, 'server', [tarball, ...serverPackages()]));
      expect(outcome.node).toBe(process.versions.node);
    },
    2 * MINUTES,
  );
});
