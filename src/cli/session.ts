import { createProgress, NO_PROGRESS, type Progress } from './progress.ts';

/** Options that every command has. */
export interface CommonArguments {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
}

/** What a command works with. */
export interface Session {
  /** Whether standard output is for a program. */
  readonly json: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Writes lines to standard output, and waits where nobody reads them yet. */
  print(text: string): Promise<void>;
  /** Prints text for people, or a document for programs. */
  answer(text: () => string, document: () => unknown): Promise<void>;
  /** Tells people something that is no part of the answer; not with --json or --quiet. */
  note(text: string): void;
}

export async function startSession(args: CommonArguments, signal: AbortSignal): Promise<Session> {
  const json = args.json === true;
  const print = (text: string): Promise<void> => write(process.stdout, `${text}\n`);
  return {
    json,
    signal,
    progress: args.quiet ? NO_PROGRESS : await createProgress(),
    print,
    answer: (text, document) => print(json ? toJson(document()) : text()),
    note: (text) => {
      if (!json && !args.quiet) process.stderr.write(`${text}\n`);
    },
  };
}

/** JSON of one line. Integers that JSON's readers would round are text. */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (_, value) => (typeof value === 'bigint' ? String(value) : value));
}

/** Resolves once a stream has taken the text. A reader that has gone ends the process: see main.ts. */
export function write(stream: NodeJS.WritableStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, () => resolve());
  });
}
