import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpClient } from '../../scripts/load-test/http-client.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server that does with each request what it is told, and a client of it. `seen` are the requests. */
async function pair(answer: (socket: Socket, request: string) => void, connections = 1) {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      seen.push(data.toString());
      answer(socket, data.toString());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const client = new HttpClient({ url, connections, token: 'secret' });
  closing.push(
    () => client.close(),
    () => server.close(),
    () => {
      for (const socket of sockets) socket.destroy();
    },
  );
  const send = async (path = '/', body: Buffer | null = null) => {
    const { status, body: bytes } = await client.send(client.request('POST', path, body, 'application/json'));
    return `${status} ${bytes}`;
  };
  return { client, seen, send, sockets };
}

const ok = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;

describe('a client of the load test', () => {
  it('writes what is asked for, and keeps its connection', async () => {
    const { seen, send, sockets } = await pair((socket) => socket.write(ok('{}')));
    expect(await send('/a', Buffer.from('{"k":1}'))).toBe('200 {}');
    expect(await send('/b')).toBe('200 {}');
    expect(seen[0]).toMatch(/^POST \/a HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nAuthorization: Bearer secret\r\n/);
    expect(seen[0]).toMatch(/\r\nContent-Type: application\/json\r\nContent-Length: 7\r\n\r\n\{"k":1\}$/);
    expect(seen[1]).not.toContain('Content-Length');
    expect(sockets.size).toBe(1);
  });

  it('puts answers together that come in pieces', async () => {
    const { send } = await pair(async (socket) => {
      for (const byte of ok('ä'.repeat(20))) {
        socket.write(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    expect(await send()).toBe(`200 ${'ä'.repeat(20)}`);
    expect(await send()).toBe(`200 ${'ä'.repeat(20)}`);
  });

  it('has what is beyond its connections wait', async () => {
    const waiting: Socket[] = [];
    const { seen, send } = await pair((socket) => void waiting.push(socket), 2);
    const found = Promise.all(['/1', '/2', '/3'].map((path) => send(path)));
    await expect.poll(() => seen.length).toBe(2);
    for (const socket of waiting.splice(0)) socket.write(ok('first'));
    await expect.poll(() => seen.length).toBe(3);
    waiting[0]!.write(ok('second'));
    expect(await found).toEqual(['200 first', '200 first', '200 second']);
  });

  it('connects anew when the server has closed the connection, as it said or not', async () => {
    let count = 0;
    const { send, sockets } = await pair((socket) => {
      count++;
      if (count === 2) socket.destroy();
      else if (count === 1) socket.end('HTTP/1.1 503 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno');
      else socket.write(ok('yes'));
    });
    expect(await send()).toBe('503 no');
    await expect(send()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await send()).toBe('200 yes');
    expect(sockets.size).toBe(3);
  });

  it('refuses answers without a length, and ones that nobody asked for', async () => {
    const { send } = await pair((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    );
    await expect(send()).rejects.toThrow('the server sent an answer without a length');
    const twice = await pair((socket) => socket.write(ok('1') + ok('2')));
    expect([await twice.send(), await twice.send(), twice.sockets.size]).toEqual(['200 1', '200 1', 2]);
  });

  it('fails what is under way or waits when it is closed, and what comes later', async () => {
    const { client, seen, send } = await pair(() => {});
    const found = [send(), send()].map((each) => each.catch((error: Error) => error.message));
    await expect.poll(() => seen.length).toBe(1);
    client.close();
    expect(await Promise.all(found)).toEqual(['the connection was closed', 'the client was closed']);
    await expect(send()).rejects.toThrow('the client is closed');
  });
});
