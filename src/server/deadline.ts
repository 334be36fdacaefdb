import type { FastifyReply, FastifyRequest } from 'fastify';
import { show } from '../protocol/errors.ts';
import { HttpError } from './errors.ts';

const HEADER = 'x-request-timeout';

/** Ends work when its time is up, when nobody waits for the answer any more, or when the server must not wait any longer. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #raw: FastifyReply['raw'];
  readonly #onClose = (): void => {
    if (!this.#raw.writableFinished) this.abort(new HttpError(499, 'BAD_REQUEST', 'the client has gone'));
  };

  constructor(reply: FastifyReply, milliseconds: number) {
    this.#timer = setTimeout(() => this.abort(exceeded(milliseconds)), milliseconds);
    this.#raw = reply.raw;
    this.#raw.once('close', this.#onClose);
    if (this.#raw.destroyed) this.#onClose();
  }

  /** Its reason, once it is aborted, is the error to answer with. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: HttpError): void {
    this.#controller.abort(reason);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#raw.removeListener('close', this.#onClose);
  }
}

const exceeded = (milliseconds: number): HttpError =>
  new HttpError(504, 'DEADLINE_EXCEEDED', `the answer was not ready within ${milliseconds} ms`);

/** Milliseconds that a request may take: what its header says (`250`, `250ms`, `2s`), and at most the server's own limit. */
export function timeoutOf(request: FastifyRequest, most: number): number {
  const given = request.headers[HEADER];
  if (given === undefined) return most;
  const [, digits, unit] = /^(\d{1,9})(ms|s)?$/.exec(String(given)) ?? [];
  const milliseconds = Number(digits) * (unit === 's' ? 1000 : 1);
  if (milliseconds >= 1) return Math.min(milliseconds, most);
  const message = `X-Request-Timeout must be whole milliseconds (250 or 250ms) or seconds (2s) above 0, received ${show(given)}`;
  throw new HttpError(400, 'BAD_REQUEST', message, { option: 'X-Request-Timeout', value: given });
}
