import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import type { Index } from '../../index.ts';
import type { ServerContext } from '../context.ts';
import { asPacked } from '../encoding.ts';
import { stopping } from '../errors.ts';
import { OpenApi, Stats, StatsQuery, Status } from '../schemas.ts';
import { errors, inBoth } from '../shared-schemas.ts';

const tags = ['system'];
const open = { scope: 'open', rateLimit: false } as const;

/** GET /healthz, /readyz, /metrics and /openapi.json. */
export function systemRoutes(app: FastifyInstance, context: ServerContext): void {
  const { index, metrics } = context;

  app.get(
    '/healthz',
    {
      config: open,
      schema: {
        ...{ operationId: 'healthz', summary: 'Whether the process is alive', tags, security: [] },
        response: { 200: { description: 'It is.', ...json(Status) }, ...errors() },
      },
    },
    async () => ({ status: 'alive' }),
  );

  app.get(
    '/readyz',
    {
      config: open,
      schema: {
        ...{ operationId: 'readyz', summary: 'Whether requests are answered', tags, security: [] },
        response: { 200: { description: 'They are.', ...json(Status) }, ...errors() },
      },
    },
    async () => {
      if (context.stopping) throw stopping();
      // Throws once the index is closed.
      index?.stats();
      return { status: 'ready' };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        ...{ operationId: 'metrics', summary: "Metrics in Prometheus' text format", tags },
        response: {
          200: { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } },
          ...errors(),
        },
      },
    },
    async (_request, reply) => {
      reply.type(metrics.registry.contentType);
      return metrics.registry.metrics();
    },
  );

  app.get(
    '/openapi.json',
    {
      schema: {
        ...{ operationId: 'openapi', summary: 'This API as an OpenAPI document', tags },
        response: { 200: { description: 'OpenAPI 3.1.', ...json(OpenApi) }, ...errors() },
      },
    },
    async () => app.swagger(),
  );
}

/** GET /v1/stats. */
export function statsRoute(app: FastifyInstance, index: Index): void {
  app.get<{ Querystring: Static<typeof StatsQuery> }>(
    '/v1/stats',
    {
      config: { packs: true },
      schema: {
        operationId: 'stats',
        summary: 'What the index is made of and what it has done',
        ...{ tags, querystring: StatsQuery },
        response: { 200: { description: 'As Index.stats.', ...inBoth(Stats, Stats) }, ...errors(406) },
      },
    },
    async (request, reply) => {
      const stats = { ...index.stats(), ...(request.query.health === 'true' && { health: await index.health() }) };
      return request.packed ? asPacked(reply, stats) : stats;
    },
  );
}

const json = (schema: unknown) => ({ content: { 'application/json': { schema } } });
