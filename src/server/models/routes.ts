import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TSchema } from 'typebox';
import { invalid } from '../../protocol/check.ts';
import { type ErrorCode, ScanneryError } from '../../protocol/errors.ts';
import { predictAnswer } from './predict-answer.ts';
import { readPredictRequest } from './predict-request.ts';
import {
  LabelParams,
  MetadataAnswer,
  ModelError,
  ModelParams,
  PredictAnswer,
  PredictBody,
  StatusAnswer,
  VersionParams,
} from './schemas.ts';
import { metadataOf } from './signature.ts';
import type { ModelStore } from './store.ts';

export interface ModelRoutesOptions {
  /** Stays the caller's to close. */
  store: ModelStore;
  /**
   * Does the work of a predict request, which is so many queries: where a server turns away what is too much, and ends by the signal
   * what takes too long. Default: does it.
   */
  run?: (<T>(request: FastifyRequest, reply: FastifyReply, queries: number, work: Work<T>) => Promise<T>) | undefined;
  /** `config` of the predict routes. Default: none. */
  config?: FastifyContextConfig | undefined;
  /** Queries of a request. Default: as many as its body holds. */
  maxBatch?: number | undefined;
  /** Results of a request, queries times k. Default: any number. */
  maxResults?: number | undefined;
}

type Work<T> = (signal?: AbortSignal) => Promise<T>;

/** What stands before ':predict', '/metadata' or nothing. */
const NAME = '/:name([^:]+)';
const VERSION = `${NAME}/versions/:version(^\\d+)`;
const LABEL = `${NAME}/labels/:label([^:]+)`;

interface OfModel {
  Params: Static<typeof ModelParams>;
}
interface OfVersion {
  Params: Static<typeof VersionParams>;
}
interface OfLabel {
  Params: Static<typeof LabelParams>;
}

/** The HTTP status for errors of the store and its layers. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  SCANNERY_INVALID_OPTION: 400,
  SCANNERY_INVALID_VECTOR: 400,
  SCANNERY_NOT_FOUND: 404,
  SCANNERY_CLOSED: 503,
  SCANNERY_OUT_OF_MEMORY: 503,
  SCANNERY_ABORTED: 504,
};

/**
 * TensorFlow Serving's REST API for the models of a store: `predict`, the state of versions, and metadata, below /v1/models, with
 * its shapes and its errors. A plugin of fastify: `await app.register(modelRoutes, { store })`.
 */
export async function modelRoutes(root: FastifyInstance, options: ModelRoutesOptions): Promise<void> {
  const { store, run = (_request, _reply, _queries, work) => work(), config = {} } = options;
  await root.register(
    async (app) => {
      app.setValidatorCompiler(() => () => true);
      // TensorFlow Serving reads any body as JSON; curl -d, as in its documentation, calls it a form.
      app.removeAllContentTypeParsers();
      app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_: FastifyRequest, body: Buffer) => parseJson(body));
      app.setErrorHandler(answerError);
      app.setNotFoundHandler((request, reply) => {
        reply.code(400).send({ error: `Malformed request: ${request.method} ${request.url}` });
      });

      const predict = async (
        request: FastifyRequest,
        reply: FastifyReply,
        name: string,
        version: number | undefined,
      ): Promise<FastifyReply> => {
        // One version from the feature to the title, whatever is swapped in meanwhile.
        using lease = store.acquire(name, version);
        const { queries, count, format } = readPredictRequest(request.body, lease.signature);
        checkSize(count, lease.signature.k, options);
        const found = await run(request, reply, count, (signal) => lease.layer.call(queries, { signal }));
        return reply.type('application/json').send(predictAnswer(found, format));
      };
      const metadata = (name: string, asked: number | undefined) => {
        using lease = store.acquire(name, asked);
        return metadataOf(name, lease.version, lease.signature);
      };

      app.post<OfModel>(
        `${NAME}::predict`,
        {
          schema: about('predict', 'Asks the latest version of a model', PredictAnswer, ModelParams, PredictBody),
          config,
        },
        (request, reply) => predict(request, reply, request.params.name, undefined),
      );
      app.post<OfVersion>(
        `${VERSION}::predict`,
        {
          schema: about('predictByVersion', 'Asks one version of a model', PredictAnswer, VersionParams, PredictBody),
          config,
        },
        (request, reply) => predict(request, reply, request.params.name, versionOf(request.params.version)),
      );
      app.get<OfModel>(
        NAME,
        { schema: about('modelStatus', 'The state of all versions of a model', StatusAnswer, ModelParams) },
        (request) => store.status(request.params.name),
      );
      app.get<OfVersion>(
        VERSION,
        { schema: about('modelVersionStatus', 'The state of one version of a model', StatusAnswer, VersionParams) },
        (request) => store.status(request.params.name, versionOf(request.params.version)),
      );
      app.get<OfModel>(
        `${NAME}/metadata`,
        {
          schema: about(
            'modelMetadata',
            'What the latest version of a model takes and gives',
            MetadataAnswer,
            ModelParams,
          ),
        },
        (request) => metadata(request.params.name, undefined),
      );
      app.get<OfVersion>(
        `${VERSION}/metadata`,
        {
          schema: about(
            'modelVersionMetadata',
            'What one version of a model takes and gives',
            MetadataAnswer,
            VersionParams,
          ),
        },
        (request) => metadata(request.params.name, versionOf(request.params.version)),
      );
      const labelled = { schema: { hide: true, params: LabelParams } };
      app.post<OfLabel>(`${LABEL}::predict`, labelled, (request) => refuseLabel(request.params.label));
      app.get<OfLabel>(LABEL, labelled, (request) => refuseLabel(request.params.label));
      app.get<OfLabel>(`${LABEL}/metadata`, labelled, (request) => refuseLabel(request.params.label));
    },
    { prefix: '/v1/models' },
  );
}

/** What the OpenAPI document says of a route. */
function about(operationId: string, summary: string, answer: TSchema, params: TSchema, body?: TSchema) {
  const own = body === undefined ? {} : { body };
  return {
    operationId,
    tags: ['models'],
    summary,
    params,
    ...own,
    response: { 200: answer, '4xx': ModelError, '5xx': ModelError },
  };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(body));
  } catch (cause) {
    const message = `JSON Parse error: ${(cause as Error).message}`;
    throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'the body', cause });
  }
}

function versionOf(digits: string): number {
  const version = Number(digits);
  if (Number.isSafeInteger(version)) return version;
  const message = `Failed to convert version: ${digits} to numeric.`;
  throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'version', value: digits });
}

function refuseLabel(label: string): never {
  const message = `Unrecognized servable version label: ${label}`;
  throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'label', value: label });
}

function checkSize(
  queries: number,
  k: number,
  { maxBatch = Infinity, maxResults = Infinity }: ModelRoutesOptions,
): void {
  if (queries > maxBatch) throw invalid('the request', queries, `of at most ${maxBatch} queries`);
  if (queries * k <= maxResults) return;
  throw invalid('the request', queries, `of at most ${Math.floor(maxResults / k)} queries with ${k} results each`);
}

/** What is read of errors of fastify, its plugins and a server around this. */
interface Foreign extends Error {
  readonly status?: number;
  readonly statusCode?: number;
  readonly details?: { readonly headers?: Readonly<Record<string, string>> };
}

function answerError(error: Foreign, request: FastifyRequest, reply: FastifyReply): void {
  const known = error instanceof ScanneryError ? STATUS[error.code] : (error.status ?? error.statusCode);
  const status = known ?? 500;
  if (status === 500) request.log.error(error);
  if (status === 503) reply.header('retry-after', '1');
  reply.headers({ ...error.details?.headers });
  // What nobody foresaw may tell too much.
  reply.code(status).send({ error: status === 500 ? 'internal error' : error.message });
}
