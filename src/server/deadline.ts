import type { FastifyReply, FastifyRequest } from 'fastify';
import { show } from '../protocol/errors.ts';
import { HttpError } from './errors.ts';

const HEADER = 'x-request-timeout';

/** Ends work when its time is up, when nobody waits for the answer any more, or when the server must not wait any longer. */
export class Deadline {
  /** Why the work was ended, once it was: the error to answer with. */
  reason: HttpError | undefined;
  #controller: AbortController | undefined;
  #listener: ((reason: HttpError) => void) | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #raw: FastifyReply['raw'];
  readonly #onClose = (): void => {
    if (!this.#raw.writableFinished) this.abort(new HttpError(499, 'BAD_REQUEST', 'the client has gone'));
  };

  constructor(reply: FastifyReply, milliseconds: number) {
    this.#timer = setTimeout(expire, milliseconds, this, milliseconds);
    this.#raw = reply.raw;
    this.#raw.once('close', this.#onClose);
    if (this.#raw.destroyed) this.#onClose();
  }

  /** Made when it is first asked for: it takes longer than the rest of this. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.reason !== undefined) this.#controller.abort(this.reason);
    return this.#controller.signal;
  }

  /** Calls a function when the work is to end; at most one. */
  onAbort(listener: (reason: HttpError) => void): void {
    this.#listener = listener;
    if (this.reason !== undefined) listener(this.reason);
  }

  abort(reason: HttpError): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.#controller?.abort(reason);
    this.#listener?.(reason);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#raw.removeListener('close', this.#onClose);
  }
}

function expire(deadline: Deadline, milliseconds: number): void {
  const message = `the answer was not ready within ${milliseconds} ms`;
  deadline.abort(new HttpError(504, 'DEADLINE_EXCEEDED', message));
}

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
