import { ScanneryError, show } from '../protocol/errors.ts';
import type { AttributeValue } from '../protocol/filter.ts';

/** What an attribute holds, by what it was first given. */
export type AttributeKind = 'token' | 'number' | 'boolean';

/** Codes of booleans. */
const FALSE = 1;
const TRUE = 2;

/**
 * The values of an attribute, by the codes that stand for them in columns: 0 is none. Equal lists of tokens, in any order, are one
 * value, so a vector has one code however many tokens it has.
 */
export class CodedValues {
  readonly #codes = new Map<string, number>();
  readonly #values: (string | readonly string[])[] = [];
  readonly #withToken = new Map<string, number[]>();
  readonly #isBoolean: boolean;

  constructor(isBoolean: boolean) {
    this.#isBoolean = isBoolean;
  }

  /** Codes in use are below this. */
  get end(): number {
    return this.#isBoolean ? TRUE + 1 : this.#values.length + 1;
  }

  /** The code of a value, a new one if need be. */
  codeOf(value: string | readonly string[] | boolean): number {
    if (typeof value === 'boolean') return value ? TRUE : FALSE;
    const key = JSON.stringify(value);
    let code = this.#codes.get(key);
    if (code === undefined) {
      this.#values.push(value);
      code = this.#values.length;
      this.#codes.set(key, code);
      for (const token of typeof value === 'string' ? [value] : value) {
        const codes = this.#withToken.get(token);
        if (codes === undefined) this.#withToken.set(token, [code]);
        else codes.push(code);
      }
    }
    return code;
  }

  valueOf(code: number): string | readonly string[] | boolean {
    return this.#isBoolean ? code === TRUE : this.#values[code - 1]!;
  }

  /** Codes of the values that a token, or a boolean, is or is one of. */
  codesWith(token: string | number | boolean): readonly number[] {
    if (this.#isBoolean) return typeof token === 'boolean' ? [token ? TRUE : FALSE] : [];
    return this.#withToken.get(token as string) ?? [];
  }
}

export function kindOf(value: AttributeValue): AttributeKind {
  return typeof value === 'number' ? 'number' : typeof value === 'boolean' ? 'boolean' : 'token';
}

/** A value as it is kept; null for none. */
export function readValue(value: unknown, row: number, name: string): AttributeValue | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
  } else if (typeof value === 'string') {
    if (value.isWellFormed()) return value;
  } else if (Array.isArray(value) && value.every((token) => typeof token === 'string' && token.isWellFormed())) {
    const tokens = [...new Set(value as string[])].sort();
    return tokens.length === 0 ? null : tokens;
  }
  const what = Array.isArray(value) ? 'an array with what is no string' : show(value);
  throw badAttribute(
    row,
    name,
    value,
    `has ${what}, which is neither text, a list of it, a finite number nor a boolean`,
  );
}

/** @throws {ScanneryError} SCANNERY_INVALID_ATTRIBUTE unless there is an entry for each vector, from row `first` on */
export function checkNumberOfAttributes(attributes: ArrayLike<unknown>, vectors: number, first: number): void {
  if (attributes.length === vectors) return;
  const details = { row: first + Math.min(attributes.length, vectors), value: attributes.length };
  const message = `there are ${attributes.length} objects of attributes for ${vectors} vectors`;
  throw new ScanneryError('SCANNERY_INVALID_ATTRIBUTE', message, details);
}

export function badAttribute(row: number, name: string, value: unknown, problem: string): ScanneryError {
  const message = `row ${row}: attribute ${show(name)} ${problem}`;
  return new ScanneryError('SCANNERY_INVALID_ATTRIBUTE', message, { row, value, option: name });
}
