import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import {
  commandOf,
  copyOf,
  lastOf,
  readIgnored,
  readStages,
  variablesOf,
} from '../../scripts/check-container/dockerfile.ts';
import { temporaryDirectory } from '../support/directories.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const file = join(root, 'Dockerfile');
const stages = readStages(file);
const image = stages.at(-1)!;
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const argument = (keyword: string): string => lastOf(image, keyword).getArgumentsContent()!;

describe('the Dockerfile', () => {
  it('is valid', () => {
    expect(validate(readFileSync(file, 'utf8'))).toEqual([]);
  });

  it('copies what the context or a stage before has', () => {
    const ignored = readIgnored(join(root, '.dockerignore'));
    const before: string[] = [];
    const copies: string[] = [];
    for (const stage of stages) {
      for (const instruction of stage.instructions.filter((one) => one.getKeyword() === 'COPY')) {
        const { from, sources } = copyOf(instruction);
        if (from !== undefined) expect(before).toContain(from);
        else copies.push(...sources);
      }
      before.push(stage.name);
    }
    expect(copies).toContain('package-lock.json');
    expect(copies.filter((path) => !existsSync(join(root, path)) || ignored(path))).toEqual([]);
  });

  it('has in its context what is built and packed, and neither tests nor secrets', () => {
    const ignored = readIgnored(join(root, '.dockerignore'));
    const needed = ['src/index.ts', 'scripts/build-dist.mjs', 'tsconfig.build.json', 'LICENSE', ...packageJson.files];
    expect(needed.filter((path) => path !== 'dist' && (!existsSync(join(root, path)) || ignored(path)))).toEqual([]);
    const unneeded = [
      'container/secrets/prometheus-token',
      'node_modules/x/index.js',
      'test/x.ts',
      '.git/config',
      'a/b.wasm',
    ];
    expect(unneeded.filter((path) => !ignored(path))).toEqual([]);
  });

  it('builds every stage on the same pinned image', () => {
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/^ARG NODE_IMAGE=node:22-bookworm-slim$/m);
    expect([...text.matchAll(/^FROM (\S+)/gm)].map((match) => match[1])).toEqual(
      stages.map(() => '$' + '{NODE_IMAGE}'),
    );
  });

  it('runs the server as PID 1 of tini and as a user without rights', () => {
    expect(commandOf(lastOf(image, 'ENTRYPOINT'))).toEqual(['tini', '--', 'scannery']);
    expect(commandOf(lastOf(image, 'CMD'))).toEqual(['serve', '/data']);
    expect(argument('USER')).toBe('10001:10001');
    expect(argument('STOPSIGNAL')).toBe('SIGTERM');
    expect(argument('VOLUME')).toBe('/data');
  });

  it('listens where it says that it does', () => {
    const variables = variablesOf(lastOf(image, 'ENV'));
    expect(variables).toMatchObject({ NODE_ENV: 'production', SCANNERY_HOST: '0.0.0.0' });
    expect(variables.SCANNERY_PORT).toBe(argument('EXPOSE'));
  });

  it('has the version of the package', () => {
    expect(readFileSync(file, 'utf8')).toContain(`ARG VERSION=${packageJson.version}\n`);
  });
});

describe('runtime-package.mjs', () => {
  const folder = temporaryDirectory();
  writeFileSync(join(folder, 'scannery-1.2.3.tgz'), '');
  execFileSync(process.execPath, [join(root, 'container/runtime-package.mjs'), folder]);
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { packages } = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));

  it('asks for the packed package, and for every peer that a server needs', () => {
    const peers = Object.keys(packageJson.peerDependencies).filter((name) => !/^(h5wasm|onnxruntime-node)$/.test(name));
    expect(Object.keys(dependencies)).toEqual(['scannery', ...peers]);
    expect(dependencies.scannery).toBe('file:scannery-1.2.3.tgz');
    expect(peers).toContain('fastify');
  });

  it('asks for the versions that the lock file has', () => {
    const { scannery, ...peers } = dependencies;
    for (const [name, version] of Object.entries(peers)) {
      expect(version).toBe(packages[`node_modules/${name}`].version);
    }
  });
});
