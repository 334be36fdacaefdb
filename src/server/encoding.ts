import { isAscii, isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pack, unpackForeign } from '../protocol/packing.ts';
import { checkMessage } from './check-message.ts';
import { HttpError } from './errors.ts';
import { splitBody } from './json-floats.ts';
import { JSON_TYPE, PACKED_TYPE } from './shared-schemas.ts';

/** Has a server read JSON and MessagePack, and nothing else. */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser(JSON_TYPE, { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    const encoding = isAscii(body) ? 'latin1' : 'utf8';
    // Decoding would put a replacement character, and so another id, in the place of what is no UTF-8.
    if (encoding === 'utf8' && !isUtf8(body)) return done(new HttpError(400, 'BAD_REQUEST', 'the body is not UTF-8'));
    const split = request.floats && splitBody(body, request.floats);
    if (split !== undefined) {
      const rest = parsePlain(`{${body.toString(encoding, split.rest)}`) as Record<string, unknown> | undefined;
      const { name } = request.floats!;
      if (rest !== undefined && !Object.hasOwn(rest, name)) {
        rest[name] = split.standIn;
        request.vectors = split.floats;
        return done(null, rest);
      }
    }
    const text = body.toString(encoding);
    const parsed = parsePlain(text);
    if (parsed === undefined) return parseJson(request, text, done);
    done(null, parsed);
  });
  app.addContentTypeParser(PACKED_TYPE, { parseAs: 'buffer' }, (_request, body: Buffer, done) => {
    try {
      checkMessage(body);
      done(null, unpackForeign(body));
    } catch (error) {
      const message = 'the body is not MessagePack that this server reads';
      done(error instanceof HttpError ? error : new HttpError(400, 'BAD_REQUEST', message));
    }
  });
}

/**
 * Parses JSON that names nothing dangerous, `__proto__` or `constructor`, which fastify's own parser looks for by slower means.
 * Without a backslash such names are written as they are. Undefined for other JSON, and for what is none.
 */
function parsePlain(text: string): unknown {
  if (text.includes('\\') || text.includes('__proto__') || text.includes('constructor')) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether an answer is to be MessagePack rather than JSON, which it is if both are as welcome and equally named. */
export function wantsPacked(accept: string | undefined): boolean {
  if (accept === undefined || accept === '*/*' || accept === JSON_TYPE) return false;
  if (accept === PACKED_TYPE) return true;
  const [json, packed] = [weigh(accept, JSON_TYPE), weigh(accept, PACKED_TYPE)];
  if (Math.max(json.quality, packed.quality) === 0) {
    throw new HttpError(406, 'NOT_ACCEPTABLE', `answers are ${JSON_TYPE} or ${PACKED_TYPE}`);
  }
  if (json.quality !== packed.quality) return packed.quality > json.quality;
  return packed.precision > json.precision;
}

/** The quality that an Accept header gives to a type, by the most precise of its parts that fits it (RFC 9110, 12.5.1). */
function weigh(accept: string, type: string): { quality: number; precision: number } {
  const [main] = type.split('/');
  let best = { quality: 0, precision: -1 };
  for (const part of accept.toLowerCase().split(',')) {
    const [range, ...parameters] = part.split(';').map((piece) => piece.trim());
    const precision = range === type ? 2 : range === `${main}/*` ? 1 : range === '*/*' ? 0 : -1;
    if (precision <= best.precision) continue;
    const given = Number(parameters.find((parameter) => /^q *=/.test(parameter))?.split('=')[1] ?? 1);
    best = { quality: given >= 0 && given <= 1 ? given : 0, precision };
  }
  return best;
}

/**
 * The text of JSON as what a handler returns. It is sent as it is; fastify's own serializer would take longer. (To send it and to return
 * the reply would have fastify wait for its end, which takes longer, too.)
 */
export function asJson(reply: FastifyReply, text: string): string {
  reply.header('content-type', 'application/json; charset=utf-8');
  return text;
}

/** An answer in MessagePack as what a handler returns. */
export function asPacked(reply: FastifyReply, answer: unknown): Buffer {
  reply.header('content-type', PACKED_TYPE);
  return pack(answer);
}

/** Numbers as bin of MessagePack. */
export const packableFloats = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Floats of a body: bin becomes what it holds, without a copy where it lies well; arrays stay as they are. */
export function floatsOf(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value;
  const bytes = value.byteOffset % 4 === 0 ? value : new Uint8Array(value);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The body, which is absent where a request has neither body nor type. */
export function bodyOf<T>(request: FastifyRequest): T {
  if (request.body !== undefined && request.body !== null) return request.body as T;
  throw new HttpError(400, 'BAD_REQUEST', 'the request has no body');
}
