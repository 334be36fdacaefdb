import type { Phase } from './messages.ts';

/** Candidates are scored in tiles of at most this many bytes, by all queries of a chunk in turn. */
export const STREAM_TILE_BYTES = 1 << 17;

/** What is known of one query between phases: four u32 words. */
export const STREAM_HELD = 0; // keys held
export const STREAM_FLOOR = 1; // high word of the least key held once `k` are, else 0
export const STREAM_FRESH = 2; // keys that the last phase put forward
export const STREAM_WORDS = 4;

/**
 * Scores candidates that are held for the moment, and keeps the best of all so far for each query. Chunk i is queries
 * [i x queriesPerChunk, ...). All of it is in one memory; pointers are byte offsets.
 */
export interface StreamTask extends Phase {
  readonly kind: 'stream';
  readonly memory: WebAssembly.Memory;
  /** Pointer to the header of a shard of one chunk, whose row numbers go up and are above all rows seen before. */
  readonly shard: number;
  /** Candidates in it. */
  readonly count: number;
  readonly stride: number;
  readonly numQueries: number;
  readonly queriesPerChunk: number;
  /** Pointer: f32 [numQueries x stride]. */
  readonly queries: number;
  /** Pointer: u32 [numQueries x STREAM_WORDS]. */
  readonly states: number;
  /** Pointer: u64 keys (score, row) [numQueries x capacity], in no order. */
  readonly keys: number;
  readonly capacity: number;
  /** Keys that each query keeps in the end. */
  readonly k: number;
  /** Keys that it keeps now: k, or the rows so far if these are fewer; at most `capacity`. */
  readonly limit: number;
  /** Sort each query's keys when done, best first. */
  readonly sort: boolean;
  /** Pointer: one piece of scratch per worker: STATE_BYTES, aligned, then u64 [2 x capacity + BUFFER_SLACK]. */
  readonly scratch: number;
  readonly scratchBytes: number;
  /** What queries want none of; null if they want all. */
  readonly excluded: StreamExclusions | null;
}

/** Pointers to lists of excluded candidates. A group is the candidates of one identifier that some query excludes. */
export interface StreamExclusions {
  /** u32 [numQueries + 1]: query q excludes `groups` [starts[q], starts[q + 1]). */
  readonly starts: number;
  readonly groups: number;
  /** u32 per group: its last candidate in the shard, as local + 1; 0 if it has none. */
  readonly heads: number;
  /** u32 per candidate of the shard: the one before it in its group, as local + 1; 0 if there is none. */
  readonly previous: number;
  /** Where each worker's bits per candidate and query of a chunk begin in its scratch, and their bytes per query. */
  readonly passing: number;
  readonly passingBytes: number;
}
