import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import type { Index, StoredVector, UpsertInput } from '../../index.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import type { ServerContext } from '../context.ts';
import { asPacked, bodyOf, floatsOf, packableFloats } from '../encoding.ts';
import { notFound } from '../errors.ts';
import { decodeIds, encodeId, idsOfText, packableId } from '../ids.ts';
import { Deleted, Deletion, IdInPath, IdQuery, PackedStored, Stored, type schemasFor, Upserted } from '../schemas.ts';
import { errors, inBoth } from '../shared-schemas.ts';

type Schemas = ReturnType<typeof schemasFor>;
type Upsert = Static<Schemas['upsert']>;
type InPath = { Params: Static<typeof IdInPath>; Querystring: Static<typeof IdQuery> };

const WRITE = { kind: 'writes', count: 1 } as const;
const tags = ['vectors'];

/** POST /v1/vectors, GET and DELETE /v1/vectors/{id}, POST /v1/vectors/delete. */
export function vectorRoutes(app: FastifyInstance, context: ServerContext, index: Index, schemas: Schemas): void {
  const reading = { scope: 'read', packs: true } as const;
  const writing = { scope: 'write', admits: 'writes', packs: true } as const;

  app.post(
    '/v1/vectors',
    {
      config: writing,
      schema: {
        operationId: 'upsert',
        summary: 'Adds vectors, each in the place of the one with its id if there is one',
        ...{ tags, body: inBoth(schemas.upsert, schemas.upsertPacked) },
        response: {
          200: { description: 'What became of them.', ...inBoth(Upserted, Upserted) },
          ...errors(406, 409, 422, 504, 507, 'body'),
        },
      },
    },
    async (request, reply) => {
      checkWritable();
      const { ids, vectors, attributes } = bodyOf<Upsert>(request);
      const input = { ids: decodeIds(ids), vectors: floatsOf(vectors), attributes } as UpsertInput;
      const result = await context.run(request, reply, WRITE, ({ signal }) => index.upsert(input, { signal }));
      return request.packed ? asPacked(reply, result) : result;
    },
  );

  app.post(
    '/v1/vectors/delete',
    {
      config: writing,
      schema: {
        operationId: 'deleteMany',
        summary: 'Deletes vectors; unknown ids are counted',
        ...{ tags, body: inBoth(Deletion, Deletion) },
        response: {
          200: { description: 'What became of them.', ...inBoth(Deleted, Deleted) },
          ...errors(406, 409, 504, 507, 'body'),
        },
      },
    },
    async (request, reply) => {
      checkWritable();
      const ids = decodeIds(bodyOf<Static<typeof Deletion>>(request).ids);
      const result = await context.run(request, reply, WRITE, ({ signal }) => index.delete(ids, { signal }));
      return request.packed ? asPacked(reply, result) : result;
    },
  );

  app.get<InPath>(
    '/v1/vectors/:id',
    {
      config: reading,
      schema: {
        operationId: 'get',
        summary: 'The stored vector of an id',
        ...{ tags, params: IdInPath, querystring: IdQuery },
        response: {
          200: { description: 'As the index holds it.', ...inBoth(Stored, PackedStored) },
          ...errors(404, 406, 422),
        },
      },
    },
    async (request, reply) => {
      const { id, vector, ...others } = await find(request.params.id, request.query.type);
      if (request.packed) return asPacked(reply, { id: packableId(id), vector: packableFloats(vector), ...others });
      return { id: encodeId(id), vector: Array.from(vector), ...others };
    },
  );

  app.delete<InPath>(
    '/v1/vectors/:id',
    {
      config: writing,
      schema: {
        operationId: 'delete',
        summary: 'Deletes the vector of an id',
        ...{ tags, params: IdInPath, querystring: IdQuery },
        response: {
          200: { description: 'It is deleted.', ...inBoth(Deleted, Deleted) },
          ...errors(404, 406, 409, 504, 507, 'body'),
        },
      },
    },
    async (request, reply) => {
      checkWritable();
      const { id: text } = request.params;
      for (const id of idsOfText(text, request.query.type)) {
        const result = await context.run(request, reply, WRITE, ({ signal }) => index.delete([id], { signal }));
        if (result.deleted > 0) return request.packed ? asPacked(reply, result) : result;
      }
      throw unknown(text);
    },
  );

  async function find(text: string, type: InPath['Querystring']['type']): Promise<StoredVector> {
    for (const id of idsOfText(text, type)) {
      const stored = await index.get(id);
      if (stored !== undefined) return stored;
    }
    throw unknown(text);
  }

  function checkWritable(): void {
    if (context.options.readOnly) throw new ScanneryError('SCANNERY_READ_ONLY', 'this server takes no writes');
  }
}

const unknown = (text: string) => notFound(`vector of the id ${text.slice(0, 100)}`);
