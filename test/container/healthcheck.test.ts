import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../container/healthcheck.mjs', import.meta.url));
let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  if (server?.listening) await new Promise((resolve) => server!.close(resolve));
  server = undefined;
});

/** Starts a server whose answers have a status, and notes which paths are asked for. */
async function listen(status: number): Promise<{ port: number; paths: string[] }> {
  const paths: string[] = [];
  server = createServer((request, response) => {
    paths.push(request.url!);
    response.writeHead(status).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, paths };
}

function check(port: number): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, SCANNERY_PORT: String(port) };
    execFile(process.execPath, [script], { env }, (error, _, stderr) => {
      resolve({ code: error === null ? 0 : (error.code as number), stderr });
    });
  });
}

it('succeeds when /healthz is answered with 200', async () => {
  const { port, paths } = await listen(200);
  expect(await check(port)).toEqual({ code: 0, stderr: '' });
  expect(paths).toEqual(['/healthz']);
});

it('fails at any other status', async () => {
  const { port } = await listen(503);
  expect(await check(port)).toEqual({ code: 1, stderr: 'scannery is not healthy: /healthz answered 503\n' });
});

it('fails where nobody listens', async () => {
  const { port } = await listen(200);
  await new Promise((resolve) => server!.close(resolve));
  const { code, stderr } = await check(port);
  expect(code).toBe(1);
  expect(stderr).toContain('ECONNREFUSED');
});
