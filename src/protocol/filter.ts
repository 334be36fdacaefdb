import { type Check, invalid } from './check.ts';

/** A value by which vectors are filtered: one token or several, a number, or true or false. */
export type AttributeValue = string | readonly string[] | number | boolean;

/** What is known of a vector besides its id, by name. Of an attribute that is left out, undefined or null, it has none. */
export type Attributes = Readonly<Record<string, AttributeValue | null | undefined>>;

export interface Range {
  gt?: number | undefined;
  gte?: number | undefined;
  lt?: number | undefined;
  lte?: number | undefined;
}

/** Values of an attribute, any of which will do. */
export type FilterValues = readonly (string | number | boolean)[];

/** Which vectors a search may find: those that all parts of it let through. */
export interface Filter {
  /** Vectors that have one of the values, of every attribute named. */
  allow?: Readonly<Record<string, FilterValues>> | undefined;
  /** Vectors that have none of the values, of any attribute named. */
  deny?: Readonly<Record<string, FilterValues>> | undefined;
  /** Vectors whose number is within the bounds, of every attribute named. */
  range?: Readonly<Record<string, Range>> | undefined;
  /** Vectors that every one of these lets through. */
  and?: readonly Filter[] | undefined;
  /** Vectors that one of these lets through. */
  or?: readonly Filter[] | undefined;
  /** Vectors that this does not let through. */
  not?: Filter | undefined;
}

/** At most so many results that share a value. */
export interface Crowding {
  /** An attribute of tokens, or of true and false; lists of tokens count as one value. */
  attribute: string;
  /** 1 or more. Vectors without the attribute are not counted. */
  max: number;
}

/** Filters within filters. */
const MAX_DEPTH = 32;
/** Parts of a filter, over all its depths. */
const MAX_PARTS = 10_000;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Checks a filter; what it returns is a copy. */
export const filter: Check<Filter> = (value, option) => checkFilter(value, option, 0, { parts: 0 });

function checkFilter(value: unknown, option: string, depth: number, seen: { parts: number }): Filter {
  if (!isRecord(value)) throw invalid(option, value, 'an object with allow, deny, range, and, or, not');
  if (depth > MAX_DEPTH) throw invalid(option, value, `at most ${MAX_DEPTH} filters deep`);
  const count = (): void => {
    if (++seen.parts > MAX_PARTS) throw invalid(option, value, `of at most ${MAX_PARTS} parts`);
  };
  const checked: Filter = {};
  for (const [name, part] of Object.entries(value)) {
    const where = `${option}.${name}`;
    if (part === undefined) continue;
    switch (name) {
      case 'allow':
      case 'deny':
        checked[name] = checkEach(part, where, count, checkValues);
        break;
      case 'range':
        checked.range = checkEach(part, where, count, checkRange);
        break;
      case 'and':
      case 'or':
        if (!Array.isArray(part)) throw invalid(where, part, 'an array of filters');
        checked[name] = part.map((one, i) => {
          count();
          return checkFilter(one, `${where}[${i}]`, depth + 1, seen);
        });
        break;
      case 'not':
        count();
        checked.not = checkFilter(part, where, depth + 1, seen);
        break;
      default:
        throw invalid(option, value, `without '${name}'; a filter has allow, deny, range, and, or, not`);
    }
  }
  return checked;
}

function checkEach<T>(
  value: unknown,
  option: string,
  count: () => void,
  check: (value: unknown, option: string) => T,
): Record<string, T> {
  if (!isRecord(value)) throw invalid(option, value, 'an object with an entry per attribute');
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      count();
      return [name, check(one, `${option}.${name}`)];
    }),
  );
}

function checkValues(value: unknown, option: string): FilterValues {
  if (!Array.isArray(value)) throw invalid(option, value, 'an array of strings, numbers or booleans');
  for (const [i, one] of value.entries()) {
    const fits = typeof one === 'string' || typeof one === 'boolean' || Number.isFinite(one);
    if (!fits) throw invalid(`${option}[${i}]`, one, 'a string, a finite number or a boolean');
  }
  return [...value];
}

function checkRange(value: unknown, option: string): Range {
  if (!isRecord(value)) throw invalid(option, value, 'an object with gt, gte, lt, lte');
  const checked: Range = {};
  for (const [name, bound] of Object.entries(value)) {
    if (name !== 'gt' && name !== 'gte' && name !== 'lt' && name !== 'lte') {
      throw invalid(option, value, `without '${name}'; a range has gt, gte, lt, lte`);
    }
    if (bound === undefined) continue;
    if (typeof bound !== 'number' || Number.isNaN(bound)) throw invalid(`${option}.${name}`, bound, 'a number');
    checked[name] = bound;
  }
  return checked;
}
