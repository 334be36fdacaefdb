import type { FastifyReply, FastifyRequest } from 'fastify';
import { show } from '../protocol/errors.ts';
import { HttpError } from './errors.ts';

const HEADER = 'x-request-timeout';

/** Milliseconds between looks at whether time is up or a client has gone. A timer and a listener per request take longer. */
const PERIOD = 5;

/** Ends work when its time is up, when nobody waits for the answer any more, or when the server must not wait any longer. */
export class Deadline {
  /** Why the work was ended, once it was: the error to answer with. */
  reason: HttpError | undefined;
  /** Where it is among those that run. */
  place = 0;
  #controller: AbortController | undefined;
  #listener: ((reason: HttpError) => void) | undefined;
  readonly #raw: FastifyReply['raw'];
  readonly #milliseconds: number;
  readonly #end: number;

  constructor(reply: FastifyReply, milliseconds: number) {
    this.#raw = reply.raw;
    this.#milliseconds = milliseconds;
    this.#end = performance.now() + milliseconds;
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

  /** Ends the work if its time is up by now, or if its client has gone. */
  look(now: number): void {
    if (this.#raw.destroyed) this.abort(new HttpError(499, 'BAD_REQUEST', 'the client has gone'));
    if (now < this.#end) return;
    const message = `the answer was not ready within ${this.#milliseconds} ms`;
    this.abort(new HttpError(504, 'DEADLINE_EXCEEDED', message));
  }
}

/** The deadlines of all work that runs. */
export class Deadlines {
  readonly #running: Deadline[] = [];
  #ticker: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  begin(reply: FastifyReply, milliseconds: number): Deadline {
    const deadline = new Deadline(reply, milliseconds);
    deadline.place = this.#running.push(deadline) - 1;
    this.#ticker ??= setInterval(() => this.#look(), PERIOD);
    return deadline;
  }

  end(deadline: Deadline): void {
    const last = this.#running.pop()!;
    if (last !== deadline) {
      this.#running[deadline.place] = last;
      last.place = deadline.place;
    }
    if (this.#running.length === 0) this.#onIdle?.();
  }

  /** Waits until no work runs; after so many milliseconds, what still does is ended, for a reason. */
  async drain(milliseconds: number, reason: () => HttpError): Promise<void> {
    if (this.#running.length === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = setTimeout(() => {
      for (const deadline of this.#running) deadline.abort(reason());
    }, milliseconds);
    await idle;
    clearTimeout(timer);
  }

  #look(): void {
    if (this.#running.length === 0) {
      clearInterval(this.#ticker);
      this.#ticker = undefined;
      return;
    }
    const now = performance.now();
    for (const deadline of this.#running) deadline.look(now);
  }
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
