import type { Id } from '../index.ts';
import { invalid } from '../protocol/check.ts';

/** An id as requests and answers have it: text, a safe integer, or the digits of a bigint, which JSON has no numbers for. */
export type WireId = string | number | { bigint: string };
/** How an id in a path is to be read. */
export type IdType = 'string' | 'integer' | 'bigint';

const INTEGER = /^(0|-?[1-9]\d*)$/;

const decodeId = (id: WireId): Id => (typeof id === 'object' ? BigInt(id.bigint) : id);

export function decodeIds(ids: readonly WireId[]): readonly Id[] {
  return ids.some((id) => typeof id === 'object') ? ids.map(decodeId) : (ids as readonly Id[]);
}

export { decodeId };

const encodeId = (id: Id): WireId => (typeof id === 'bigint' ? { bigint: String(id) } : id);

/** The ids of an answer in JSON. */
export function encodeIds(ids: readonly Id[]): readonly WireId[] {
  return ids.some((id) => typeof id === 'bigint') ? ids.map(encodeId) : (ids as readonly WireId[]);
}

export { encodeId };

/** The ids of an answer in MessagePack, where integers stay integers: msgpackr would make those beyond 32 bits floats. */
export function packableIds(ids: readonly Id[]): readonly (WireId | bigint)[] {
  return ids.map(packableId);
}

export function packableId(id: Id): WireId | bigint {
  return typeof id === 'number' && id !== (id | 0) ? BigInt(id) : encodeId(id);
}

/**
 * The ids that a text in a path can mean, in the order in which they are to be tried: of its type, if that is given; otherwise the
 * text itself, then the integer that it writes.
 */
export function idsOfText(text: string, type: IdType | undefined): Id[] {
  if (type === 'string') return [text];
  if (type === undefined) return isSafe(text) ? [text, Number(text)] : [text];
  if (type === 'integer' && isSafe(text)) return [Number(text)];
  if (type === 'bigint' && INTEGER.test(text) && text.length <= 20) return [BigInt(text)];
  throw invalid('id', text, type === 'integer' ? 'a safe integer' : 'an integer of 64 bits');
}

const isSafe = (text: string): boolean => INTEGER.test(text) && Number.isSafeInteger(Number(text));
