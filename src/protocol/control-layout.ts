// Layout of the control memory: the words by which threads hand work to each other, the work queue, the request slots and
// the model. Word numbers index an Int32Array over the whole memory, whose first RESERVED_BYTES are never data.
// Words that different threads write sit on cache lines of their own.

/** Work queue: units [head, tail) wait; positions wrap at 2^32 and are masked into the ring. */
export const QUEUE_HEAD = 16;
export const QUEUE_TAIL = 32;
/** Workers that wait, or are about to, for QUEUE_TAIL to move. */
export const SLEEPERS = 48;
/** Counts finished requests; the caller's thread waits on it. */
export const DONE_SEQUENCE = 64;
/** Workers that have entered the serve task, or far below zero when one of them failed to; all start together. */
export const STARTED = 96;
export const START_FAILED = -(2 ** 30);
/** Per worker: thread id while serving, else 0. */
export const WORKER_THREADS = 112; // .. 112 + MAX_THREADS
/** Per worker: 1 + the slot it works on, else 0. */
export const WORKER_SLOTS = 176; // .. 176 + MAX_THREADS; ends at byte 960, below RESERVED_BYTES
export const MAX_THREADS = 64;
/** Pointer to what encoding needs (ENCODER_*), written by the caller's thread before the first vector is added. */
export const ENCODER = 240;

/** What encoding needs beside the model: the centroids as assignment takes them, and how vectors were encoded in the build. */
export const ENCODER_CENTROIDS = 0; // pointer: f32 [numLeaves x stride], not centred
export const ENCODER_PANELS = 4; // pointers to what packCentroids makes of them
export const ENCODER_OFFSETS = 8;
export const ENCODER_LAMBDA = 12; // f32: SOAR's lambda; only with two lanes per vector
export const ENCODER_WEIGHT = 16; // f32: eta - 1 of the score-aware loss
export const ENCODER_BYTES = 64;

/** A request slot's header, in words. */
export const SLOT_WORDS = 32;
export const SLOT_STATE = 0; // SLOT_*
export const SLOT_CANCELLED = 1; // 1: nobody wants the answer any more
export const SLOT_REMAINING = 2; // shards not yet scanned
export const SLOT_ERROR = 3; // 0, or FAULT_*
export const SLOT_MODE = 4; // MODE_*
export const SLOT_K = 5;
export const SLOT_LIMIT = 6; // candidates kept per shard, and by the merge
export const SLOT_LEAVES_TO_SEARCH = 7;
export const SLOT_FLOOR = 8; // ordered bits of a score that `limit` candidates are known to reach, 0 if none
export const SLOT_RESULT_COUNT = 9;
export const SLOT_MICROS = 10; // time spent in kernels, in tenths of a microsecond, over all threads
export const SLOT_CODES = 11; // codes scanned
export const SLOT_TABLES = 12; // pointer: query tables
export const SLOT_LEAVES = 13; // pointer: chosen leaves
export const SLOT_LISTS = 14; // pointer: per shard, a header of LIST_ words, then keys by local, then keys by row
export const SLOT_LIST_BYTES = 15; // bytes from one shard's list to the next
export const SLOT_MERGED = 16; // pointer: keys of the merge, shards x limit; the answer starts here
export const SLOT_PREPARE_MICROS = 17; // of SLOT_MICROS, those that preparing took
export const SLOT_DUPLICATES = 19; // pointer: table of dropDuplicates, behind the merged keys; only with spilled vectors
export const SLOT_ALONE = 20; // 1: scanned unit by unit and with no other: a thread has died with it, or its units are to be told apart
export const SLOT_EPOCH = 21; // deletions up to this epoch are seen
export const SLOT_ROWS = 22; // rows below this one are seen
export const SLOT_FILTER = 23; // pointer: the filter of the request (FILTER_*), 0 if it has none
export const SLOT_FIRST_UNIT = 18; // unit that comes first, the others in turn: the one with the best leaf

export const SLOT_FREE = 0;
export const SLOT_QUEUED = 1;
export const SLOT_PREPARING = 2;
export const SLOT_PREPARED = 3;
export const SLOT_DONE = 4;

export const FAULT_OUT_OF_MEMORY = 1;
export const FAULT_INTERNAL = 2;

/**
 * A filter: steps that are worked off with a stack of bitmaps, then rows by number. Filters of the same number have the same steps,
 * and vectors never change their attributes, so what a worker has worked out for the first vectors stays true.
 */
export const FILTER_NUMBER = 0;
export const FILTER_STEPS = 4; // how many; they begin at FILTER_HEADER_BYTES
export const FILTER_LISTS = 8; // FILTER_ALLOWS | FILTER_EXCLUDES
export const FILTER_ALLOWED = 12; // pointer: u32 rows, ascending; no others pass
export const FILTER_NUM_ALLOWED = 16;
export const FILTER_EXCLUDED = 20; // pointer: u32 rows, ascending, that do not pass
export const FILTER_NUM_EXCLUDED = 24;
export const FILTER_HEADER_BYTES = 32;
export const FILTER_ALLOWS = 1;
export const FILTER_EXCLUDES = 2;

/** A step of a filter. The first four push what they find, the others work on what was pushed last. */
export const STEP_OPERATION = 0; // OPERATION_*
export const STEP_COLUMN = 4;
export const STEP_CODES = 8; // OPERATION_CODE: the code; OPERATION_CODES: pointer to a bit per code
export const STEP_NUM_CODES = 12; // codes that there is a bit for
export const STEP_LEAST = 16; // f64, OPERATION_RANGE: numbers from here ...
export const STEP_MOST = 24; // ... to here, both included
export const STEP_BYTES = 32;
export const OPERATION_EVERY = 0;
export const OPERATION_CODE = 1;
export const OPERATION_CODES = 2;
export const OPERATION_RANGE = 3;
export const OPERATION_AND = 4;
export const OPERATION_OR = 5;
export const OPERATION_NOT = 6;

/** How a request is answered. */
export const MODE_EXACT = 0; // every stored vector is scored
export const MODE_LEAVES = 1; // every stored vector of the chosen leaves is scored
export const MODE_HASHED = 2; // codes are scanned, the best candidates rescored from the stored vectors
export const MODE_CODES = 3; // codes are scanned, their approximate scores are the answer
export const MODE_ENCODE = 4; // no search: SLOT_K vectors are brought into the form in which they are stored (see encoder.ts)

/** What a shard leaves in a slot, in words of its list. Times are in tenths of a microsecond. */
export const LIST_COUNT = 0; // candidates kept
export const LIST_CAPACITY = 1; // room for keys by local, behind which the keys by row are
export const LIST_CODES = 2; // codes scanned
export const LIST_SCAN_MICROS = 3;
export const LIST_RESCORED = 4; // candidates rescored from the memory, in the list of its first unit
export const LIST_RESCORE_MICROS = 5;
export const LIST_HEADER_BYTES = 32;

/** Where the parts of the control memory are; fixed when the index starts serving. */
export interface ControlLayout {
  /** Pointer to the model header, or 0 for an index without tree and hashing. */
  readonly model: number;
  /** Pointer: Int32 [queueCapacity], each slot x shards + shard. */
  readonly queue: number;
  /** A power of two, at least twice slots x shards. */
  readonly queueCapacity: number;
  /** Pointer: slots x SLOT_WORDS words. */
  readonly slots: number;
  readonly numSlots: number;
  /** Pointer: one bit per slot, set when its request is finished. */
  readonly done: number;
  /** Pointer: scratch of each worker, for preparing a query. */
  readonly scratch: number;
  readonly scratchBytes: number;
}
