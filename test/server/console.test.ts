import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Index } from '../../src/index.ts';
import { makeApp } from '../../src/server/app.ts';
import { resolveServerOptions } from '../../src/server/options.ts';
import { smallIndex } from '../support/server.ts';

const FILES: Record<string, string> = {
  'index.html': '<!doctype html><title>console</title>',
  'licences.txt': 'MIT',
  'assets/index-0a1b2c3d.js': 'export {};',
  'assets/index-0a1b2c3d.css': 'body {}',
  'assets/icon-0a1b2c3d.svg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
};

let index: Index;
let directory: string;
let app: FastifyInstance;
let without: FastifyInstance;

beforeAll(async () => {
  index = await smallIndex();
  directory = mkdtempSync(join(tmpdir(), 'scannery-console-'));
  mkdirSync(join(directory, 'console/assets'), { recursive: true });
  for (const [path, text] of Object.entries(FILES)) writeFileSync(join(directory, 'console', path), text);
  writeFileSync(join(directory, 'secret.txt'), 'not to be seen');
  const options = resolveServerOptions({ tokens: [{ name: 'x', token: 'reader-token-0123456789' }] });
  ({ app } = await makeApp(index, options, join(directory, 'console')));
  ({ app: without } = await makeApp(index, options, join(directory, 'none')));
});
afterAll(async () => {
  for (const one of [app, without]) await one?.close();
  await index?.close();
  rmSync(directory, { recursive: true, force: true });
});

const get = (url: string, headers: Record<string, string> = {}) => app.inject({ method: 'GET', url, headers });

it.each([
  ['/console', 'index.html', 'text/html; charset=utf-8', 'no-cache'],
  ['/console/', 'index.html', 'text/html; charset=utf-8', 'no-cache'],
  ['/console/licences.txt', 'licences.txt', 'text/plain; charset=utf-8', 'no-cache'],
  ['/console/assets/index-0a1b2c3d.js', 'assets/index-0a1b2c3d.js', 'text/javascript; charset=utf-8', 'immutable'],
  ['/console/assets/index-0a1b2c3d.css', 'assets/index-0a1b2c3d.css', 'text/css; charset=utf-8', 'immutable'],
  ['/console/assets/icon-0a1b2c3d.svg', 'assets/icon-0a1b2c3d.svg', 'image/svg+xml', 'immutable'],
])('%s is open to everyone, with its type and how long to keep it', async (url, file, type, cache) => {
  const answer = await get(url);
  expect([answer.statusCode, answer.payload]).toEqual([200, FILES[file]]);
  expect(answer.headers['content-type']).toBe(type);
  expect(answer.headers['cache-control']).toContain(cache);
  expect(answer.headers['content-security-policy']).toContain("default-src 'self'");
  const again = await get(url, { 'if-none-match': String(answer.headers.etag) });
  expect([again.statusCode, again.payload]).toEqual([304, '']);
  expect((await get(url, { 'if-none-match': '"other"' })).statusCode).toBe(200);
});

it('no path leads to a file', async () => {
  // They are in memory: what happens to them on disk changes nothing.
  writeFileSync(join(directory, 'console/late.txt'), 'late');
  for (const path of [
    'late.txt',
    '../secret.txt',
    '..%2fsecret.txt',
    '%2e%2e/secret.txt',
    'assets/../../secret.txt',
    'assets',
    'assets/',
    'index.html',
    'assets/index-0a1b2c3d.js%00',
  ]) {
    const { statusCode, payload } = await get(`/console/${path}`);
    expect([path, statusCode]).toEqual([path, 404]);
    expect(payload).not.toContain('not to be seen');
  }
});

it('is no part of the API that the OpenAPI document describes', () => {
  expect(Object.keys(app.swagger().paths!).filter((path) => path.includes('console'))).toEqual([]);
});

describe('a console that was not built', () => {
  it('is answered with how to build it, and nothing else is amiss', async () => {
    const { statusCode, payload } = await without.inject({ method: 'GET', url: '/console' });
    expect(statusCode).toBe(404);
    expect(JSON.parse(payload).error).toEqual({
      ...{ code: 'NOT_FOUND', message: 'there is no console: it was not built; `npm run console` builds it' },
    });
    expect((await without.inject({ method: 'GET', url: '/healthz' })).statusCode).toBe(200);
  });
});
