import type { Attributes, AttributeValue, Id } from '../../index.ts';
import { UsageError } from '../errors.ts';

/** A number as text, or undefined if it is none, or not finite. */
export function numberOf(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : undefined;
}

/**
 * A vector as text: a JSON array, or numbers between spaces, commas or semicolons.
 *
 * @returns the vector, or what is wrong with it
 */
export function parseVector(text: string): number[] | string {
  const trimmed = text.trim();
  if (trimmed.startsWith('[')) {
    try {
      return checkVector(JSON.parse(trimmed));
    } catch (error) {
      return `this is no JSON: ${(error as Error).message}`;
    }
  }
  if (trimmed === '') return 'it is empty';
  const vector: number[] = [];
  for (const word of trimmed.split(/\s*[\s,;]\s*/)) {
    const value = numberOf(word);
    if (value === undefined) return `'${word.slice(0, 40)}' is no number`;
    vector.push(value);
  }
  return vector;
}

/** An array of numbers as JSON has it, or what is wrong with it. */
export function checkVector(value: unknown): number[] | string {
  if (!Array.isArray(value)) return 'it is no array of numbers';
  const bad = value.findIndex((one) => typeof one !== 'number' || !Number.isFinite(one));
  if (bad >= 0) return `position ${bad} has ${JSON.stringify(value[bad]).slice(0, 40)}, which is no finite number`;
  return value.length === 0 ? 'it is empty' : value;
}

/** An id as text: an integer if it is written as JavaScript writes a safe one, and a string otherwise. */
export function idOfText(text: string): Id {
  const value = Number(text);
  return Number.isSafeInteger(value) && String(value) === text ? value : text;
}

/** An id as JSON has it, or what is wrong with it. */
export function checkId(value: unknown): { id: Id } | string {
  if (typeof value === 'string' || Number.isSafeInteger(value)) return { id: value as Id };
  const shown = JSON.stringify(value)?.slice(0, 40);
  if (typeof value !== 'number') return `the id ${shown} is neither text nor an integer`;
  return `the id ${shown} is no integer up to 2^53; put it between quotes`;
}

/** Attributes as JSON has them, or what is wrong with them; the index checks the values. */
export function checkAttributes(value: unknown): { attributes: Attributes | undefined } | string {
  if (value === undefined || value === null) return { attributes: undefined };
  if (typeof value === 'object' && !Array.isArray(value)) return { attributes: value as Attributes };
  return 'the attributes are no object';
}

/** A column of a CSV file that holds an attribute, and of which kind it is; undefined: by each value. */
export interface AttributeColumn {
  readonly name: string;
  readonly kind: 'text' | 'number' | 'boolean' | undefined;
}

const KINDS = ['text', 'number', 'boolean'] as const;

/** `year,title:text` */
export function parseAttributeColumns(text: string): AttributeColumn[] {
  return text.split(',').map((part) => {
    const [, name, suffix] = /^(.*?)(?::([^:]*))?$/.exec(part.trim())!;
    const kind = KINDS.find((one) => one === suffix);
    if (name === '' || (suffix !== undefined && kind === undefined)) {
      throw new UsageError(
        `--attribute-columns has '${part}'; write names between commas, each maybe with :text, :number or :boolean`,
      );
    }
    return { name: name!, kind };
  });
}

/**
 * The value of a cell: none if it is empty; by itself a number, true, false, a JSON array of strings, or text.
 *
 * @returns the value, or what is wrong with it
 */
export function parseCell(text: string, kind: AttributeColumn['kind']): { value: AttributeValue | undefined } | string {
  if (text === '') return { value: undefined };
  if (kind === 'text') return { value: text };
  const value = numberOf(text);
  if (kind === 'number') return value === undefined ? `'${text.slice(0, 40)}' is no number` : { value };
  const isTruth = text === 'true' || text === 'false';
  if (kind === 'boolean') return isTruth ? { value: text === 'true' } : `'${text.slice(0, 40)}' is not true or false`;
  if (isTruth) return { value: text === 'true' };
  return { value: value ?? tokensOf(text) ?? text };
}

function tokensOf(text: string): string[] | undefined {
  if (!text.startsWith('["')) return undefined;
  try {
    const tokens: unknown = JSON.parse(text);
    return Array.isArray(tokens) && tokens.every((token) => typeof token === 'string') ? tokens : undefined;
  } catch {
    return undefined;
  }
}
