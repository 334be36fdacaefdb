import { connect, type Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';

/** Milliseconds after which a connection that says nothing is given up. */
const SILENCE = 60_000;
const HEAD_END = Buffer.from('\r\n\r\n');

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

interface Pending {
  readonly request: Buffer;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Sends requests over a number of connections that are kept alive, one at a time on each; further ones wait. It shares the machine with what it
 * measures, so it does little: requests are written once, before the measurement, and of the answers it reads the status and the
 * length. Answers without a length are refused.
 */
export class HttpClient {
  readonly #url: URL;
  readonly #headers: string;
  readonly #connections: number;
  readonly #open = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #waiting: Pending[] = [];
  #closed = false;

  constructor({ url, connections, token }: { url: URL; connections: number; token?: string | undefined }) {
    this.#url = url;
    this.#connections = connections;
    this.#headers = `Host: ${url.host}\r\n${token === undefined ? '' : `Authorization: Bearer ${token}\r\n`}`;
  }

  /** Writes a request, to be sent any number of times. */
  request(method: string, path: string, body: Buffer | null, type: string): Buffer {
    const about = body === null ? '' : `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\n${this.#headers}Accept: ${type}\r\n${about}\r\n`;
    return Buffer.concat([Buffer.from(head, 'latin1'), ...(body === null ? [] : [body])]);
  }

  send(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const pending = { request, resolve, reject };
      const connection = this.#idle.pop();
      if (connection !== undefined) connection.send(pending);
      else if (this.#closed) reject(new Error('the client is closed'));
      else if (this.#open.size < this.#connections) this.#connect().send(pending);
      else this.#waiting.push(pending);
    });
  }

  /** Ends the connections; what is under way or waits fails. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the client was closed'));
    for (const connection of this.#open) connection.end();
  }

  #connect(): Connection {
    const { protocol, hostname, port } = this.#url;
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const socket =
      protocol === 'https:'
        ? connectSecurely({ host, port: Number(port || 443), servername: host })
        : connect({ host, port: Number(port || 80) });
    socket.setNoDelay(true);
    const connection: Connection = new Connection(socket, {
      free: () => {
        const next = this.#waiting.shift();
        if (next === undefined) this.#idle.push(connection);
        else connection.send(next);
      },
      gone: () => {
        this.#open.delete(connection);
        const at = this.#idle.indexOf(connection);
        if (at >= 0) this.#idle.splice(at, 1);
        const next = this.#closed ? undefined : this.#waiting.shift();
        if (next !== undefined) this.#connect().send(next);
      },
    });
    this.#open.add(connection);
    return connection;
  }
}

/** One connection, with at most one request under way. */
class Connection {
  readonly #socket: Socket;
  readonly #events: { readonly free: () => void; readonly gone: () => void };
  #pending: Pending | undefined;
  /** What has come of an answer that is not complete. */
  #received: Buffer | undefined;
  #error: Error | undefined;

  constructor(socket: Socket, events: { readonly free: () => void; readonly gone: () => void }) {
    this.#socket = socket;
    this.#events = events;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.setTimeout(SILENCE, () => {
      if (this.#pending !== undefined) socket.destroy(new Error(`no answer within ${SILENCE} ms`));
    });
    socket.once('close', () => {
      const error = this.#error ?? Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });
      this.#pending?.reject(error);
      this.#pending = undefined;
      events.gone();
    });
  }

  send(pending: Pending): void {
    this.#pending = pending;
    this.#socket.write(pending.request);
  }

  end(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const data = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    const head = data.indexOf(HEAD_END);
    if (head < 0) {
      this.#received = data;
      return;
    }
    const text = data.toString('latin1', 0, head);
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    const pending = this.#pending;
    if (length === undefined || pending === undefined) {
      const what = pending === undefined ? 'an answer that nobody asked for' : 'an answer without a length';
      this.#socket.destroy(new Error(`the server sent ${what}`));
      return;
    }
    const start = head + HEAD_END.length;
    const end = start + Number(length);
    if (data.length < end) {
      this.#received = data;
      return;
    }
    this.#received = undefined;
    this.#pending = undefined;
    // More than one answer to one request: whose the next would be, nobody knows.
    if (data.length > end || /\r\nconnection: *close/i.test(text)) this.#socket.destroy();
    else this.#events.free();
    pending.resolve({ status: Number(text.slice(9, 12)), body: data.subarray(start, end) });
  }
}
