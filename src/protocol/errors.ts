/** Every error code, with what it means. docs/errors.md lists the same codes; a test keeps the two equal. */
export const ERROR_CODES = {
  SCANNERY_INVALID_OPTION: 'An option is unknown, of the wrong type, not a number, or out of range.',
  SCANNERY_INVALID_VECTOR:
    'A vector or query has the wrong length, holds NaN, Infinity or a number beyond 1e17, or is zero under cosine.',
  SCANNERY_INVALID_ID:
    'An id is not a string, safe integer or 64-bit bigint, or the number of ids differs from the number of vectors.',
  SCANNERY_INVALID_ATTRIBUTE:
    'An attribute is neither text, a list of it, a finite number nor a boolean, or not of the kind that it has in other rows.',
  SCANNERY_DUPLICATE_ID: 'Two vectors were given the same id.',
  SCANNERY_NOT_SUPPORTED: 'The option is known, but this version or this index cannot serve it.',
  SCANNERY_CLOSED: 'The index was closed before the call.',
  SCANNERY_NOT_INDEXED: 'The layer was called before `index` or `indexFromDataset`.',
  SCANNERY_ABORTED: "The call's AbortSignal was aborted.",
  SCANNERY_DIVERGED: 'The loss of a training batch is not finite.',
  SCANNERY_WORKER_FAILED: 'A worker thread died, and the work it held could not be done by another.',
  SCANNERY_OUT_OF_MEMORY: 'A shard or a request does not fit the memory that WebAssembly can address (4 GiB).',
  SCANNERY_NOT_FOUND:
    'The directory holds no saved index, or not the files that were looked for; or no such model or version is served.',
  SCANNERY_BAD_MAGIC: 'A file is not a scannery file.',
  SCANNERY_NEWER_VERSION: 'A file was written by a newer version of the format than this one reads.',
  SCANNERY_TRUNCATED: 'A file is shorter than its header says, or is missing.',
  SCANNERY_CHECKSUM: 'A part of a file differs from what was written.',
  SCANNERY_INVALID_DATA: 'A line or field of a data file is not what its format says.',
  SCANNERY_MISSING_PACKAGE: 'An optional package that the call needs is not installed.',
  SCANNERY_LOCKED: 'The directory is open for writing, in another process or in this one.',
  SCANNERY_READ_ONLY: 'The index was opened with `readOnly`, and the call would change it.',
  SCANNERY_IO: 'The operating system refused a file operation; `cause` has its error.',
} as const;

/** What `process` warns of, by `code`, under the name ScanneryWarning: nothing was lost, but somebody should look. */
export const WARNING_CODES = {
  SCANNERY_LOG_CUT: 'Bytes of writes that nobody was told of were cut off the end of a log, after a crash.',
  SCANNERY_CHECKPOINT_FAILED: 'The index could not be saved anew when its log was long; the log goes on.',
  SCANNERY_REBALANCE_FAILED: 'The index could not rebalance itself; it goes on as it is.',
} as const;

export type WarningCode = keyof typeof WARNING_CODES;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetails {
  /** The option at fault. */
  option?: string;
  /** The value received. */
  value?: unknown;
  /** The row at fault, or the line of a data file, counted from 0. */
  row?: number;
  /** The file at fault. */
  path?: string;
  cause?: unknown;
}

/** The one error class of this package; tell errors apart by their `code`, which never changes its meaning. */
export class ScanneryError extends Error {
  override readonly name = 'ScanneryError';
  readonly code: ErrorCode;
  readonly option?: string;
  readonly value?: unknown;
  readonly row?: number;
  readonly path?: string;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.option !== undefined) this.option = details.option;
    if ('value' in details) this.value = details.value;
    if (details.row !== undefined) this.row = details.row;
    if (details.path !== undefined) this.path = details.path;
  }
}

/** An error as it crosses a thread boundary, where structured clone would drop `code`. */
export interface EncodedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly row?: number;
}

export function encodeError(error: unknown): EncodedError {
  if (error instanceof ScanneryError) {
    return { code: error.code, message: error.message, ...(error.row === undefined ? {} : { row: error.row }) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'SCANNERY_WORKER_FAILED', message };
}

export function decodeError(encoded: EncodedError): ScanneryError {
  return new ScanneryError(encoded.code, encoded.message, encoded.row === undefined ? {} : { row: encoded.row });
}

/** How a value is shown in a message: short, and telling strings from numbers. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'null prototype'})`;
  return typeof value === 'function' ? 'a function' : String(value);
}
