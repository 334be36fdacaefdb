import { setImmediate as nextTurn } from 'node:timers/promises';
import { FRAME_PAYLOAD_BYTES } from '../protocol/log-format.ts';
import type { CheckedAttributes } from './attribute-schema.ts';
import type { QuerySource } from './call.ts';
import type { Id, IndexConfig } from './types.ts';

/** Vectors and their ids, checked. */
export interface CheckedRows {
  readonly ids: readonly Id[];
  readonly row: QuerySource['row'];
  /** One per vector, or undefined if none has any. */
  readonly attributes?: readonly CheckedAttributes[] | undefined;
}

/** What attributes of a row are taken to need in the log, to cut it into pieces. */
const ATTRIBUTES_BYTES = 64;

/** A write that was checked, so that all it can lack is room. */
export type Change =
  | ({ readonly kind: 'upsert' } & CheckedRows)
  | { readonly kind: 'delete'; readonly ids: readonly Id[] }
  | { readonly kind: 'defaults'; readonly defaults: IndexConfig['defaults'] };

/** A change as it is logged: in pieces, of which all but the last say that there is more. */
export type ChangePiece = { readonly number: number; readonly more: boolean } & (
  | {
      readonly kind: 'upsert';
      readonly ids: readonly Id[];
      readonly vectors: Uint8Array;
      readonly attributes?: readonly CheckedAttributes[];
    }
  | { readonly kind: 'delete'; readonly ids: readonly Id[] }
  | { readonly kind: 'defaults'; readonly defaults: IndexConfig['defaults'] }
  // The change of that number could not be made after it was logged.
  | { readonly kind: 'void'; readonly of: number }
);

/** A change in pieces for the log, cut between rows. */
export async function* piecesOf(change: Change, number: number, dimensions: number): AsyncGenerator<ChangePiece> {
  if (change.kind === 'defaults') {
    yield { number, more: false, kind: 'defaults', defaults: change.defaults };
    return;
  }
  const { ids } = change;
  const attributes = change.kind === 'upsert' ? change.attributes : undefined;
  const rowBytes = (change.kind === 'upsert' ? dimensions * 4 : 0) + (attributes === undefined ? 0 : ATTRIBUTES_BYTES);
  for (let from = 0, to = 0; to < ids.length || to === 0; from = to) {
    if (from > 0) await nextTurn();
    for (let bytes = 0; to < ids.length && bytes < FRAME_PAYLOAD_BYTES; to++) bytes += rowBytes + bytesOf(ids[to]!);
    const head = { number, more: to < ids.length, ids: ids.slice(from, to) };
    if (change.kind === 'delete') yield { ...head, kind: 'delete' };
    else {
      const vectors = new Float32Array((to - from) * dimensions);
      for (let i = from; i < to; i++) vectors.set(change.row(i), (i - from) * dimensions);
      const own = attributes && { attributes: attributes.slice(from, to) };
      yield { ...head, kind: 'upsert', vectors: new Uint8Array(vectors.buffer), ...own };
    }
    if (to >= ids.length) return;
  }
}

const bytesOf = (id: Id): number => (typeof id === 'string' ? 5 + 3 * id.length : 9);

/** The change that pieces make up. */
export function joinPieces(pieces: readonly ChangePiece[], dimensions: number): Change {
  const [first] = pieces as [ChangePiece];
  if (first.kind === 'defaults') return { kind: 'defaults', defaults: first.defaults };
  const ids = pieces.flatMap((piece) => (piece.kind === first.kind && 'ids' in piece ? piece.ids : []));
  if (first.kind === 'delete') return { kind: 'delete', ids };
  const rows: Float32Array[] = [];
  const attributes: CheckedAttributes[] = [];
  for (const piece of pieces) {
    if (piece.kind !== 'upsert') continue;
    for (const one of piece.attributes ?? []) attributes.push(one);
    // Copied, for a float must lie at a multiple of 4.
    const vectors = new Float32Array(Uint8Array.from(piece.vectors).buffer);
    for (let at = 0; at < vectors.length; at += dimensions) rows.push(vectors.subarray(at, at + dimensions));
  }
  return { kind: 'upsert', ids, row: (i) => rows[i]!, attributes: attributes.length === 0 ? undefined : attributes };
}
