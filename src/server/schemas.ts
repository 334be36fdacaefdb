import Type, { type Static } from 'typebox';
import type { Limits } from './options.ts';
import { AttributesOf, coordinate, FilterOf, Id, MaybeAttributes } from './shared-schemas.ts';

// One source of what requests and answers look like: fastify validates and serializes by these schemas, TypeScript takes its types
// from them, and the OpenAPI document is made of them.

/** Validates bin of MessagePack: `row` is one vector, `rows` any number. Arrays of numbers are left to the index to check. */
export const FLOATS = 'x-float32';

const strict = { additionalProperties: false };

/** The schemas that depend on what the index holds and on what the server allows. */
export function schemasFor(dimensions: number, limits: Limits) {
  const numbers = Type.Array(coordinate, {
    minItems: dimensions,
    maxItems: dimensions,
    description: 'As many numbers as the index has dimensions.',
  });
  const rows = Type.Array(numbers);
  const packed = (kind: 'row' | 'rows') =>
    Type.Unsafe<unknown>({
      [FLOATS]: kind,
      description: `bin of little-endian float32, ${kind === 'row' ? 'one' : 'one after another'} per dimension; or as in JSON.`,
    });

  const options = {
    k: Type.Optional(Type.Integer({ minimum: 1, maximum: limits.maxK, description: 'Results wanted.' })),
    numLeavesToSearch: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    numReorderingCandidates: Type.Optional(Type.Integer({ minimum: 1, maximum: limits.maxCandidates })),
    filter: Type.Optional(FilterOf),
    allowIds: Type.Optional(Type.Array(Id, { description: 'Only these may be found.' })),
    excludeIds: Type.Optional(Type.Array(Id, { description: 'These may not be found.' })),
    crowding: Type.Optional(
      Type.Object(
        { attribute: Type.String(), max: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) },
        { ...strict, description: 'At most so many results that share a value of the attribute.' },
      ),
    ),
    explain: Type.Optional(Type.Boolean({ description: 'Also tell how the answer was found.' })),
    attributes: Type.Optional(Type.Boolean({ description: 'Also give the attributes of what was found.' })),
  };
  // Either is to be given.
  const either = { ...strict, oneOf: [{ required: ['vector'] }, { required: ['id'] }] };
  const id = Type.Optional(Type.Unsafe<Static<typeof Id>>({ ...Id }));
  const upsert = { ids: Type.Array(Id), attributes: Type.Optional(Type.Array(MaybeAttributes)) };
  const batch = { minItems: 1, maxItems: limits.maxBatch };

  return {
    search: Type.Object({ vector: Type.Optional(numbers), id, ...options }, either),
    searchPacked: Type.Object({ vector: Type.Optional(packed('row')), id, ...options }, either),
    searchBatch: Type.Object({ vectors: Type.Array(numbers, batch), ...options }, strict),
    searchBatchPacked: Type.Object({ vectors: packed('rows'), ...options }, strict),
    upsert: Type.Object({ ...upsert, vectors: rows }, strict),
    upsertPacked: Type.Object({ ...upsert, vectors: packed('rows') }, strict),
  };
}

const floats = (what: string) =>
  Type.Unsafe<unknown>({ [FLOATS]: 'rows', description: `bin of little-endian float32: ${what}` });

const Explanation = Type.Object(
  {
    method: Type.String(),
    leaves: Type.Array(Type.Integer()),
    codesScanned: Type.Integer(),
    candidates: Type.Integer(),
    reordered: Type.Integer(),
    microseconds: Type.Object({
      total: Type.Number(),
      prepare: Type.Number(),
      scan: Type.Number(),
      reorder: Type.Number(),
      merge: Type.Number(),
    }),
    filter: Type.Optional(Type.Object({ strategy: Type.String(), estimatedMatches: Type.Number() })),
    shards: Type.Array(
      Type.Object({
        codesScanned: Type.Integer(),
        candidates: Type.Integer(),
        reordered: Type.Integer(),
        scanMicroseconds: Type.Number(),
        reorderMicroseconds: Type.Number(),
      }),
    ),
  },
  { description: 'How the answer was found; times are those in kernels, over all threads.' },
);

const answer = {
  ids: Type.Array(Id, { description: 'Best first.' }),
  attributes: Type.Optional(Type.Array(MaybeAttributes, { description: 'One per id.' })),
  explanation: Type.Optional(Explanation),
};
const scores = Type.Array(Type.Number(), { description: "The metric's value for each id." });

export const Answer = Type.Object({ ...answer, scores });
export const PackedAnswer = Type.Object({ ...answer, scores: floats('a score per id') });
export const Answers = Type.Object({ results: Type.Array(Answer) });
export const PackedAnswers = Type.Object({ results: Type.Array(PackedAnswer) });

const stored = { id: Id, attributes: Type.Optional(AttributesOf) };
export const Stored = Type.Object({ ...stored, vector: Type.Array(Type.Number()) });
export const PackedStored = Type.Object({ ...stored, vector: floats('one per dimension') });

const count = (description: string) => Type.Integer({ minimum: 0, description });
export const Upserted = Type.Object({
  inserted: count('Vectors whose ids were not in the index.'),
  updated: count('Vectors that took the place of others.'),
});
export const Deletion = Type.Object({ ids: Type.Array(Id) }, strict);
export const Deleted = Type.Object({
  deleted: count('Vectors deleted.'),
  unknown: count('Ids that the index does not have, or that were given twice.'),
});

export const IdInPath = Type.Object({ id: Type.String({ minLength: 1 }) });
export const IdQuery = Type.Object(
  {
    type: Type.Optional(
      Type.Enum(['string', 'integer', 'bigint'], {
        description:
          'How the id is to be read. Default: as text, then, if there is none, as the integer that it writes.',
      }),
    ),
  },
  strict,
);
export const StatsQuery = Type.Object(
  {
    health: Type.Optional(Type.Enum(['true', 'false'], { description: 'Also measure how far the index has changed.' })),
  },
  strict,
);

export const Status = Type.Object({ status: Type.String() });
/** Statistics of the index, of many parts; see `IndexStats` and `IndexHealth`. */
export const Stats = Type.Object(
  {
    size: Type.Integer(),
    dimensions: Type.Integer(),
    metric: Type.String(),
    health: Type.Optional(Type.Object({}, { additionalProperties: true })),
  },
  { additionalProperties: true },
);
export const OpenApi = Type.Object({ openapi: Type.String() }, { additionalProperties: true });
