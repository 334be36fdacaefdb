import type { FastifyInstance, FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify';
import type { ServerContext } from './context.ts';
import { wantsPacked } from './encoding.ts';
import { HttpError, notFound, stopping } from './errors.ts';
import { isLoopback } from './options.ts';
import { Tokens } from './tokens.ts';

/** Puts in front of every route what all of them check before a body is read. */
export function guard(app: FastifyInstance, context: ServerContext): void {
  const { tokens } = context.options;
  const known = tokens && new Tokens(tokens);
  const methodsOf = routeTable(app);
  app.decorateRequest('caller', undefined);
  app.decorateRequest('packed', false);
  app.decorateRequest('floats', undefined);
  app.decorateRequest('vectors', undefined);

  // Before the limit of requests, which counts those of unknown callers by their address.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff');
    if (request.id !== '') reply.header('x-request-id', request.id);
    if (known === undefined && !isOfThisMachine(request.headers.host)) return done(misdirected());
    if (context.stopping && request.routeOptions.config.scope !== 'open') return done(stopping());
    if (request.is404) return done(unknownRoute(request, methodsOf));
    if (known !== undefined) request.caller = known.callerOf(request.headers.authorization);
    done();
  });

  app.addHook('onRoute', (route) => {
    const { scope = 'read', admits, packs, floats } = route.config ?? {};
    const admission = admits && context.admissions[admits];
    const check: preParsingHookHandler = (request, _reply, payload, done) => {
      if (known !== undefined && scope !== 'open') {
        if (request.caller === undefined) return done(unauthorized());
        if (!request.caller.scopes.has(scope)) return done(forbidden(scope));
      }
      admission?.check();
      if (packs === true) request.packed = wantsPacked(request.headers.accept);
      request.floats = floats;
      done(null, payload);
    };
    route.preParsing = [check, ...[route.preParsing ?? []].flat()];
  });

  app.setNotFoundHandler((request: FastifyRequest, _reply: FastifyReply) => {
    throw unknownRoute(request, methodsOf);
  });
}

/**
 * Refuses names of other machines where there are no tokens. Otherwise any page that a browser on this machine shows could reach
 * the server, by having a name of its own resolve to this machine.
 */
const isOfThisMachine = (host: string | undefined): boolean =>
  host === undefined || isLoopback(host.replace(/:\d*$/, ''));

const misdirected = (): HttpError =>
  new HttpError(421, 'MISDIRECTED', 'without tokens this server answers to the name of this machine only, localhost');

const unauthorized = (): HttpError =>
  new HttpError(401, 'UNAUTHORIZED', 'a bearer token that this server knows is needed', {
    headers: { 'www-authenticate': 'Bearer realm="scannery"' },
  });

const forbidden = (scope: string): HttpError =>
  new HttpError(403, 'FORBIDDEN', `the token lacks the scope ${scope}`, {
    headers: { 'www-authenticate': `Bearer realm="scannery", error="insufficient_scope", scope="${scope}"` },
  });

/** The error for a path that no route has, or none for the method. */
function unknownRoute({ url, method }: FastifyRequest, methodsOf: (path: string) => readonly string[]): HttpError {
  const path = url.split('?', 1)[0]!;
  const methods = methodsOf(path);
  if (methods.length === 0 || methods.includes(method)) return notFound(`route ${path.slice(0, 100)}`);
  const allow = methods.join(', ');
  return new HttpError(405, 'METHOD_NOT_ALLOWED', `this route is for ${allow}`, { headers: { allow } });
}

/** Collects the routes that are registered from now on; what it returns gives the methods of a path. */
function routeTable(app: FastifyInstance): (path: string) => readonly string[] {
  const routes = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    let route = routes.get(url);
    if (route === undefined) {
      route = { pattern: patternOf(url), methods: new Set() };
      routes.set(url, route);
    }
    for (const each of [method].flat()) route.methods.add(each);
  });
  return (path) => {
    // What is written out wins over what has a place for an id.
    const known = routes.get(path);
    const fitting = known === undefined ? [...routes.values()].filter(({ pattern }) => pattern.test(path)) : [known];
    return [...new Set(fitting.flatMap(({ methods }) => [...methods]))];
  };
}

/** What find-my-way's paths are made of: a colon, a part of any text or of one that a pattern fits, anything at all. */
const PLACES = /(::|:\w+(?:\([^)]*\))?|\*)/;

/** The paths that a route is for. */
function patternOf(url: string): RegExp {
  const parts = url.split(PLACES).map((part, i) => {
    if (i % 2 === 0) return part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&');
    if (part === '::') return ':';
    if (part === '*') return '.*';
    return /\(\^?(.*)\)$/.exec(part)?.[1] ?? '[^/]+';
  });
  return new RegExp(`^${parts.join('')}$`);
}
