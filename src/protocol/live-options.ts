import { boolean, callback, integer, type OptionTable, oneOf, optional, resolveOptions } from './check.ts';
import { type BuildProgress, maxInFlight, rebalanceAt, signal, threadPriority, threads } from './options.ts';

export interface WriteOptions {
  /** Ends the call if it has not begun. */
  signal?: AbortSignal | undefined;
}

export interface RebalanceOptions {
  /** Ends the call; the index stays as it is. */
  signal?: AbortSignal | undefined;
  /** Called now and then on the caller's thread. An error that it throws ends the call. */
  onProgress?: ((progress: BuildProgress) => void) | undefined;
}

/** When a write counts as done: once it is on the disk, within a second of that, or once the operating system has it. */
export type Durability = 'always' | 'interval' | 'none';

export interface OpenOptions extends ReadOptions {
  /**
   * Keeps every write in a log in the directory, which then belongs to this index until it is closed. 'always': a write resolves
   * once it is on the disk; 'interval': once the operating system has it, which puts it on the disk within a second; 'none': the
   * same, and the operating system decides when. A process that dies loses nothing in any of them; a machine that loses power,
   * nothing, about a second, or more. Default: writes change the index in memory only, until `save`.
   */
  durability?: Durability | undefined;
  /** Size of the log, in bytes, at which the index is saved anew. Default: 64 MiB or a quarter of the index, if that is more. */
  checkpointBytes?: number | undefined;
  /** Refuse writes, and let `refresh` take in what the writer of the directory has written since. Default false. */
  readOnly?: boolean | undefined;
  /** As in BuildOptions; of no effect with readOnly. Default 0.5. */
  rebalanceAt?: number | false | undefined;
}

export interface ReadOptions {
  /** Worker threads, 1 to 64. Default: os.availableParallelism(). */
  threads?: number | undefined;
  /** As in BuildOptions. Default 0. */
  threadPriority?: number | undefined;
  /** As in BuildOptions. Default 1,024. */
  maxInFlight?: number | undefined;
  /** Compare all data with its checksums. Default true. */
  verifyChecksums?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

const none = undefined;

export const READ: OptionTable<ReadOptions> = {
  threads,
  threadPriority,
  maxInFlight,
  verifyChecksums: { default: true, check: boolean },
  signal,
};

const OPEN: OptionTable<OpenOptions> = {
  ...READ,
  durability: { default: none, check: optional(oneOf('always', 'interval', 'none')) },
  checkpointBytes: { default: none, check: optional(integer(1)) },
  readOnly: { default: false, check: boolean },
  rebalanceAt,
};

const WRITE: OptionTable<WriteOptions> = { signal };
const REBALANCE: OptionTable<RebalanceOptions> = { signal, onProgress: { default: undefined, check: callback } };

export const resolveOpenOptions = (given: unknown): Readonly<OpenOptions> => resolveOptions(OPEN, given);
export const resolveReadOptions = (given: unknown): Readonly<ReadOptions> => resolveOptions(READ, given);
export const resolveRebalanceOptions = (given: unknown): Readonly<RebalanceOptions> => resolveOptions(REBALANCE, given);
export const resolveWriteOptions = (given: unknown): Readonly<WriteOptions> => resolveOptions(WRITE, given);
