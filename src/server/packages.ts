import { ScanneryError } from '../protocol/errors.ts';

/** The optional packages that a server is made of. */
const PACKAGES = [
  'fastify',
  '@fastify/helmet',
  '@fastify/rate-limit',
  '@fastify/swagger',
  '@fastify/swagger-ui',
  'prom-client',
  'typebox',
];

/** @throws {ScanneryError} SCANNERY_MISSING_PACKAGE whose message is the command that installs all that is missing */
export async function checkPackages(load = (name: string): Promise<unknown> => import(name)): Promise<void> {
  const outcomes = await Promise.allSettled(PACKAGES.map(load));
  const missing = PACKAGES.filter((_, i) => outcomes[i]!.status === 'rejected');
  if (missing.length === 0) return;
  const { reason } = outcomes.find((outcome) => outcome.status === 'rejected')!;
  throw new ScanneryError('SCANNERY_MISSING_PACKAGE', `npm install ${missing.join(' ')}`, { cause: reason });
}
