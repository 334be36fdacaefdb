import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import helmet from '@fastify/helmet';
import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
  type onResponseHookHandler,
} from 'fastify';
import type { Index } from '../index.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { consoleRoutes } from './console.ts';
import { ServerContext } from './context.ts';
import { readBodies } from './encoding.ts';
import { asHttpError, errorBody, HttpError } from './errors.ts';
import { frontierRoutes } from './frontier.ts';
import { guard } from './gate.ts';
import { modelRoutes } from './models/routes.ts';
import type { ResolvedServerOptions } from './options.ts';
import { searchRoutes } from './routes/search.ts';
import { statsRoute, systemRoutes } from './routes/system.ts';
import { vectorRoutes } from './routes/vectors.ts';
import { schemasFor } from './schemas.ts';
import { SHARED } from './shared-schemas.ts';
import { shedEarly } from './shed.ts';
import { AJV, explainViolations } from './validation.ts';

/** Milliseconds in which a request has to arrive. */
const ARRIVAL = 30_000;
/** Ids of others that are taken over: short, printable, without what logs would have to quote. */
const REQUEST_ID = /^[\w.:/+=-]{1,64}$/;

/** Makes the app of a server, ready to listen. The console is where the build leaves it, unless a folder is given. */
export async function makeApp(
  index: Index | null,
  options: ResolvedServerOptions,
  consoleDirectory?: string,
): Promise<{ app: FastifyInstance; context: ServerContext }> {
  const app = newApp(options);
  const context = new ServerContext(index, options);
  readBodies(app);
  explainViolations(app);
  app.setErrorHandler(sendError);
  guard(app, context);
  shedEarly(app, context);
  observe(app, context);
  const { rate } = options.limits;
  if (rate !== undefined) {
    await app.register(rateLimit, {
      max: rate.max,
      timeWindow: rate.windowMs!,
      keyGenerator: ({ caller, ip }) => (caller === undefined ? `address ${normalizeIP(ip)}` : `token ${caller.name}`),
      errorResponseBuilder: (_request, { max, after }) =>
        new HttpError(429, 'RATE_LIMITED', `more than ${max} requests; try again in ${after}`),
    });
  }
  for (const schema of SHARED) app.addSchema(schema);
  await app.register(swagger, {
    openapi: { ...DOCUMENT, ...(options.tokens && { security: [{ bearer: [] }] }) },
    refResolver: { buildLocalReference: ({ $id }) => String($id) },
  });
  // Pages need a dozen headers, which take time to set; data needs one of them, which the gate sets.
  await app.register(async (pages) => {
    await pages.register(helmet, HELMET(options.https !== undefined));
    await pages.register(swaggerUi, { routePrefix: '/docs' });
    systemRoutes(pages, context);
    await consoleRoutes(pages, consoleDirectory);
  });
  if (index !== null) {
    const schemas = schemasFor(index.dimensions, options.limits);
    searchRoutes(app, context, index, schemas);
    vectorRoutes(app, context, index, schemas);
    statsRoute(app, index);
    frontierRoutes(app, context, index);
  }
  const { models } = options;
  if (models !== undefined) {
    const { maxBatch, maxResults } = options.limits;
    await app.register(modelRoutes, {
      ...{ store: models, maxBatch, maxResults, config: { admits: 'queries' } },
      run: (request, reply, count, work) =>
        context.run(request, reply, { kind: 'queries', count }, ({ signal }) => work(signal)),
    });
  }
  await app.ready();
  return { app, context };
}

function newApp(options: ResolvedServerOptions): FastifyInstance {
  if (options.https === undefined) return fastify(fastifyOptions(options));
  try {
    createSecureContext(options.https as SecureContextOptions);
  } catch (cause) {
    const message = `https has a key or a certificate that cannot be used: ${(cause as Error).message}`;
    throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'https', cause });
  }
  return fastify(fastifyOptions(options));
}

function fastifyOptions({ https, logger, trustProxy, limits }: ResolvedServerOptions): FastifyServerOptions {
  const logs = logger !== undefined && logger !== false;
  const own = logs && typeof logger === 'object' && 'child' in logger;
  const options = {
    ...(https !== undefined && { https }),
    ...(own ? { loggerInstance: logger } : { logger }),
    trustProxy,
    bodyLimit: limits.bodyBytes,
    ajv: AJV,
    requestTimeout: ARRIVAL,
    forceCloseConnections: 'idle',
    // What comes while the server stops is answered by its own hook.
    return503OnClosing: false,
    // One line per request is enough; it is written when the answer is.
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    genReqId: ({ headers }: { headers: Record<string, unknown> }) => {
      const given = headers['x-request-id'];
      if (typeof given === 'string' && REQUEST_ID.test(given)) return given;
      return logs ? randomUUID() : '';
    },
    routerOptions: { maxParamLength: 16_384 },
    frameworkErrors: sendError,
    clientErrorHandler: refuse,
  };
  return options as unknown as FastifyServerOptions;
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const answer = asHttpError(error);
  if (answer.status === 500) request.log.error({ err: error }, 'unexpected error');
  if (reply.sent) return;
  reply
    .code(answer.status)
    .headers({ ...answer.details.headers })
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(errorBody(answer));
}

/** Answers what is no HTTP, or does not arrive; there is no request then. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [line, code] = REFUSALS[error.code ?? ''] ?? ['400 Bad Request', 'BAD_REQUEST'];
  const body = JSON.stringify({
    error: { code, message: 'the request is not HTTP as it should be, or did not arrive in time' },
  });
  const head = `HTTP/1.1 ${line}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
  if (socket.writable) socket.write(head + body);
  socket.destroy(error);
}

const REFUSALS: Record<string, readonly [string, string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'REQUEST_TIMEOUT'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'BAD_REQUEST'],
};

/** Notes each request that was answered. Call it before routes are registered. */
function observe(app: FastifyInstance, { metrics, options }: ServerContext): void {
  const logs = options.logger !== undefined && options.logger !== false;
  const observer = (route: string): onResponseHookHandler => {
    const note = metrics.requests(route);
    return ({ method, log, caller }, { statusCode: status, elapsedTime }, done) => {
      note(method, status, elapsedTime);
      if (logs) {
        const milliseconds = Math.round(elapsedTime * 1000) / 1000;
        log.info({ method, route, status, milliseconds, caller: caller?.name }, 'answered');
      }
      done();
    };
  };
  // Looking up what was asked for takes longer than noting it.
  app.addHook('onRoute', (route) => {
    route.onResponse = [...[route.onResponse ?? []].flat(), observer(route.url)];
  });
  const none = observer('none');
  app.addHook('onResponse', (request, reply, done) => {
    if (request.is404) none.call(app, request, reply, done);
    else done();
  });
}

const HELMET = (secure: boolean) => ({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
      // Swagger UI's icons are data.
      imgSrc: ["'self'", 'data:'],
      objectSrc: ["'none'"],
    },
  },
  // Of no meaning over plain HTTP.
  strictTransportSecurity: secure && { maxAge: 31_536_000 },
});

const DOCUMENT = {
  openapi: '3.1.0',
  info: {
    title: 'scannery',
    version: '1',
    description: 'Vector search over HTTP. Bodies and answers are JSON or MessagePack; errors are JSON.',
  },
  tags: [
    { name: 'search', description: 'Find the nearest vectors.' },
    { name: 'vectors', description: 'Read and write vectors.' },
    { name: 'system', description: 'Look at the server.' },
  ],
  components: { securitySchemes: { bearer: { type: 'http' as const, scheme: 'bearer' } } },
};
