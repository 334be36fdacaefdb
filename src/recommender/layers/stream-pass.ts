import { setImmediate as nextTurn } from 'node:timers/promises';
import { type QuerySource, writeQuery } from '../../coordinator/call.ts';
import { badNumber } from '../../coordinator/inputs.ts';
import { type Threads, throwIfAborted } from '../../coordinator/threads.ts';
import type { Id } from '../../coordinator/types.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { MAX_MAGNITUDE, paddedDimensions } from '../../protocol/metrics.ts';
import { idOfLow, scoreOfHigh } from '../../protocol/order.ts';
import { BUFFER_SLACK, STATE_BYTES } from '../../protocol/shard-layout.ts';
import { STREAM_FRESH, STREAM_HELD, STREAM_WORDS } from '../../protocol/stream-task.ts';
import { align } from '../../shard/arena.ts';
import { type CheckedBatch, candidateAt, copyCandidates } from './candidate-batches.ts';
import type { Exclusions } from './exclusions.ts';
import { checkIdentifier } from './identifiers.ts';
import { PassExclusions } from './stream-exclusions.ts';
import { type MiniShard, placeMiniShard, type StreamMemory } from './stream-memory.ts';

/** Bytes of queries and of their best candidates in one pass; more queries take more passes. */
const PASS_BYTES = 1 << 28;
/** Queries per chunk of a phase at most: enough to pay for bringing candidates into the cache. */
const MAX_QUERIES_PER_CHUNK = 32;
const MAX_ROWS = 2 ** 32 - 2;
/** Answers read between two turns of the event loop. */
const ANSWERS_PER_TURN = 256;

export interface PassOptions {
  readonly dimensions: number;
  readonly k: number;
  readonly memory: StreamMemory;
  readonly threads: Threads;
  readonly signal: AbortSignal | undefined;
  /** Of all queries of the source; undefined if none excludes anything. */
  readonly excluded: Exclusions | undefined;
  /** Least number of bytes for queries; for tests. */
  readonly bytes?: number | undefined;
}

export interface PassAnswer {
  /** Per query of the pass, best first. */
  readonly scores: Float32Array[];
  readonly rows: number[][];
  /** Identifiers of the rows in the answer; null when candidates have none. */
  readonly identifiers: ReadonlyMap<number, Id> | null;
}

/**
 * One pass over all candidates, for as many queries as there is room for: queries [first, first + count) of a source. What it
 * holds at a time are the queries, the best candidates of each so far, and one chunk of candidates.
 */
export class StreamPass {
  readonly #options: PassOptions;
  readonly #stride: number;
  readonly #shard: MiniShard;
  readonly #queries: number;
  readonly #states: number;
  readonly #excluded: PassExclusions | null;
  #count: number;
  #keys = 0;
  #capacity = 0;
  #scratch = 0;
  /** Bytes of a worker's scratch, those of its state and keys first. */
  #scratchBytes = 0;
  #keyBytes = 0;
  /** Candidates in the chunk, and those seen before. */
  #held = 0;
  #seen = 0;
  /** Identifiers of the candidates in the chunk, and of those that are among the best of some query. */
  #pending: Id[] = [];
  #kept: Map<number, Id> | null = null;
  #pruneAt = 4096;

  constructor(source: QuerySource, first: number, options: PassOptions) {
    const { dimensions, memory, k, excluded } = options;
    this.#options = options;
    this.#stride = paddedDimensions(dimensions);
    this.#count = this.#fitting(source.count - first, Math.min(k, 1024));
    memory.reset();
    this.#shard = placeMiniShard(memory, this.#stride);
    this.#queries = memory.allocate(this.#count * this.#stride * 4);
    this.#states = memory.allocate(this.#count * STREAM_WORDS * 4);
    const { f32, u32 } = memory.views;
    u32.fill(0, this.#states >>> 2, (this.#states >>> 2) + this.#count * STREAM_WORDS);
    this.#excluded =
      excluded === undefined ? null : new PassExclusions(excluded, first, this.#count, this.#shard, memory);
    const shape = { dimensions, stride: this.#stride, normalise: false };
    for (let i = 0; i < this.#count; i++) {
      const row = source.count === 1 ? undefined : first + i;
      writeQuery(source.row(first + i), row, shape, f32, (this.#queries >>> 2) + i * this.#stride);
    }
  }

  /**
   * Takes candidates in, and scores those that fill the chunk.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_VECTOR, SCANNERY_INVALID_ID with the row
   */
  async add(batch: CheckedBatch): Promise<void> {
    const { count, firstRow, identifiers } = batch;
    if (firstRow + count > MAX_ROWS) {
      const message = `a layer takes at most ${MAX_ROWS} candidates`;
      throw new ScanneryError('SCANNERY_NOT_SUPPORTED', message, { value: firstRow + count });
    }
    if (identifiers !== undefined) this.#kept ??= new Map();
    for (let first = 0; first < count; ) {
      const slice = Math.min(count - first, this.#shard.capacity - this.#held);
      this.#copy(batch, first, slice);
      this.#held += slice;
      first += slice;
      if (this.#held === this.#shard.capacity) await this.#flush(false);
    }
  }

  /** Scores what is left, and gives the answers. */
  async finish(): Promise<PassAnswer> {
    await this.#flush(true);
    const { u32 } = this.#options.memory.views;
    const scores: Float32Array[] = [];
    const rows: number[][] = [];
    for (let query = 0; query < this.#count; query++) {
      if (query % ANSWERS_PER_TURN === ANSWERS_PER_TURN - 1) await nextTurn();
      const held = u32[this.#stateOf(query) + STREAM_HELD]!;
      const keys = this.#keysOf(query);
      scores.push(Float32Array.from({ length: held }, (_, i) => scoreOfHigh(u32[keys + 2 * i + 1]!)));
      rows.push(Array.from({ length: held }, (_, i) => idOfLow(u32[keys + 2 * i]!)));
    }
    this.#prune();
    return { scores, rows, identifiers: this.#kept };
  }

  /** How many of these queries there is room for with so many keys each; at least one. */
  #fitting(queries: number, keys: number): number {
    const each = this.#stride * 4 + STREAM_WORDS * 4 + keys * 8;
    return Math.min(queries, Math.max(1, Math.floor((this.#options.bytes ?? PASS_BYTES) / each)));
  }

  #copy(batch: CheckedBatch, first: number, count: number): void {
    const { kernels, views } = this.#options.memory;
    const row = batch.firstRow + first;
    const vectors = this.#shard.vectors + this.#held * this.#stride * 4;
    copyCandidates(batch, first, count, views.f32, vectors >>> 2, this.#stride);
    const bad = kernels.firstInvalidRow(vectors, count, this.#stride, MAX_MAGNITUDE);
    if (bad >= 0) throw badNumber(candidateAt(batch, first + bad), row + bad);
    const rows = (this.#shard.rows >>> 2) + this.#held;
    for (let i = 0; i < count; i++) views.u32[rows + i] = row + i;
    const { identifiers } = batch;
    for (let i = 0; i < count; i++) {
      const identifier = identifiers === undefined ? row + i : checkIdentifier(identifiers[first + i], row + i);
      if (identifiers !== undefined) this.#pending.push(identifier);
      this.#excluded?.see(identifier, this.#held + i);
    }
  }

  async #flush(sort: boolean): Promise<void> {
    const { k, memory, threads, signal } = this.#options;
    const limit = Math.min(k, this.#seen + this.#held);
    this.#reserve(limit);
    const count = this.#count;
    const queriesPerChunk = Math.min(MAX_QUERIES_PER_CHUNK, Math.max(1, Math.ceil(count / (4 * threads.count))));
    await threads.runPhase(
      {
        ...{ kind: 'stream', kernels: memory.source, chunks: Math.ceil(count / queriesPerChunk), queriesPerChunk },
        ...{ memory: memory.memory, shard: this.#shard.header, count: this.#held, stride: this.#stride },
        ...{ numQueries: count, queries: this.#queries, states: this.#states, keys: this.#keys },
        ...{ capacity: this.#capacity, k, limit, sort, scratch: this.#scratch, scratchBytes: this.#scratchBytes },
        excluded: this.#excluded?.task(this.#keyBytes) ?? null,
      },
      { signal },
    );
    throwIfAborted(signal);
    this.#keepIdentifiers();
    this.#excluded?.clear();
    this.#seen += this.#held;
    this.#held = 0;
    this.#pending = [];
  }

  /** Makes room for `limit` keys per query. The last queries are left to another pass if that gets too much. */
  #reserve(limit: number): void {
    const { memory, threads, k } = this.#options;
    if (limit <= this.#capacity) return;
    const capacity = Math.min(k, Math.max(limit, 2 * this.#capacity));
    this.#count = this.#fitting(this.#count, capacity);
    const keys = memory.allocate(this.#count * capacity * 8);
    const { u32 } = memory.views;
    for (let query = 0; query < this.#count; query++) {
      const from = this.#keysOf(query);
      const held = u32[this.#stateOf(query) + STREAM_HELD]!;
      u32.copyWithin((keys >>> 2) + query * capacity * 2, from, from + 2 * held);
    }
    this.#keys = keys;
    this.#capacity = capacity;
    this.#keyBytes = align(align(STATE_BYTES) + (2 * capacity + BUFFER_SLACK) * 8);
    this.#scratchBytes = this.#keyBytes + align(MAX_QUERIES_PER_CHUNK * (this.#excluded?.passingBytes ?? 0));
    this.#scratch = memory.allocate(this.#scratchBytes * threads.count);
  }

  /** Keeps the identifiers of those candidates of the chunk that are among the best of some query. */
  #keepIdentifiers(): void {
    const kept = this.#kept;
    if (kept === null || this.#held === 0) return;
    const { u32 } = this.#options.memory.views;
    const first = this.#seen;
    const chosen = new Uint8Array(this.#held);
    for (let query = 0; query < this.#count; query++) {
      if (u32[this.#stateOf(query) + STREAM_FRESH] === 0) continue;
      this.#eachRow(query, (row) => {
        if (row >= first) chosen[row - first] = 1;
      });
    }
    chosen.forEach((yes, i) => {
      if (yes === 1) kept.set(first + i, this.#pending[i]!);
    });
    if (kept.size < this.#pruneAt) return;
    this.#prune();
    this.#pruneAt = Math.max(4096, 2 * this.#kept!.size);
  }

  /** Drops identifiers of candidates that are among the best of no query any more. */
  #prune(): void {
    const kept = this.#kept;
    if (kept === null) return;
    const alive = new Map<number, Id>();
    for (let query = 0; query < this.#count; query++) {
      this.#eachRow(query, (row) => {
        if (!alive.has(row)) alive.set(row, kept.get(row)!);
      });
    }
    this.#kept = alive;
  }

  #eachRow(query: number, visit: (row: number) => void): void {
    const { u32 } = this.#options.memory.views;
    const keys = this.#keysOf(query);
    const end = keys + 2 * u32[this.#stateOf(query) + STREAM_HELD]!;
    for (let at = keys; at < end; at += 2) visit(idOfLow(u32[at]!));
  }

  /** First words of a query's state and of its keys. */
  #stateOf(query: number): number {
    return (this.#states >>> 2) + query * STREAM_WORDS;
  }

  #keysOf(query: number): number {
    return (this.#keys >>> 2) + query * this.#capacity * 2;
  }
}
