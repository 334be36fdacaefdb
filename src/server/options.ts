import type { FastifyBaseLogger } from 'fastify';
import {
  boolean,
  fromZero,
  integer,
  invalid,
  type OptionTable,
  oneOf,
  optional,
  resolveOptions,
  text,
} from '../protocol/check.ts';
import { ModelStore } from './models/store.ts';

/** What a token allows: searches and what is to be read, or writes. Neither implies the other. */
export type Scope = 'read' | 'write';

/** Who may call, and for what. Exactly one of `token` and `hash` is given. */
export interface TokenOptions {
  /** Names the caller in logs; none twice. */
  name: string;
  /** The bearer token itself, of 16 characters or more. */
  token?: string | undefined;
  /** Its SHA-256, 64 hexadecimal digits: what `hashToken` gives. */
  hash?: string | undefined;
  /** Default ['read']. */
  scopes?: readonly Scope[] | undefined;
}

/** Requests that one token, or one address without token, may make. */
export interface RateOptions {
  /** Requests per window, 1 or more. */
  max: number;
  /** Length of the window in milliseconds, 1 to 86,400,000. Default 60,000. */
  windowMs?: number | undefined;
}

export interface LimitOptions {
  /** Bytes of a body, 1,024 to 1 GiB. Default 16 MiB. */
  bodyBytes?: number | undefined;
  /** The largest k, 1 to 1,000,000. Default 1,000. */
  maxK?: number | undefined;
  /** The most candidates reordered per query, 1 to 10,000,000. Default 100,000. */
  maxCandidates?: number | undefined;
  /** Queries of a batch, 1 to maxInFlight. Default 1,000, or maxInFlight if that is less. */
  maxBatch?: number | undefined;
  /** Results of a batch, queries times k. Default 100,000. */
  maxResults?: number | undefined;
  /** Queries in flight, 1 to 65,536; further ones are turned away at once. Default 1,024. */
  maxInFlight?: number | undefined;
  /** Writes in flight, 1 to 65,536. Default 64. */
  maxWritesInFlight?: number | undefined;
  /** Milliseconds within which a query is answered, 1 to 3,600,000. Default 10,000. */
  requestTimeoutMs?: number | undefined;
  /** Default: as many requests as come. */
  rate?: RateOptions | undefined;
}

export interface ServerOptions {
  /** Address to listen on. Anything but this machine itself needs `tokens`. Default '127.0.0.1'. */
  host?: string | undefined;
  /** 0: any that is free. Default 8080. */
  port?: number | undefined;
  /** Key and certificate, in PEM. Default: plain HTTP. */
  https?: HttpsOptions | undefined;
  /** Proxies whose X-Forwarded-For tells the caller's address, as fastify takes it. Default false. */
  trustProxy?: boolean | number | string | readonly string[] | undefined;
  /** Default: none are asked for, which is for this machine alone. */
  tokens?: readonly TokenOptions[] | undefined;
  limits?: LimitOptions | undefined;
  /** Saved recommenders to serve as TensorFlow Serving does, below /v1/models. The store stays the caller's to close. */
  models?: ModelStore | undefined;
  /** Refuse writes. Default false. */
  readOnly?: boolean | undefined;
  /** Milliseconds that `close` waits for requests in flight, 0 to 3,600,000. Default 10,000. */
  stopTimeoutMs?: number | undefined;
  /** The part of unfiltered queries whose recall is measured in the background, 0 to 1. Default 0. */
  recallSampling?: number | undefined;
  /** true: one JSON line per request on stdout; or options of pino, or a logger of its shape. Default false. */
  logger?: boolean | Readonly<Record<string, unknown>> | FastifyBaseLogger | undefined;
}

export interface HttpsOptions {
  key: string | Uint8Array;
  cert: string | Uint8Array;
}

export type Limits = Readonly<Required<Omit<LimitOptions, 'rate'>>> & { readonly rate: RateOptions | undefined };

/** Options with their defaults in place. */
export interface ResolvedServerOptions extends Readonly<Omit<ServerOptions, 'limits'>> {
  readonly host: string;
  readonly port: number;
  readonly limits: Limits;
  readonly readOnly: boolean;
  readonly stopTimeoutMs: number;
  readonly recallSampling: number;
}

const none = undefined;
const needed = undefined as never;

const TOKEN: OptionTable<TokenOptions> = {
  name: { default: needed, check: text },
  token: { default: none, check: secret },
  hash: { default: none, check: hexadecimal },
  scopes: { default: ['read'], check: (value, option) => eachOf(oneOf('read', 'write'))(value, option) },
};

const RATE: OptionTable<RateOptions> = {
  max: { default: needed, check: integer(1) },
  windowMs: { default: 60_000, check: integer(1, 86_400_000) },
};

const LIMITS: OptionTable<LimitOptions> = {
  bodyBytes: { default: 16 * 2 ** 20, check: integer(1024, 2 ** 30) },
  maxK: { default: 1000, check: integer(1, 1_000_000) },
  maxCandidates: { default: 100_000, check: integer(1, 10_000_000) },
  maxBatch: { default: none, check: optional(integer(1, 65_536)) },
  maxResults: { default: 100_000, check: integer(1) },
  maxInFlight: { default: 1024, check: integer(1, 65_536) },
  maxWritesInFlight: { default: 64, check: integer(1, 65_536) },
  requestTimeoutMs: { default: 10_000, check: integer(1, 3_600_000) },
  rate: { default: none, check: (value, option) => needing(['max'], resolveOptions(RATE, value, option), option) },
};

const HTTPS: OptionTable<HttpsOptions> = {
  key: { default: needed, check: pem },
  cert: { default: needed, check: pem },
};

const SERVER: OptionTable<ServerOptions> = {
  host: { default: '127.0.0.1', check: text },
  port: { default: 8080, check: integer(0, 65_535) },
  https: {
    default: none,
    check: (value, option) => needing(['key', 'cert'], resolveOptions(HTTPS, value, option), option),
  },
  trustProxy: { default: false, check: proxies },
  tokens: { default: none, check: (value, option) => eachOf(token)(value, option) },
  limits: { default: resolveOptions(LIMITS, {}), check: (value, option) => resolveOptions(LIMITS, value, option) },
  models: { default: none, check: optional(modelStore) },
  readOnly: { default: false, check: boolean },
  stopTimeoutMs: { default: 10_000, check: integer(0, 3_600_000) },
  recallSampling: { default: 0, check: fromZero(1) },
  logger: { default: false, check: logger },
};

/** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
export function resolveServerOptions(given: unknown): ResolvedServerOptions {
  const options = resolveOptions(SERVER, given);
  const { maxInFlight, maxBatch = Math.min(1000, maxInFlight!), ...others } = options.limits!;
  if (maxBatch > maxInFlight!) throw invalid('limits.maxBatch', maxBatch, `at most maxInFlight, ${maxInFlight}`);
  const names = new Set(options.tokens?.map(({ name }) => name));
  if (names.size < (options.tokens?.length ?? 0)) throw invalid('tokens', options.tokens, 'of different names');
  if (options.tokens === undefined && !isLoopback(options.host!)) {
    throw invalid(
      'tokens',
      undefined,
      `given where others than this machine can reach the server (host ${options.host})`,
    );
  }
  return { ...options, limits: { ...others, maxInFlight, maxBatch } } as ResolvedServerOptions;
}

/** Whether a host is this machine alone, as an address, or the name that stands for it. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host);

function token(value: unknown, option: string): TokenOptions {
  const checked = needing(['name'], resolveOptions(TOKEN, value, option), option);
  if ((checked.token === undefined) === (checked.hash === undefined)) {
    throw invalid(option, value, 'an object with either token or hash');
  }
  return checked;
}

function secret(value: unknown, option: string): string {
  if (typeof value === 'string' && /^[\w.~+/=-]{16,}$/.test(value)) return value;
  // The value is not told, since logs have no need of it.
  throw invalid(
    option,
    typeof value === 'string' ? `${value.length} characters` : value,
    `16 or more of A-Z a-z 0-9 -._~+/=`,
  );
}

function hexadecimal(value: unknown, option: string): string {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value)) return value.toLowerCase();
  throw invalid(option, value, 'a SHA-256 of 64 hexadecimal digits');
}

function pem(value: unknown, option: string): string | Uint8Array {
  if ((typeof value === 'string' || value instanceof Uint8Array) && value.length > 0) return value;
  throw invalid(option, value, 'PEM, as text or bytes');
}

function modelStore(value: unknown, option: string): ModelStore {
  if (value instanceof ModelStore) return value;
  throw invalid(option, value, 'a ModelStore');
}

function proxies(value: unknown, option: string): ServerOptions['trustProxy'] {
  if (typeof value === 'boolean' || typeof value === 'string' || Number.isInteger(value)) return value as string;
  return eachOf(text)(value, option);
}

function logger(value: unknown, option: string): ServerOptions['logger'] {
  if (typeof value === 'boolean' || (typeof value === 'object' && value !== null)) return value as boolean;
  throw invalid(option, value, 'true, false, options of pino or a logger');
}

function eachOf<T>(check: (value: unknown, option: string) => T): (value: unknown, option: string) => readonly T[] {
  return (value, option) => {
    if (!Array.isArray(value) || value.length === 0) throw invalid(option, value, 'an array that is not empty');
    return value.map((one, i) => check(one, `${option}[${i}]`));
  };
}

/** Refuses what lacks something that has no default. */
function needing<T extends object>(names: readonly (keyof T & string)[], given: T, option: string): T {
  for (const name of names) if (given[name] === undefined) throw invalid(`${option}.${name}`, undefined, 'given');
  return given;
}
