import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Admission } from './admission.ts';
import type { ServerContext } from './context.ts';
import { errorBody } from './errors.ts';

/**
 * Turns requests away at the first look while there is no room for them. Fastify's way through hooks and error handler takes more
 * than half of what answering takes: under overload there would be little time left to answer anything. Call it before routes are
 * registered.
 */
export function shedEarly(app: FastifyInstance, { admissions }: ServerContext): void {
  const byRoute = new Map<string, Admission>();
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.admits !== undefined) byRoute.set(`${method} ${url}`, admissions[config.admits]);
  });
  const { queries, writes } = admissions;
  const handlers = app.server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[];
  app.server.removeAllListeners('request');
  app.server.on('request', (request, response) => {
    if (queries.full || writes.full) {
      const admission = byRoute.get(`${request.method} ${request.url}`);
      if (admission?.full === true) {
        turnAway(response, admission);
        return;
      }
    }
    for (const handler of handlers) handler(request, response);
  });
}

function turnAway(response: ServerResponse, admission: Admission): void {
  const error = admission.overloaded(1);
  const body = JSON.stringify(errorBody(error));
  response.writeHead(error.status, {
    ...error.details.headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
