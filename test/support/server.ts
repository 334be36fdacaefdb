import type { LightMyRequestResponse } from 'fastify';
import Schema from 'typebox/schema';
import { afterAll, expect } from 'vitest';
import type { Index } from '../../src/index.ts';
import { pack, unpack } from '../../src/protocol/packing.ts';
import { createServer, type ScanneryServer, type ServerOptions } from '../../src/server/index.ts';
import { smallIndex } from './server-index.ts';

export * from './server-index.ts';

/** A server of a small index, or of another; both are closed after the file's tests. */
export async function serve(options: ServerOptions = {}, given?: Index): Promise<ScanneryServer> {
  const index = given ?? (await smallIndex());
  const server = await createServer(index, { port: 0, stopTimeoutMs: 1000, ...options });
  afterAll(async () => {
    await server.close();
    await index.close();
  });
  return server;
}

/** An index some of whose methods are others. */
export function withMethods(index: Index, methods: Partial<Record<keyof Index, unknown>>): Index {
  return new Proxy(index, {
    get(target, name) {
      if (name in methods) return methods[name as keyof Index];
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

interface Request {
  readonly method?: string;
  readonly url: string;
  /** Sent as JSON, or as it is if it is text or bytes. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they expect
  readonly body: any;
  readonly headers: LightMyRequestResponse['headers'];
}

const JSON_TYPE = 'application/json';
const PACKED = 'application/msgpack';

/** Sends a request, and looks that the answer is one that the OpenAPI document has. */
export async function call(server: ScanneryServer, { body, headers, ...request }: Request): Promise<Answer> {
  const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  const method = request.method ?? (body === undefined ? 'GET' : 'POST');
  const response = await server.app.inject({
    method: method as 'GET',
    url: request.url,
    headers: { ...(body !== undefined && { 'content-type': JSON_TYPE }), ...headers },
    ...(body !== undefined && { payload: (raw ? body : JSON.stringify(body)) as string }),
  });
  const type = String(response.headers['content-type'] ?? '').split(';')[0]!;
  const json = type === JSON_TYPE && method !== 'HEAD';
  const read = json ? response.json() : type === PACKED ? unpack(response.rawPayload) : response.payload;
  const answer = { status: response.statusCode, body: read, headers: response.headers };
  if (method !== 'HEAD') expectDocumented(server, method, request.url, type, answer);
  return answer;
}

/** As `call`, in MessagePack both ways. */
export function callPacked(server: ScanneryServer, url: string, body: unknown): Promise<Answer> {
  return call(server, { url, body: pack(body), headers: { 'content-type': PACKED, accept: PACKED } });
}

// biome-ignore lint/suspicious/noExplicitAny: it is a JSON document
type Document = any;
const documents = new WeakMap<ScanneryServer, Document>();

function documentOf(server: ScanneryServer): Document {
  const known = documents.get(server) ?? JSON.parse(JSON.stringify(server.app.swagger()));
  documents.set(server, known);
  return known;
}

function expectDocumented(server: ScanneryServer, method: string, url: string, type: string, answer: Answer): void {
  const document = documentOf(server);
  const path = url.split('?')[0]!.replace(/^(\/v1\/vectors\/)(?!delete$).+/, '$1{id}');
  const operation = document.paths[path]?.[method.toLowerCase()];
  if (operation === undefined) {
    // Of what is not in the document, errors alone are promised to have a form.
    if (answer.status >= 400) expectToFit(document, { $ref: '#/components/schemas/Error' }, answer.body);
    return;
  }
  const content = operation.responses[answer.status]?.content?.[type];
  expect(content, `${method} ${path} ${answer.status} ${type}`).toBeDefined();
  if (type === JSON_TYPE) expectToFit(document, content.schema, answer.body);
}

function expectToFit(document: Document, schema: object, value: unknown): void {
  const [fits, errors] = Schema.Compile({ ...schema, components: document.components }).Errors(value);
  expect(fits, JSON.stringify({ value, errors })).toBe(true);
}

/** The floats of an answer in MessagePack. */
export const floats = (bytes: Uint8Array): number[] => [...new Float32Array(new Uint8Array(bytes).buffer)];

/** Numbers as bin of little-endian float32. */
export const bin = (...rows: readonly (readonly number[])[]): Buffer =>
  Buffer.from(Float32Array.from(rows.flat()).buffer);
