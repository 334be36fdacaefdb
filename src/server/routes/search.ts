import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { Explanation, Id, Index, Query, SearchOptions, SearchResult } from '../../index.ts';
import { invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { Coalescer } from '../coalescer.ts';
import type { ServerContext } from '../context.ts';
import type { Deadline } from '../deadline.ts';
import { asJson, asPacked, bodyOf, floatsOf, packableFloats } from '../encoding.ts';
import { notFound } from '../errors.ts';
import { textOfFloats } from '../float-text.ts';
import { decodeId, decodeIds, encodeIds, packableIds } from '../ids.ts';
import { RecallSampler } from '../recall-sampler.ts';
import { Answer, Answers, PackedAnswer, PackedAnswers, type schemasFor } from '../schemas.ts';
import { errors, inBoth } from '../shared-schemas.ts';
import { refuseDeepFilters } from '../validation.ts';

type Schemas = ReturnType<typeof schemasFor>;
type Search = Static<Schemas['search']>;
type SearchBatch = Static<Schemas['searchBatch']>;
type Options = Omit<SearchBatch, 'vectors'>;

/** One query's answer, before it is encoded. */
interface Found {
  readonly result: SearchResult;
  readonly explanation?: Omit<Explanation, keyof SearchResult>;
  readonly attributes?: readonly unknown[];
}

/** POST /v1/search and /v1/search/batch. */
export function searchRoutes(app: FastifyInstance, context: ServerContext, index: Index, schemas: Schemas): void {
  const sampler = new RecallSampler(index, context.options.recallSampling, context.admissions.queries, context.metrics);
  app.addHook('onClose', () => sampler.settled());
  const coalescer = new Coalescer(index);
  const { dimensions } = index;
  const config = { scope: 'read', admits: 'queries', packs: true } as const;

  app.post(
    '/v1/search',
    {
      ...{ config: { ...config, floats: { name: 'vector', dimensions } }, preValidation: refuseDeepFilters },
      schema: {
        operationId: 'search',
        summary: 'The nearest vectors of one query, given as a vector or as the id of a stored one',
        tags: ['search'],
        body: inBoth(schemas.search, schemas.searchPacked),
        response: {
          200: { description: 'Best first.', ...inBoth(Answer, PackedAnswer) },
          ...errors(404, 406, 422, 504, 507, 'body'),
        },
      },
    },
    async (request, reply) => {
      const body = bodyOf<Search>(request);
      const query = request.vectors ?? (floatsOf(body.vector) as Query | undefined);
      const found = await context.run(request, reply, ONE_QUERY, (deadline) => searchOne(query, body, deadline));
      return request.packed ? asPacked(reply, packed(found)) : asJson(reply, textOf(found));
    },
  );

  app.post(
    '/v1/search/batch',
    {
      ...{ config: { ...config, floats: { name: 'vectors', dimensions } }, preValidation: refuseDeepFilters },
      schema: {
        operationId: 'searchBatch',
        summary: 'The nearest vectors of many queries',
        tags: ['search'],
        body: inBoth(schemas.searchBatch, schemas.searchBatchPacked),
        response: {
          200: { description: 'One answer per query.', ...inBoth(Answers, PackedAnswers) },
          ...errors(406, 422, 504, 507, 'body'),
        },
      },
    },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const body = bodyOf<SearchBatch>(request);
      const rows = rowsOf(request.vectors ?? floatsOf(body.vectors));
      const count = rows.length;
      checkSize(count, body);
      const found = await context.run(request, reply, { kind: 'queries', count }, async ({ signal }) => {
        const options = optionsOf(body, signal);
        if (body.explain === true) return Promise.all(rows.map((row) => answer(row, options, body)));
        const results = await index.searchBatch(rows, options);
        sampler.offer(rows[0]!, options);
        const found = results.map((result) => ({ result }));
        return body.attributes === true ? Promise.all(found.map(withAttributes)) : found;
      });
      return request.packed
        ? asPacked(reply, { results: found.map(packed) })
        : asJson(reply, `{"results":[${found.map(textOf).join(',')}]}`);
    },
  );

  function searchOne(query: Query | undefined, body: Search, deadline: Deadline): Promise<Found> {
    if (query === undefined) return searchById(body, deadline);
    return isPlain(body) ? searchPlainly(query, body, deadline) : answer(query, optionsOf(body, deadline.signal), body);
  }

  async function searchPlainly(query: Query, body: Search, deadline: Deadline): Promise<Found> {
    const { k, numLeavesToSearch, numReorderingCandidates, attributes } = body;
    const setting = { k, numLeavesToSearch, numReorderingCandidates };
    const found = { result: await coalescer.search(query, setting, deadline) };
    sampler.offer(query, setting);
    return attributes === true ? withAttributes(found) : found;
  }

  async function searchById(body: Search, { signal }: Deadline): Promise<Found> {
    const id = decodeId(body.id!);
    const stored = await index.get(id);
    if (stored === undefined) throw notFound(`vector of the id ${String(id).slice(0, 100)}`);
    const options = optionsOf(body, signal);
    // A vector is its own nearest.
    options.excludeIds = [id, ...((options.excludeIds ?? []) as Id[])];
    return answer(stored.vector, options, body);
  }

  async function answer(query: Query, options: SearchOptions, body: Options): Promise<Found> {
    let found: Found;
    if (body.explain === true) {
      const { ids, scores, ...explanation } = await index.explain(query, options);
      found = { result: { ids, scores }, explanation };
    } else found = { result: await index.search(query, options) };
    sampler.offer(query, options);
    return body.attributes === true ? withAttributes(found) : found;
  }

  async function withAttributes(found: Found): Promise<Found> {
    const stored = await Promise.all(found.result.ids.map((id) => index.get(id)));
    return { ...found, attributes: stored.map((one) => one?.attributes ?? null) };
  }

  /** Numbers of a batch as rows. */
  function rowsOf(vectors: unknown): readonly Query[] {
    if (!(vectors instanceof Float32Array)) return vectors as readonly Query[];
    if (vectors.length % dimensions !== 0) {
      const message = `vectors have ${vectors.length} numbers, which is no multiple of ${dimensions} dimensions`;
      throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { value: vectors.length });
    }
    const row = (_: unknown, i: number): Query => vectors.subarray(i * dimensions, (i + 1) * dimensions);
    return Array.from({ length: vectors.length / dimensions }, row);
  }

  function checkSize(count: number, body: SearchBatch): void {
    const { maxBatch, maxResults } = context.options.limits;
    if (count < 1 || count > maxBatch) throw invalid('vectors', count, `1 to ${maxBatch} queries`);
    const k = body.k ?? index.stats().config.defaults.k;
    if (count * k > maxResults) throw invalid('k', k, `at most ${Math.floor(maxResults / count)} for ${count} queries`);
  }
}

/** Whether a query may be searched together with others. */
const isPlain = ({ filter, allowIds, excludeIds, crowding, explain }: Options): boolean =>
  explain !== true && (filter ?? allowIds ?? excludeIds ?? crowding) === undefined;

const ONE_QUERY = { kind: 'queries', count: 1 } as const;

function optionsOf(body: Options, signal: AbortSignal): SearchOptions {
  const { k, numLeavesToSearch, numReorderingCandidates, filter, allowIds, excludeIds, crowding } = body;
  const options: SearchOptions = { k, numLeavesToSearch, numReorderingCandidates, filter, crowding, signal };
  if (allowIds !== undefined) options.allowIds = decodeIds(allowIds);
  if (excludeIds !== undefined) options.excludeIds = decodeIds(excludeIds);
  return options;
}

function textOf({ result, attributes, explanation }: Found): string {
  const text = `{"ids":${JSON.stringify(encodeIds(result.ids))},"scores":${textOfFloats(result.scores)}`;
  if (attributes === undefined && explanation === undefined) return `${text}}`;
  return `${text},${JSON.stringify({ attributes, explanation }).slice(1)}`;
}

const packed = ({ result, ...others }: Found) => ({
  ids: packableIds(result.ids),
  scores: packableFloats(result.scores),
  ...others,
});
