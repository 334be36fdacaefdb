/** A set of vectors to index, with held-out vectors to search for. */
export interface Dataset {
  /** Short name to print, such as 'glove' or 'clustered'. */
  name: string;
  /** Numbers per vector. */
  dimensions: number;
  /** Vectors to index, row-major [ids.length x dimensions], not normalised. */
  vectors: Float32Array;
  /** One id per row of `vectors`, without repeats. */
  ids: string[];
  /** Held-out vectors, row-major [queryIds.length x dimensions]; none of them is a row of `vectors`. */
  queries: Float32Array;
  /** One id per row of `queries`; none of them is in `ids`. */
  queryIds: string[];
  /** Plain sentences to print: the source, what was skipped, what the set is not. */
  notes: string[];
}

/** How far a phase of the work has come; `done` and `total` share one unit (bytes or rows). */
export interface Progress {
  /** What is being done, such as 'download' or 'parse'. */
  phase: string;
  /** Amount done so far. */
  done: number;
  /** Amount in all; 0 when it is not known. */
  total: number;
}

/** Told of progress, at most some tens of times a second. */
export type ProgressListener = (progress: Progress) => void;

/** The data cannot be had now (no network, no npm); the message says what is missing and how to get it. */
export class UnavailableError extends Error {
  override name = 'UnavailableError';
}
