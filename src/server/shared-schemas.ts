import Type from 'typebox';
import type { Attributes, Filter } from '../index.ts';
import { ERROR_CODES } from '../protocol/errors.ts';
import { type ErrorBody, HTTP_ERROR_CODES } from './errors.ts';
import type { WireId } from './ids.ts';

// Schemas that others refer to by name; they are the components of the OpenAPI document. Types that TypeBox would make of them
// are those of the index already.

const MOST = Number.MAX_SAFE_INTEGER;

/** A number of a vector. The index looks at how large it is: the least number beyond 1e17 that JSON can write is read as 1e17. */
export const coordinate = Type.Number({ description: 'Of a magnitude of 1e17 at most.' });

const id = {
  $id: 'Id',
  description:
    'Text, an integer within 2^53, or the digits of a 64-bit integer. "5", 5 and {"bigint":"5"} are three ids.',
  type: ['string', 'integer', 'object'],
  minimum: -MOST,
  maximum: MOST,
  properties: { bigint: { type: 'string', pattern: '^(0|-?[1-9][0-9]{0,19})$' } },
  required: ['bigint'],
  additionalProperties: false,
};

const attributeValues = {
  // Lists come first: serialized as the first type that fits, they would be text otherwise.
  additionalProperties: { type: ['array', 'string', 'number', 'boolean', 'null'], items: { type: 'string' } },
};
const attributes = {
  $id: 'Attributes',
  description: 'What is known of a vector besides its id, by name.',
  ...{ type: 'object', ...attributeValues },
};

const values = { type: 'array', items: { type: ['string', 'number', 'boolean'] } };
const filter = {
  $id: 'Filter',
  description: 'Vectors that all parts let through; at most 32 filters deep.',
  type: 'object',
  additionalProperties: false,
  properties: {
    allow: { type: 'object', additionalProperties: values, description: 'They have one of the values.' },
    deny: { type: 'object', additionalProperties: values, description: 'They have none of the values.' },
    range: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        additionalProperties: false,
        properties: Object.fromEntries(['gt', 'gte', 'lt', 'lte'].map((name) => [name, { type: 'number' }])),
      },
    },
    and: { type: 'array', items: { $ref: 'Filter#' } },
    or: { type: 'array', items: { $ref: 'Filter#' } },
    not: { $ref: 'Filter#' },
  },
};

const error = {
  $id: 'Error',
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      additionalProperties: false,
      properties: {
        code: { type: 'string', enum: [...Object.keys(HTTP_ERROR_CODES), ...Object.keys(ERROR_CODES)] },
        message: { type: 'string' },
        option: { type: 'string', description: 'The property or option at fault.' },
        row: { type: 'integer', description: 'The vector, query or id at fault, from 0.' },
        value: { type: ['string', 'number', 'boolean', 'null'], description: 'What was received, if it is short.' },
      },
    },
  },
};

export const SHARED = [id, attributes, filter, error];

export const Id = Type.Unsafe<WireId>({ $ref: 'Id#' });
export const AttributesOf = Type.Unsafe<Attributes>({ $ref: 'Attributes#' });
export const MaybeAttributes = Type.Unsafe<Attributes | null>({ type: ['object', 'null'], ...attributeValues });
export const FilterOf = Type.Unsafe<Filter>({ $ref: 'Filter#' });
export const ErrorOf = Type.Unsafe<{ error: ErrorBody }>({ $ref: 'Error#' });

export const JSON_TYPE = 'application/json';
export const PACKED_TYPE = 'application/msgpack';

const REASONS: Record<number, string> = {
  400: 'Something of the request is wrong; the message says what.',
  401: 'No token, or an unknown one.',
  403: 'The token has not the scope.',
  404: 'There is no such vector.',
  406: 'Accept allows neither JSON nor MessagePack.',
  408: 'The request did not arrive in time.',
  409: 'The index or the server is read-only, or another such call runs.',
  413: 'The body is too large.',
  415: 'The body is neither JSON nor MessagePack.',
  421: 'A server without tokens is for this machine alone.',
  422: 'This index cannot do it.',
  429: 'The caller has used up its requests.',
  500: 'Something unexpected.',
  503: 'Overloaded, stopping or closed.',
  504: 'The deadline has passed.',
  507: 'It does not fit the memory.',
};

const ALWAYS = [400, 401, 403, 408, 421, 429, 500, 503];
const WITH_BODY = [413, 415];

/** The error answers of a route: those that every route can give, and its own. */
export function errors(...own: (number | 'body')[]): Record<number, unknown> {
  const codes = [...ALWAYS, ...own.flatMap((code) => (code === 'body' ? WITH_BODY : [code]))].sort((a, b) => a - b);
  return Object.fromEntries(
    codes.map((code) => [
      code,
      { description: REASONS[code], content: { [JSON_TYPE]: { schema: ErrorOf } }, ...RETRIES(code) },
    ]),
  );
}

const RETRIES = (code: number): object =>
  code === 429 || code === 503
    ? { headers: { 'Retry-After': { type: 'integer', description: 'Seconds until another try is worth while.' } } }
    : {};

/** Content in both encodings. */
export function inBoth(json: unknown, packed: unknown): { content: Record<string, { schema: unknown }> } {
  return { content: { [JSON_TYPE]: { schema: json }, [PACKED_TYPE]: { schema: packed } } };
}
