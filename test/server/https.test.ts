import { request } from 'node:https';
import { expect, it } from 'vitest';
import { createServer } from '../../src/server/index.ts';
import { CERTIFICATE, KEY } from '../support/certificate.ts';
import { failureOf } from '../support/failures.ts';
import { serve, smallIndex } from '../support/server.ts';

const get = (url: string): Promise<{ status: number | undefined; security: unknown }> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { ca: CERTIFICATE, agent: false }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, security: response.headers['strict-transport-security'] });
    });
    sent.on('error', reject);
    sent.end();
  });

it('serves HTTPS, and only that', async () => {
  const server = await serve({ https: { key: KEY, cert: CERTIFICATE } });
  const url = await server.listen();
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  expect(await get(`${url}/docs`)).toEqual({ status: 200, security: expect.stringContaining('max-age=') });
  expect((await get(`${url}/v1/vectors/a`)).status).toBe(200);
  await expect(fetch(url.replace('https', 'http'))).rejects.toThrow();
});

it('says what is wrong with a certificate', async () => {
  const index = await smallIndex();
  const { code, option } = await failureOf(createServer(index, { https: { key: 'no key', cert: CERTIFICATE } }));
  expect([code, option]).toEqual(['SCANNERY_INVALID_OPTION', 'https']);
  await index.close();
});
