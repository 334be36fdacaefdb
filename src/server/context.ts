import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Index } from '../index.ts';
import { Admission } from './admission.ts';
import { type Deadline, Deadlines, timeoutOf } from './deadline.ts';
import { stopping } from './errors.ts';
import type { FloatsProperty } from './json-floats.ts';
import { Metrics } from './metrics.ts';
import type { ResolvedServerOptions, Scope } from './options.ts';
import type { Caller } from './tokens.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a caller's token must allow. Default 'read'; 'open': no token is needed. */
    scope?: Scope | 'open';
    /** What the route's work counts as: while no more of it is let in, requests are turned away before their body is read. */
    admits?: Work;
    /** Whether answers may be MessagePack; then `request.packed` says so. Default false. */
    packs?: boolean;
    /** The property of the body that holds vectors: it is read as `request.vectors` where a body begins with it. */
    floats?: FloatsProperty;
  }
  interface FastifyRequest {
    /** Who calls, if the server knows the token. */
    caller: Caller | undefined;
    /** Whether the caller prefers MessagePack. */
    packed: boolean;
    /** What the route's configuration says of it. */
    floats: FloatsProperty | undefined;
    /** Vectors that were read from a body of JSON, in which something else stands for them. */
    vectors: Float32Array | undefined;
  }
}

/** Kinds of work, each of which has a limit of its own. */
export type Work = 'queries' | 'writes';

/** What the routes of a server share. */
export class ServerContext {
  /** Null where only models are served. */
  readonly index: Index | null;
  readonly options: ResolvedServerOptions;
  readonly admissions: Readonly<Record<Work, Admission>>;
  readonly metrics: Metrics;
  /** Whether new requests are turned away. */
  stopping = false;
  readonly #deadlines = new Deadlines();

  constructor(index: Index | null, options: ResolvedServerOptions) {
    const { maxInFlight, maxWritesInFlight } = options.limits;
    this.index = index;
    this.options = options;
    this.admissions = {
      queries: new Admission(maxInFlight, 'queries'),
      writes: new Admission(maxWritesInFlight, 'writes'),
    };
    const { queries, writes } = this.admissions;
    this.metrics = new Metrics(index, options.models, queries, writes);
  }

  /**
   * Does the work of a request, which counts as so many queries or writes. It is not begun where too many are in flight; it
   * is to end when its deadline does (`deadline.signal`): when time is up, `longest` milliseconds at the most, when the client goes
   * away, or when a stopping server waits no longer.
   *
   * @throws {HttpError} 503 when too many are in flight, 504 at the deadline, 400 where the request's own deadline is none
   */
  async run<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    { kind, count, longest = this.options.limits.requestTimeoutMs }: { kind: Work; count: number; longest?: number },
    work: (deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    const milliseconds = timeoutOf(request, longest);
    const admission = this.admissions[kind];
    admission.enter(count);
    const deadline = this.#deadlines.begin(reply, milliseconds);
    try {
      return await work(deadline);
    } catch (error) {
      throw deadline.reason ?? error;
    } finally {
      admission.leave(count);
      this.#deadlines.end(deadline);
    }
  }

  /** Waits until no work runs; after so many milliseconds, what still does is ended. */
  drain(milliseconds: number): Promise<void> {
    return this.#deadlines.drain(milliseconds, stopping);
  }
}
