import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import type { Index } from '../index.ts';
import { ScanneryError } from '../protocol/errors.ts';
import type { ServerContext } from './context.ts';
import { bodyOf } from './encoding.ts';
import { HttpError, notFound } from './errors.ts';
import { errors, inBoth, JSON_TYPE } from './shared-schemas.ts';

/** Milliseconds that tuning may take: minutes with many vectors, where a search has seconds. */
const LONGEST = 3_600_000;
const ONE = { kind: 'writes', count: 1, longest: LONGEST } as const;

const point = {
  numLeavesToSearch: Type.Integer(),
  numReorderingCandidates: Type.Integer(),
  recall: Type.Number({ description: 'Recall@k over the queries.' }),
  microsecondsPerQuery: Type.Number({ description: 'Time in kernels, over all threads.' }),
};
const Frontier = Type.Object({
  ...point,
  targetRecall: Type.Number(),
  k: Type.Integer(),
  queries: Type.Integer({ description: 'Queries that it was measured with: stored vectors, sampled and perturbed.' }),
  frontier: Type.Array(Type.Object(point), {
    description: 'Settings that no other beats in both recall and time, by ascending recall.',
  }),
});
const answer = { description: 'What was chosen, and the frontier.', content: { [JSON_TYPE]: { schema: Frontier } } };
const tags = ['system'];

/** POST and GET /v1/frontier: tunes the index as `Index.tune` does, and tells what the last tuning here found. */
export function frontierRoutes(app: FastifyInstance, context: ServerContext, index: Index): void {
  const { options } = context;
  const Target = Type.Object(
    {
      targetRecall: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'Default 0.95.' })),
      k: Type.Optional(
        Type.Integer({ minimum: 1, maximum: options.limits.maxK, description: "Default: the index's own." }),
      ),
    },
    { additionalProperties: false },
  );
  let last: Static<typeof Frontier> | undefined;
  let isTuning = false;

  app.post(
    '/v1/frontier',
    {
      config: { scope: 'write', admits: 'writes' },
      schema: {
        operationId: 'tune',
        summary:
          'Chooses the cheapest search setting that reaches a recall, and makes it the default; one call at a time',
        ...{ tags, body: inBoth(Target, Target) },
        response: { 200: answer, ...errors(409, 422, 504, 507, 'body') },
      },
    },
    async (request, reply) => {
      const { targetRecall = 0.95, k } = bodyOf<Static<typeof Target>>(request);
      if (options.readOnly) throw new ScanneryError('SCANNERY_READ_ONLY', 'the server is read-only');
      if (isTuning) throw new HttpError(409, 'CONFLICT', 'the index is being tuned by another call');
      isTuning = true;
      try {
        const found = await context.run(request, reply, ONE, ({ signal }) => index.tune({ targetRecall, k, signal }));
        last = { ...found, targetRecall, frontier: [...found.frontier] };
        return last;
      } finally {
        isTuning = false;
      }
    },
  );

  app.get(
    '/v1/frontier',
    {
      schema: {
        operationId: 'frontier',
        summary: 'What the last tuning by this server found',
        tags,
        response: { 200: answer, ...errors(404) },
      },
    },
    async () => {
      if (last === undefined) throw notFound('frontier: the index was not tuned since the server began');
      return last;
    },
  );
}
