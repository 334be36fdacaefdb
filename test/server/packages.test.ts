import { expect, it } from 'vitest';
import { checkPackages } from '../../src/server/packages.ts';
import { failureOf } from '../support/failures.ts';
import { serverPackages } from '../support/installed-package.ts';

it('the error for missing packages is the command that installs them', async () => {
  const cause = new Error('there is none');
  const load = async (name: string): Promise<void> => {
    if (name.startsWith('@fastify/swagger') || name === 'prom-client') throw cause;
  };
  const error = await failureOf(checkPackages(load));
  expect(error.code).toBe('SCANNERY_MISSING_PACKAGE');
  expect(error.message).toBe('npm install @fastify/swagger @fastify/swagger-ui prom-client');
  expect(error.cause).toBe(cause);
});

it('those that are looked for are the optional peers of the server', async () => {
  const asked: string[] = [];
  await checkPackages(async (name) => asked.push(name));
  const peers = serverPackages().map((each) => each.slice(0, each.lastIndexOf('@')));
  expect(asked.sort()).toEqual(peers.sort());
  await checkPackages();
});
