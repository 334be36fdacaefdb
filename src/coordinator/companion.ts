import type { ReadOptions } from '../protocol/live-options.ts';
import type { Index } from './vector-index.ts';

// A companion is one more file in the folder of a saved index. It comes and goes with the index's own files: either a reader
// finds an index and the companion that was saved with it, or it finds neither. What is in it is for its owner to say.

/** Which file lies beside the index's own. */
export interface CompanionName {
  /** Name of the file. */
  readonly name: string;
  /** What its header says it is; in messages, what the directory should hold. */
  readonly kind: string;
}

/** What is saved beside an index. Nothing of it may change until the save has ended. */
export interface Companion extends CompanionName {
  /** Data for the header; equal files need equal keys in equal order. */
  readonly meta: Readonly<Record<string, unknown>>;
  readonly parts: readonly Uint8Array[];
}

/** What was saved together. */
export interface OpenedWith {
  readonly index: Index;
  readonly meta: Readonly<Record<string, unknown>>;
  /** Each part in a SharedArrayBuffer of its own. */
  readonly parts: Uint8Array[];
}

/** `Index.save`, and a companion in the same generation of the directory. */
export type SaveIndexWith = (index: Index, directory: string, companion: Companion) => Promise<void>;

/**
 * `Index.open`, and the companion that was saved with that index.
 *
 * @throws {ScanneryError} as `Index.open` does; SCANNERY_NOT_FOUND also when the index was saved without such a companion
 */
export type OpenIndexWith = (
  directory: string,
  options: ReadOptions,
  name: string,
  kind: string,
) => Promise<OpenedWith>;
