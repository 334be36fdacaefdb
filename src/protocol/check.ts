import { ScanneryError, show } from './errors.ts';

/** Checks one value and returns it as it will be used; throws an error that names the option otherwise. */
export type Check<T> = (value: unknown, option: string) => T;

/** A table of options: each one's default (undefined: none) and check. */
export type OptionTable<T> = { readonly [K in keyof T]-?: { readonly default: T[K]; readonly check: Check<T[K]> } };

export function invalid(option: string, value: unknown, allowed: string): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_OPTION', `${option} must be ${allowed}, received ${show(value)}`, {
    option,
    value,
  });
}

export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): Check<number> {
  const allowed =
    most === Number.MAX_SAFE_INTEGER ? `an integer of at least ${least}` : `an integer from ${least} to ${most}`;
  return (value, option) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw invalid(option, value, allowed);
  };
}

/** A number in (least, most]. */
export function numberAbove(least: number, most: number): Check<number> {
  return (value, option) => {
    if (typeof value === 'number' && value > least && value <= most) return value;
    throw invalid(option, value, `a number above ${least} and at most ${most}`);
  };
}

export function boolean(value: unknown, option: string): boolean {
  if (typeof value === 'boolean') return value;
  throw invalid(option, value, 'true or false');
}

export function oneOf<T extends string>(...names: readonly T[]): Check<T> {
  return (value, option) => {
    const found = names.find((name) => name === value);
    if (found !== undefined) return found;
    throw invalid(option, value, `one of ${names.map((name) => `'${name}'`).join(', ')}`);
  };
}

/** 0, or a number above it and up to `maximum`. */
export function fromZero(maximum: number): Check<number> {
  return (value, option) => (value === 0 ? 0 : numberAbove(0, maximum)(value, option));
}

export function callback<T>(value: unknown, option: string): T {
  if (typeof value === 'function') return value as T;
  throw invalid(option, value, 'a function');
}

export function abortSignal(value: unknown, option: string): AbortSignal {
  if (value instanceof AbortSignal) return value;
  throw invalid(option, value, 'an AbortSignal');
}

export function text(value: unknown, option: string): string {
  if (typeof value === 'string' && value.length > 0) return value;
  throw invalid(option, value, 'a non-empty string');
}

export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, option) => (value === undefined ? undefined : check(value, option));
}

/** `false`, or an object checked against a table. */
export function groupOrFalse<T extends object>(table: OptionTable<T>): Check<T | false> {
  return (value, option) => (value === false ? false : resolveOptions(table, value, option));
}

/**
 * Checks an options object against its table and returns a frozen copy with every default filled in. The caller's object is
 * read once and never kept. Unknown names are errors, since a misspelt option would otherwise do nothing in silence.
 */
export function resolveOptions<T extends object>(table: OptionTable<T>, given: unknown, prefix = ''): Readonly<T> {
  if (given === undefined) given = {};
  const where = prefix === '' ? 'options' : prefix;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalid(where, given, 'an object');
  }
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(table, name)) continue;
    const full = prefix === '' ? name : `${prefix}.${name}`;
    const known = Object.keys(table).join(', ');
    throw new ScanneryError('SCANNERY_INVALID_OPTION', `unknown option ${full}; known are ${known}`, {
      option: full,
      value: (given as Record<string, unknown>)[name],
    });
  }
  const resolved: Partial<T> = {};
  for (const name of Object.keys(table) as (keyof T & string)[]) {
    const value = (given as Partial<T>)[name];
    const rule = table[name];
    const full = prefix === '' ? name : `${prefix}.${name}`;
    resolved[name] = value === undefined ? rule.default : rule.check(value, full);
  }
  return Object.freeze(resolved as T);
}
