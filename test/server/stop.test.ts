import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createServer } from '../../src/server/index.ts';
import { failureOf } from '../support/failures.ts';
import { root } from '../support/installed-package.ts';
import { serve, smallIndex } from '../support/server.ts';
import { slowIndex, until } from '../support/slow-index.ts';

const search = (url: string) =>
  fetch(`${url}/v1/search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ vector: [1, 2, 3, 4] }),
  });

describe('close', () => {
  it('answers what is in flight, refuses what comes, and leaves the index open', async () => {
    const slow = await slowIndex();
    const server = await serve({ stopTimeoutMs: 60_000 }, slow.index);
    const url = await server.listen();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const inFlight = search(url);
    await until(() => slow.waiting.size === 1);
    const closing = server.close();
    const ready = await fetch(`${url}/readyz`);
    expect(ready.status).toBe(503);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const refused = await search(url);
    expect([refused.status, refused.headers.get('connection'), refused.headers.get('retry-after')]).toEqual([
      503,
      'close',
      '1',
    ]);
    expect(await refused.json()).toMatchObject({ error: { code: 'STOPPING' } });
    slow.letGo();
    const answer = await inFlight;
    expect([answer.status, await answer.json()]).toEqual([200, { ids: ['a'], scores: [0] }]);
    await closing;
    expect(server.url).toBeUndefined();
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
    expect(await slow.index.has('a')).toBe(true);
  });

  it('ends what is in flight after stopTimeoutMs, and connections that send no more', async () => {
    const slow = await slowIndex();
    const server = await serve({ stopTimeoutMs: 50 }, slow.index);
    const url = await server.listen();
    const idle = connect(Number(new URL(url).port), '127.0.0.1');
    idle.on('error', () => {});
    idle.write(
      'POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    );
    const inFlight = search(url);
    await until(() => slow.waiting.size === 1);
    await server.close();
    expect((await inFlight).status).toBe(503);
    expect(slow.aborted()).toBe(1);
  });

  it('may be called again, and before listening', async () => {
    const server = await serve();
    await Promise.all([server.close(), server.close()]);
    await server.close();
    const { code } = await failureOf(server.listen());
    expect(code).toBe('SCANNERY_CLOSED');
  });
});

it('listen says why it cannot', async () => {
  const first = await serve();
  const { port } = new URL(await first.listen());
  const second = await createServer(await smallIndex(), { port: Number(port) });
  const { code, message } = await failureOf(second.listen());
  expect([code, message]).toEqual(['SCANNERY_IO', expect.stringContaining(`127.0.0.1:${port}`)]);
  await second.close();
});

describe('stopOnSignals', () => {
  const start = async () => {
    const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
    const child = spawn(process.execPath, ['--import', loader, join(root, 'test/support/server-child.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    await until(() => output.includes('\n'));
    return { child, url: output.trim(), output: () => output };
  };

  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s stops the server, closes the index and ends the process with 0',
    async (signal) => {
      const { child, url, output } = await start();
      expect((await search(url)).status).toBe(200);
      child.kill(signal);
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
      expect(output()).toContain('closed');
    },
  );
});
