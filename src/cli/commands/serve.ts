import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Argv } from 'yargs';
import { Index } from '../../index.ts';
import { createServer, ModelStore, type Scope, type ServerOptions, type TokenOptions } from '../../server/index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { badLine, fileWork, tell, UsageError } from '../errors.ts';
import type { CommonArguments, Session } from '../session.ts';

const text = { type: 'string', requiresArg: true } as const;
const number = { type: 'number', requiresArg: true } as const;
const LISTENING = 'Listening:';
const LIMITS = 'Limits:';

/** Of worker threads: with less of it they still kept the event loop from running, on two cores that were fully used. */
const PRIORITY = 10;

const OPTIONS = {
  model: { ...text, array: true, describe: 'NAME=DIR: a saved recommender, or numbered versions of it; repeatable' },
  'read-only': { type: 'boolean', describe: 'Refuse writes, and follow what another process writes' },
  durability: { ...text, choices: ['always', 'interval', 'none'], describe: 'When a write is safe; always by default' },
  threads: { ...number, describe: 'Worker threads; as many as cores by default' },
  'thread-priority': {
    ...{ ...number, default: PRIORITY },
    describe: 'How far they give way to answering requests, 0 to 19; Linux only',
  },
  'recall-sampling': { ...number, describe: 'Part of the queries whose recall is measured; 0 by default' },
  'log-level': {
    ...text,
    choices: ['error', 'warn', 'info', 'debug'],
    describe: 'Write JSON lines to stderr; none by default',
  },
  host: { ...text, group: LISTENING, describe: 'Address; any but this machine needs tokens; 127.0.0.1 by default' },
  port: { ...number, group: LISTENING, describe: '0 for one that is free; 8080 by default' },
  'token-file': { ...text, group: LISTENING, describe: 'Who may call: lines of name, scopes, SHA-256 of the token' },
  'tls-cert': { ...text, group: LISTENING, describe: 'Certificate, a PEM file' },
  'tls-key': { ...text, group: LISTENING, describe: 'Its key, a PEM file' },
  'max-k': { ...number, group: LIMITS, describe: 'The largest k; 1,000 by default' },
  'max-batch': { ...number, group: LIMITS, describe: 'Queries of a request; 1,000 by default' },
  'max-in-flight': { ...number, group: LIMITS, describe: 'Queries in flight, the rest is refused; 1,024 by default' },
  'body-limit': { ...number, group: LIMITS, describe: 'Bytes of a request; 16 MiB by default' },
  'rate-limit': { ...number, group: LIMITS, describe: 'Requests a minute per token, or address; no limit by default' },
  timeout: { ...number, group: LIMITS, describe: 'Milliseconds for an answer; 10,000 by default' },
} as const;

/** Milliseconds between two looks at what another process has written. */
const REFRESH_EVERY = 1000;

export const options = (yargs: Argv<CommonArguments>) =>
  yargs
    .positional('dir', { type: 'string', describe: 'The directory of an index' })
    .options(OPTIONS)
    .config(environment())
    .example('$0 serve my-index', 'then open http://127.0.0.1:8080/console')
    .example('$0 serve --model films=models/films', 'recommend, as TensorFlow Serving does')
    .example('$0 serve my-index --host 0.0.0.0 --token-file tokens', 'for other machines')
    .epilogue(
      'Every option can be an environment variable, too: SCANNERY_MAX_K for --max-k. All of it: docs/serving.md',
    );

type Arguments = ArgumentsOf<typeof options>;

/** Options that the environment gives; those of the command line come before them. */
function environment(): Record<string, string | string[]> {
  const given = Object.entries(OPTIONS).flatMap(([name, option]): [string, string | string[]][] => {
    const value = process.env[`SCANNERY_${name.replaceAll('-', '_').toUpperCase()}`];
    if (value === undefined || value === '') return [];
    return [[name, 'array' in option ? value.split(',') : value]];
  });
  return Object.fromEntries(given);
}

export async function run(args: Arguments, session: Session): Promise<void> {
  const { dir, model = [] } = args;
  const { signal } = session;
  if (dir === undefined && model.length === 0) throw new UsageError('give the directory of an index, or a --model');
  const directories = modelsOf(model);
  const options = await serverOptions(args);
  const index = dir === undefined ? null : await openIndex(dir, args, signal);
  try {
    const models = model.length === 0 ? undefined : await openModels(directories, args, session);
    try {
      await using server = await createServer(index, { ...options, models });
      const url = await server.listen();
      if (args.readOnly === true && index !== null) void follow(index, session);
      await session.answer(
        () => `serving at ${url}; console: ${url}/console, documentation: ${url}/docs; Ctrl-C ends it`,
        () => ({ event: 'ready', url }),
      );
      if (!signal.aborted) await once(signal, 'abort');
    } finally {
      await models?.close();
    }
  } finally {
    await index?.close();
  }
}

/** Opens an index to be written to, or with `readOnly` to be followed. */
const openIndex = (
  dir: string,
  { readOnly, durability = 'always', threads, threadPriority }: Arguments,
  signal: AbortSignal,
) =>
  Index.open(dir, {
    ...{ threads, threadPriority, signal },
    ...(readOnly === true ? { readOnly } : { durability: durability as 'always' | 'interval' | 'none' }),
  });

function openModels(
  directories: Readonly<Record<string, string>>,
  { threads, threadPriority }: Arguments,
  session: Session,
): Promise<ModelStore> {
  return ModelStore.open(directories, {
    ...{ threads, threadPriority },
    onEvent: (event) => {
      const what = 'version' in event ? `${event.model}, version ${event.version}` : event.model;
      const why = 'error' in event && event.error !== undefined ? `: ${tell(event.error).message}` : '';
      session.note(`model ${what}: ${event.type}${why}`);
    },
  });
}

/** `films=models/films` by name. */
function modelsOf(given: readonly string[]): Record<string, string> {
  const pairs = given.map((word) => {
    const [, name, directory] = /^([^=]+)=(.+)$/.exec(word) ?? [];
    if (name === undefined || directory === undefined) throw new UsageError(`--model has '${word}'; write NAME=DIR`);
    return [name, directory] as const;
  });
  const names = pairs.map(([name]) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--model gives '${twice}' twice`);
  return Object.fromEntries(pairs);
}

async function serverOptions(args: Arguments): Promise<ServerOptions> {
  const { host, port, tlsCert, tlsKey, tokenFile, readOnly, recallSampling, logLevel } = args;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new UsageError('--tls-cert and --tls-key go together');
  const read = (path: string): Promise<Buffer> => fileWork(path, () => readFile(path));
  return {
    ...{ host, port, readOnly, recallSampling },
    ...(logLevel !== undefined && { logger: { level: logLevel, stream: process.stderr } }),
    ...(tlsCert !== undefined && { https: { cert: await read(tlsCert), key: await read(tlsKey!) } }),
    ...(tokenFile !== undefined && { tokens: tokensOf(tokenFile, (await read(tokenFile)).toString('utf8')) }),
    limits: {
      ...{ maxK: args.maxK, maxBatch: args.maxBatch, maxInFlight: args.maxInFlight, bodyBytes: args.bodyLimit },
      ...{ requestTimeoutMs: args.timeout, rate: args.rateLimit === undefined ? undefined : { max: args.rateLimit } },
    },
  };
}

/** Lines of a name, scopes and the SHA-256 of a token, between blanks; `#` begins a comment. */
function tokensOf(path: string, content: string): TokenOptions[] {
  const tokens: TokenOptions[] = [];
  for (const [i, line] of content.split(/\r?\n/).entries()) {
    const words = line.replace(/#.*/, '').trim().split(/\s+/);
    if (words[0] === '') continue;
    const [name, scopes = '', hash = ''] = words;
    const isSound = words.length === 3 && /^(read|write)(,(read|write))*$/.test(scopes) && /^[0-9a-f]{64}$/i.test(hash);
    // The line is not told, as somebody may have put a token into it.
    if (!isSound) throw badLine(path, i + 1, 'write a name, scopes (read, write or read,write) and a SHA-256');
    tokens.push({ name: name!, scopes: scopes.split(',') as Scope[], hash });
  }
  if (tokens.length === 0) throw badLine(path, 1, 'there is no token');
  return tokens;
}

/** Takes in what another process writes, until the server ends. */
async function follow(index: Index, session: Session): Promise<void> {
  const { signal } = session;
  let told: string | undefined;
  while (!signal.aborted) {
    try {
      await index.refresh();
      told = undefined;
    } catch (error) {
      if (signal.aborted) return;
      const { message } = tell(error);
      if (message !== told) session.note(`the index cannot be refreshed: ${message}`);
      told = message;
    }
    await sleep(REFRESH_EVERY, undefined, { signal }).catch(() => {});
  }
}
