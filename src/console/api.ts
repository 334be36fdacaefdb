import type { Explanation, FrontierPoint, IndexHealth, IndexStats } from '../coordinator/types.ts';
import type { Attributes, Filter } from '../protocol/filter.ts';
import type { WireId } from './id-text.ts';

/** What the server says of a request that failed. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly option?: string;
  readonly row?: number;
}

export class ApiError extends Error {
  readonly status: number;
  readonly failure: Failure;

  constructor(status: number, failure: Failure) {
    super(failure.message);
    this.status = status;
    this.failure = failure;
  }
}

export interface SearchRequest {
  id?: WireId;
  vector?: readonly number[];
  k?: number;
  numLeavesToSearch?: number;
  numReorderingCandidates?: number;
  filter?: Filter;
  explain?: boolean;
  attributes: true;
}

export interface SearchAnswer {
  readonly ids: readonly WireId[];
  readonly scores: readonly number[];
  readonly attributes?: readonly (Attributes | null)[];
  readonly explanation?: Omit<Explanation, 'ids' | 'scores'>;
}

/** What tuning found, last. */
export interface Frontier extends FrontierPoint {
  readonly k: number;
  readonly targetRecall: number;
  readonly queries: number;
  readonly frontier: readonly FrontierPoint[];
}

const TOKEN = 'scannery.token';

export function setToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

export const hasToken = (): boolean => sessionStorage.getItem(TOKEN) !== null;

export function forgetToken(): void {
  sessionStorage.removeItem(TOKEN);
}

/** @throws {ApiError} with status 0 if the server cannot be reached */
async function request(path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  const headers: Record<string, string> = {};
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const sent: RequestInit = { headers, cache: 'no-store' };
  if (body !== undefined) Object.assign(sent, { method: 'POST', body: JSON.stringify(body) });
  if (signal) sent.signal = signal;
  let response: Response;
  try {
    response = await fetch(path, sent);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { code: 'UNREACHABLE', message: 'the server cannot be reached' });
  }
  if (response.ok) return response;
  const { error } = (await response.json().catch(() => ({}))) as { error?: Failure };
  const unknown: Failure = { code: String(response.status), message: response.statusText || 'the request failed' };
  throw new ApiError(response.status, error ?? unknown);
}

const json = async <T>(response: Promise<Response>): Promise<T> => (await response).json();

export const search = (query: SearchRequest, signal: AbortSignal): Promise<SearchAnswer> =>
  json(request('/v1/search', query, signal));
export const stats = (): Promise<IndexStats> => json(request('/v1/stats'));
export const health = async (): Promise<IndexHealth> =>
  (await json<{ health: IndexHealth }>(request('/v1/stats?health=true'))).health;
export const metrics = async (): Promise<string> => (await request('/metrics')).text();
export const tune = (targetRecall: number, k: number): Promise<Frontier> =>
  json(request('/v1/frontier', { targetRecall, k }));

/** The frontier of the last tuning, or undefined if there was none. */
export async function frontier(): Promise<Frontier | undefined> {
  try {
    return await json<Frontier>(request('/v1/frontier'));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
