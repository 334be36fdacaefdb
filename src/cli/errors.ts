import { type ErrorCode, ScanneryError } from '../index.ts';

/** What the command was asked for cannot be: an option, a command or a combination of them. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What a process ends with. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  data: 3,
  damaged: 4,
  locked: 5,
  notFound: 6,
  io: 7,
  interrupted: 130,
} as const;

const EXIT_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  SCANNERY_INVALID_OPTION: EXIT.usage,
  SCANNERY_NOT_SUPPORTED: EXIT.usage,
  SCANNERY_MISSING_PACKAGE: EXIT.usage,
  SCANNERY_INVALID_VECTOR: EXIT.data,
  SCANNERY_INVALID_ID: EXIT.data,
  SCANNERY_INVALID_ATTRIBUTE: EXIT.data,
  SCANNERY_DUPLICATE_ID: EXIT.data,
  SCANNERY_INVALID_DATA: EXIT.data,
  SCANNERY_BAD_MAGIC: EXIT.damaged,
  SCANNERY_NEWER_VERSION: EXIT.damaged,
  SCANNERY_TRUNCATED: EXIT.damaged,
  SCANNERY_CHECKSUM: EXIT.damaged,
  SCANNERY_LOCKED: EXIT.locked,
  SCANNERY_NOT_FOUND: EXIT.notFound,
  SCANNERY_IO: EXIT.io,
  SCANNERY_ABORTED: EXIT.interrupted,
};

/** What to do, where the message does not say so already. */
const ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
  SCANNERY_TRUNCATED: 'restore the index from a copy, or build it again',
  SCANNERY_BAD_MAGIC: 'check the path; something else was written there',
  SCANNERY_NEWER_VERSION: 'use the version of scannery that wrote it, or a later one',
  SCANNERY_OUT_OF_MEMORY: 'build with more --shards, or with --reordering bfloat16 or int8',
};

const REPAIR = /Index\.repair keeps/;

/** Options of the library, as they are called here. */
const OPTIONS: Readonly<Record<string, string>> = {
  numLeavesToSearch: 'leaves',
  numReorderingCandidates: 'candidates',
  tokens: 'token-file',
  bodyBytes: 'body-limit',
  requestTimeoutMs: 'timeout',
  max: 'rate-limit',
  reordering: 'reordering',
};

/** An error as it is told to people and to programs. */
export interface ToldError {
  readonly exitCode: number;
  readonly code: ErrorCode | 'USAGE' | 'UNEXPECTED';
  readonly message: string;
  readonly option?: string;
  readonly row?: number;
  readonly path?: string;
}

/** What is said of an error: one line, and what the process ends with. */
export function tell(error: unknown): ToldError {
  if (error instanceof ScanneryError) {
    const { code, row, path } = error;
    return {
      exitCode: EXIT_OF[code] ?? EXIT.unexpected,
      code,
      message: oneLine(messageOf(error)),
      ...(error.option !== undefined && { option: error.option }),
      ...(row !== undefined && { row }),
      ...(path !== undefined && { path }),
    };
  }
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (error instanceof UsageError) return { exitCode: EXIT.usage, code: 'USAGE', message };
  return { exitCode: EXIT.unexpected, code: 'UNEXPECTED', message: `${message}; --verbose shows where` };
}

const oneLine = (text: string): string =>
  text
    .trim()
    .replaceAll(/:\s*\n\s*/g, ': ')
    .replaceAll(/\s*\n\s*/g, '; ');

function messageOf({ code, message, option, path }: ScanneryError): string {
  if (code === 'SCANNERY_ABORTED') return 'interrupted';
  if (code === 'SCANNERY_MISSING_PACKAGE' && message.startsWith('npm ')) return `packages are missing; run: ${message}`;
  if (code === 'SCANNERY_LOCKED') return message.replace(/;[^;]*$/, '; stop it, and try again');
  if (code === 'SCANNERY_CHECKSUM') {
    const log = message.replace(REPAIR, '`scannery repair` keeps');
    return REPAIR.test(message) ? log : `${message}; restore the index from a copy, or build it again`;
  }
  if (code === 'SCANNERY_NOT_FOUND' && message.endsWith('no saved index')) {
    return `${message}; \`scannery build INPUT --output ${path}\` makes one`;
  }
  const advice = ADVICE[code];
  if (advice !== undefined) return `${message}; ${advice}`;
  if (option === undefined || !message.startsWith(option)) return message;
  return `${flagOf(option)}${message.slice(option.length)}`;
}

/** `tree.numLeaves` as `--num-leaves`. What is within --filter and --crowding keeps its path. */
function flagOf(option: string): string {
  if (/^(filter|crowding)/.test(option)) return `--${option}`;
  const name = option.split('.').at(-1)!;
  return `--${OPTIONS[name] ?? name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** An error about a line of a file, counted from 1. */
export function badLine(path: string, line: number, problem: string, cause?: unknown): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_DATA', `${path}, line ${line}: ${problem}`, {
    path,
    row: line - 1,
    ...(cause !== undefined && { cause }),
  });
}

/** Turns errors of the operating system into ours. */
export async function fileWork<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { errno, code, message } = error as NodeJS.ErrnoException;
    if (error instanceof ScanneryError || errno === undefined) throw error;
    const details = { path, cause: error };
    if (code === 'ENOENT') throw new ScanneryError('SCANNERY_NOT_FOUND', `${path} does not exist`, details);
    throw new ScanneryError('SCANNERY_IO', `${path}: ${message}`, details);
  }
}

/** Runs what reads a file that is no index, in which nothing is "damaged" but everything may be wrong. */
export async function inputWork<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await fileWork(path, work);
  } catch (error) {
    if (!(error instanceof ScanneryError) || EXIT_OF[error.code] !== EXIT.damaged) throw error;
    throw new ScanneryError('SCANNERY_INVALID_DATA', error.message.replace('a scannery file', 'a file of vectors'), {
      path,
      cause: error,
    });
  }
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new ScanneryError('SCANNERY_ABORTED', 'interrupted', { cause: signal.reason });
}
