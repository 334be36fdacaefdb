/** An id as the server's answers and requests have it. */
export type WireId = string | number | { readonly bigint: string };
/** How the text of an id is meant; 'any': as an integer if it is one, and otherwise, or if there is none, as text. */
export type IdKind = 'any' | 'string' | 'integer' | 'bigint';

const INTEGER = /^(0|-?[1-9]\d*)$/;

/** The ids that a text can mean, in the order in which they are to be tried; none if it is not of its kind. */
export function idsOf(text: string, kind: IdKind): WireId[] {
  const isInteger = INTEGER.test(text);
  const isSafe = isInteger && Number.isSafeInteger(Number(text));
  if (kind === 'string') return [text];
  if (kind === 'integer') return isSafe ? [Number(text)] : [];
  if (kind === 'bigint') return isInteger ? [{ bigint: text }] : [];
  if (text === '') return [];
  return isSafe ? [Number(text), text] : [text];
}

export const textOf = (id: WireId): string => (typeof id === 'object' ? id.bigint : String(id));
export const kindOf = (id: WireId): IdKind =>
  typeof id === 'object' ? 'bigint' : typeof id === 'number' ? 'integer' : 'string';

/** The address on this page that searches for an id. */
export const linkTo = (id: WireId): string => `#id=${encodeURIComponent(JSON.stringify(id))}`;

/** The id of such an address, or undefined. */
export function idOfLink(hash: string): WireId | undefined {
  const encoded = /^#id=(.+)$/.exec(hash)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const id: unknown = JSON.parse(decodeURIComponent(encoded));
    if (typeof id === 'string' || Number.isSafeInteger(id)) return id as WireId;
    const { bigint } = (id ?? {}) as { bigint?: unknown };
    return typeof bigint === 'string' && INTEGER.test(bigint) ? { bigint } : undefined;
  } catch {
    return undefined;
  }
}
