import type { Attributes, AttributeValue, Crowding, Filter } from '../../src/index.ts';

// What the documentation says of attributes, filters and crowding, in plain words.

/** Attributes as an index keeps them: none that are empty, lists sorted and without repetitions. */
export function kept(given: Attributes | null): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {};
  for (const [name, value] of Object.entries(given ?? {})) {
    if (value === undefined || value === null) continue;
    if (!isList(value)) attributes[name] = value;
    else if (value.length > 0) attributes[name] = [...new Set(value)].sort();
  }
  return attributes;
}

/** Whether a filter lets a vector with these attributes through. */
export function matches(attributes: Attributes, filter: Filter): boolean {
  const has = (name: string, wanted: readonly unknown[]): boolean => {
    const value = attributes[name] ?? [];
    return (isList(value) ? value : [value]).some((one) => wanted.includes(one));
  };
  const { allow = {}, deny = {}, range = {}, and = [], or, not } = filter;
  return (
    Object.entries(allow).every(([name, values]) => has(name, values)) &&
    !Object.entries(deny).some(([name, values]) => has(name, values)) &&
    Object.entries(range).every(([name, { gt, gte, lt, lte }]) => {
      const value = attributes[name];
      if (typeof value !== 'number') return false;
      return !(value <= gt! || value < gte! || value >= lt! || value > lte!);
    }) &&
    and.every((one) => matches(attributes, one)) &&
    (or === undefined || or.some((one) => matches(attributes, one))) &&
    (not === undefined || !matches(attributes, not))
  );
}

/** The value that results share under crowding; undefined where they are not counted. */
export function crowdOf(attributes: Attributes, { attribute }: Crowding): string | undefined {
  const value = attributes[attribute];
  return value === undefined ? undefined : JSON.stringify(value);
}

function isList(value: AttributeValue): value is readonly string[] {
  return Array.isArray(value);
}
