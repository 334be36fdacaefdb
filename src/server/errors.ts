import { type ErrorCode, ScanneryError } from '../protocol/errors.ts';

/** The codes that answers have besides those of `ScanneryError`. docs/serving.md lists them; a test keeps the two equal. */
export const HTTP_ERROR_CODES = {
  BAD_REQUEST: 'The request is no HTTP that this server understands, or its body is not what its type says.',
  UNAUTHORIZED: 'There is no token, or none that the server knows.',
  FORBIDDEN: 'The token has not the scope that the route needs.',
  NOT_FOUND: 'There is no such route, or no vector of this id.',
  METHOD_NOT_ALLOWED: 'The route exists, but not for this method; `Allow` has those that it is for.',
  NOT_ACCEPTABLE: '`Accept` allows neither JSON nor MessagePack.',
  CONFLICT: 'Another such call runs, and there can be one at a time.',
  REQUEST_TIMEOUT: 'The request did not arrive in time.',
  BODY_TOO_LARGE: 'The body has more bytes than the server takes.',
  UNSUPPORTED_MEDIA_TYPE: 'The body is neither JSON nor MessagePack.',
  MISDIRECTED: 'A server without tokens was addressed by a name that is not of this machine.',
  RATE_LIMITED: 'The caller has used up its requests; `Retry-After` says when there are more.',
  OVERLOADED: 'As many queries or writes are in flight as the server takes; `Retry-After` says when to try again.',
  STOPPING: 'The server is stopping.',
  DEADLINE_EXCEEDED: 'The answer was not ready in time.',
  INTERNAL: 'Something unexpected; the log of the server has more.',
} as const;

export type HttpErrorCode = keyof typeof HTTP_ERROR_CODES;

/** What an answer says of what went wrong. */
export interface ErrorBody {
  code: string;
  message: string;
  option?: string;
  row?: number;
  value?: string | number | boolean | null;
}

interface Details {
  headers?: Readonly<Record<string, string>>;
  option?: string;
  row?: number;
  value?: unknown;
}

/** An error that is answered as it is. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: Details;

  constructor(status: number, code: HttpErrorCode | ErrorCode, message: string, details: Details = {}) {
    // Nobody reads where it was made, and finding that out takes longest.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** Errors of the index that a caller can do something about; of any other, a caller is told nothing. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  SCANNERY_INVALID_OPTION: 400,
  SCANNERY_INVALID_VECTOR: 400,
  SCANNERY_INVALID_ID: 400,
  SCANNERY_INVALID_ATTRIBUTE: 400,
  SCANNERY_DUPLICATE_ID: 400,
  SCANNERY_NOT_SUPPORTED: 422,
  SCANNERY_READ_ONLY: 409,
  SCANNERY_CLOSED: 503,
  SCANNERY_ABORTED: 503,
  SCANNERY_OUT_OF_MEMORY: 507,
};

/** What is read of the errors of fastify and its parts. */
interface Foreign {
  readonly statusCode?: number;
  readonly code?: string;
  readonly message?: string;
}

const FOREIGN: Record<number, HttpErrorCode> = {
  408: 'REQUEST_TIMEOUT',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
};

/** The error to answer with; of anything unexpected, it says nothing but that. */
export function asHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof ScanneryError) {
    const status = STATUS[error.code];
    if (status === undefined) return internal();
    const { code, message, option, row, value } = error;
    return new HttpError(status, code, message, {
      ...(option !== undefined && { option }),
      ...(row !== undefined && { row }),
      value,
      ...(status === 503 && { headers: { 'retry-after': '1' } }),
    });
  }
  const { statusCode = 500, message = '' } = (error ?? {}) as Foreign;
  if (statusCode < 400 || statusCode > 499) return internal();
  return new HttpError(statusCode, FOREIGN[statusCode] ?? 'BAD_REQUEST', message);
}

const internal = (): HttpError => new HttpError(500, 'INTERNAL', 'the server failed; its log has more');

/** The body of an answer that is an error. */
export function errorBody({ code, message, details }: HttpError): { error: ErrorBody } {
  const { option, row, value } = details;
  return {
    error: {
      code,
      message,
      ...(option !== undefined && { option }),
      ...(row !== undefined && { row }),
      ...(isPlain(value) && { value: typeof value === 'string' ? value.slice(0, 100) : value }),
    },
  };
}

const isPlain = (value: unknown): value is string | number | boolean | null =>
  value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);

export const notFound = (what: string): HttpError => new HttpError(404, 'NOT_FOUND', `there is no ${what}`);
export const stopping = (): HttpError =>
  new HttpError(503, 'STOPPING', 'the server is stopping', { headers: { 'retry-after': '1', connection: 'close' } });
