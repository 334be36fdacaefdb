import type { FastifyInstance } from 'fastify';
import type { Index } from '../index.ts';
import { invalid } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { ServerContext } from './context.ts';
import { type ResolvedServerOptions, resolveServerOptions, type ServerOptions } from './options.ts';
import { checkPackages } from './packages.ts';

/** An index behind HTTP. */
export class ScanneryServer {
  /** The app of fastify, ready: to `inject` requests, or to look at. */
  readonly app: FastifyInstance;
  readonly #context: ServerContext;
  readonly #options: ResolvedServerOptions;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(app: FastifyInstance, context: ServerContext, options: ResolvedServerOptions) {
    this.app = app;
    this.#context = context;
    this.#options = options;
  }

  /** Where it listens, such as 'http://127.0.0.1:8080'; undefined before `listen` and after `close`. */
  get url(): string | undefined {
    const address = this.app.server.address();
    if (address === null || typeof address === 'string') return undefined;
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${this.#options.https === undefined ? 'http' : 'https'}://${host}:${address.port}`;
  }

  /**
   * Begins to listen; returns the URL.
   *
   * @throws {ScanneryError} SCANNERY_IO when the port is taken or may not be used; SCANNERY_CLOSED after `close`
   */
  async listen(): Promise<string> {
    if (this.#closing !== undefined) throw new ScanneryError('SCANNERY_CLOSED', 'the server was closed');
    const { host, port } = this.#options;
    try {
      await this.app.listen({ host, port });
    } catch (cause) {
      const { message } = cause as Error;
      throw new ScanneryError('SCANNERY_IO', `cannot listen on ${host}:${port}: ${message}`, { cause });
    }
    return this.url!;
  }

  /**
   * Stops: /readyz and new requests are answered with 503 from now on, requests in flight are answered, after `stopTimeoutMs` at
   * the latest with 503. The index stays open. Further calls wait for the first.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { stopTimeoutMs } = this.#options;
    const context = this.#context;
    const end = performance.now() + stopTimeoutMs;
    context.stopping = true;
    await context.drain(stopTimeoutMs);
    // What still arrives, or is not read by its client, has the rest of the time.
    const timer = setTimeout(() => this.app.server.closeAllConnections(), Math.max(100, end - performance.now()));
    await this.app.close();
    clearTimeout(timer);
    context.metrics.close();
  }
}

/**
 * Makes a server for an index, or for `models` alone. The caller closes both after the server. It does not listen yet.
 *
 * @param index null where only models are served: then there are no routes of vectors
 * @throws {ScanneryError} SCANNERY_MISSING_PACKAGE with the command that installs what is missing; SCANNERY_INVALID_OPTION, also for
 *   a host that others can reach without `tokens`
 */
export async function createServer(index: Index | null, options: ServerOptions = {}): Promise<ScanneryServer> {
  const resolved = resolveServerOptions(options);
  if (index === null && resolved.models === undefined)
    throw invalid('models', undefined, 'given where there is no index');
  await checkPackages();
  // Only now, since it imports the packages.
  const { makeApp } = await import('./app.ts');
  const { app, context } = await makeApp(index, resolved);
  return new ScanneryServer(app, context, resolved);
}
