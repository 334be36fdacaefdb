import { pack } from 'msgpackr';
import { loadDataset } from '../datasets/index.ts';
import { type Answer, HttpClient } from './http-client.ts';
import { MADE_UP, type OpenTarget, readQueries, UPSERT_SEED, UPSERTED_IDS, unitVectors } from './index-target.ts';
import { type TargetOptions, type UrlOptions, UsageError } from './options.ts';

const TYPES = { json: 'application/json', msgpack: 'application/msgpack' } as const;

/** An answer that is not a success; `code` is the server's, or `HTTP <status>` where it gave none. */
export class AnswerError extends Error {
  override name = 'AnswerError';
  readonly code: string;

  constructor(status: number, code: string | undefined) {
    super(`status ${status}`);
    this.code = `${status}${code === undefined ? '' : ` ${code}`}`;
  }
}

export interface UrlTarget extends OpenTarget {
  /** Of the requests. */
  readonly bodies: readonly Buffer[];
}

/** Opens what answers at a URL: `scannery serve`, or `createServer` of `scannery/server`. */
export async function openUrlTarget(options: TargetOptions, url: UrlOptions): Promise<UrlTarget> {
  const client = new HttpClient(url);
  try {
    const { size, dimensions, metric, threads } = await statsOf(client, url.url);
    const [queries, source] = await queriesFor(options, dimensions);
    return target(client, url, options, { queries, dimensions }, [
      `Index at ${url.url.origin}: ${size.toLocaleString('en')} x ${dimensions}, ${metric}, ${threads} threads`,
      `${(queries.length / dimensions).toLocaleString('en')} queries, ${source}; k = ${options.k}; ${url.connections} connections, ` +
        `${url.batch} queries a request, ${url.encoding}`,
    ]);
  } catch (error) {
    client.close();
    throw error;
  }
}

interface Stats {
  readonly size: number;
  readonly dimensions: number;
  readonly metric: string;
  readonly threads: number;
}

async function statsOf(client: HttpClient, url: URL): Promise<Stats> {
  let answer: Answer;
  try {
    answer = await client.send(client.request('GET', '/v1/stats', null, TYPES.json));
  } catch (error) {
    throw new UsageError(`--url: nothing answers at ${url.origin} (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
  if (answer.status === 401) throw new UsageError('--url: the server wants a token; give it as SCANNERY_TOKEN');
  if (answer.status !== 200) throw new UsageError(`--url: ${url.origin}/v1/stats answers with status ${answer.status}`);
  return JSON.parse(answer.body.toString('utf8')) as Stats;
}

async function queriesFor(options: TargetOptions, dimensions: number): Promise<[Float32Array, string]> {
  if (options.queries !== undefined) return [readQueries(options.queries, dimensions), options.queries];
  if (options.data === 'glove') {
    const { queries, ...dataset } = await loadDataset('glove', { heldOut: MADE_UP, seed: options.seed });
    if (dataset.dimensions === dimensions) return [queries, 'held out of the data'];
    throw new UsageError(`--data: GloVe has ${dataset.dimensions} dimensions, the index at the URL has ${dimensions}`);
  }
  return [unitVectors(MADE_UP, dimensions, options.seed), `random unit vectors (seed ${options.seed})`];
}

function target(
  client: HttpClient,
  { encoding, batch }: UrlOptions,
  { k, numLeavesToSearch, numReorderingCandidates }: TargetOptions,
  { queries, dimensions }: { readonly queries: Float32Array; readonly dimensions: number },
  description: readonly string[],
): UrlTarget {
  const type = TYPES[encoding];
  const path = batch === 1 ? '/v1/search' : '/v1/search/batch';
  const settings = {
    k,
    ...(numLeavesToSearch !== undefined && { numLeavesToSearch }),
    ...(numReorderingCandidates !== undefined && { numReorderingCandidates }),
  };
  const encode = (message: object): Buffer =>
    encoding === 'msgpack' ? pack(message) : Buffer.from(JSON.stringify(message));
  const numbers = (vectors: Float32Array): unknown => {
    if (encoding === 'msgpack') return Buffer.from(vectors.buffer, vectors.byteOffset, vectors.byteLength);
    if (batch === 1) return Array.from(vectors);
    return Array.from({ length: batch }, (_, i) => Array.from(vectors.subarray(i * dimensions, (i + 1) * dimensions)));
  };
  // Made once: a client that encodes would take the time of what it measures.
  const count = queries.length / dimensions;
  const bodies = Array.from({ length: Math.ceil(count / batch) }, (_, i) => {
    const rows = Float32Array.from(
      { length: batch * dimensions },
      (_, j) => queries[(i * batch * dimensions + j) % queries.length]!,
    );
    return encode({ [batch === 1 ? 'vector' : 'vectors']: numbers(rows), ...settings });
  });
  const upserts = unitVectors(MADE_UP, dimensions, UPSERT_SEED);
  const requests = bodies.map((body) => client.request('POST', path, body, type));
  const ask = async (request: Buffer): Promise<void> => {
    const answer = await client.send(request);
    if (answer.status !== 200) throw new AnswerError(answer.status, codeOf(answer.body));
  };
  return {
    queries: bodies.length,
    bodies,
    description,
    search: (i) => ask(requests[i]!),
    async upsert(i) {
      const at = (i % MADE_UP) * dimensions;
      const vector = upserts.subarray(at, at + dimensions);
      const vectors = encoding === 'msgpack' ? Buffer.from(vector.slice().buffer) : [Array.from(vector)];
      const body = encode({ ids: [`load test ${i % UPSERTED_IDS}`], vectors });
      await ask(client.request('POST', '/v1/vectors', body, type));
    },
    sharedBytes: () => undefined,
    close: async () => client.close(),
  };
}

/** Errors are JSON, whatever answers are. */
function codeOf(body: Buffer): string | undefined {
  try {
    const { error } = JSON.parse(body.toString('utf8'));
    return typeof error?.code === 'string' ? error.code : undefined;
  } catch {
    return undefined; // not the server's own
  }
}
