import { describe, expect, it } from 'vitest';
import {
  boolean,
  groupOrFalse,
  integer,
  numberAbove,
  type OptionTable,
  oneOf,
  optional,
  resolveOptions,
  text,
} from '../../src/protocol/check.ts';
import { failureOf } from '../support/failures.ts';

interface Inner {
  depth?: number | undefined;
  name?: string | undefined;
}
interface Outer {
  size?: number | undefined;
  share?: number | undefined;
  on?: boolean | undefined;
  colour?: 'red' | 'blue' | undefined;
  inner?: Inner | false | undefined;
}
const INNER: OptionTable<Inner> = {
  depth: { default: 3, check: integer(1, 9) },
  name: { default: undefined, check: optional(text) },
};
const OUTER: OptionTable<Outer> = {
  size: { default: 1, check: integer(0) },
  share: { default: 0.5, check: numberAbove(0, 1) },
  on: { default: false, check: boolean },
  colour: { default: 'red', check: oneOf('red', 'blue') },
  inner: { default: undefined, check: groupOrFalse(INNER) },
};
const resolve = (given: unknown) => resolveOptions(OUTER, given);

describe('an options table', () => {
  it('fills defaults in, in nested groups too, and freezes what it gives', () => {
    const resolved = resolve({ size: 7, inner: {} });
    const inner = { depth: 3, name: undefined };
    expect(resolved).toEqual({ size: 7, share: 0.5, on: false, colour: 'red', inner });
    expect([resolved, resolved.inner].every(Object.isFrozen)).toBe(true);
    expect(resolve({ inner: false }).inner).toBe(false);
  });

  it("neither keeps nor changes the caller's objects", () => {
    const given = { size: 7, inner: { depth: 2 } };
    const resolved = resolve(given);
    given.inner.depth = 8;
    expect(resolved.inner).toEqual({ depth: 2, name: undefined });
    expect(given).toEqual({ size: 7, inner: { depth: 8 } });
    expect([given, given.inner].some(Object.isFrozen)).toBe(false);
  });

  it.each([
    [{ sizes: 1 }, 'sizes', 'unknown option sizes; known are size, share, on, colour, inner'],
    [{ inner: { dept: 1 } }, 'inner.dept', 'unknown option inner.dept; known are depth, name'],
    [{ toString: 1 }, 'toString', 'unknown option toString; known are size, share, on, colour, inner'],
  ])('names an unknown option and the known ones: %j', async (given, option, message) => {
    expect(await failureOf(() => resolve(given))).toMatchObject({
      ...{ code: 'SCANNERY_INVALID_OPTION', option, value: 1, message },
    });
  });

  it.each([
    [{ size: -1 }, 'size', 'size must be an integer of at least 0, received -1'],
    [{ size: '1' }, 'size', "size must be an integer of at least 0, received '1'"],
    [{ size: null }, 'size', 'size must be an integer of at least 0, received null'],
    [{ share: 0 }, 'share', 'share must be a number above 0 and at most 1, received 0'],
    [{ share: Number.NaN }, 'share', 'share must be a number above 0 and at most 1, received NaN'],
    [{ on: 1 }, 'on', 'on must be true or false, received 1'],
    [{ colour: 'green' }, 'colour', "colour must be one of 'red', 'blue', received 'green'"],
    [{ inner: true }, 'inner', 'inner must be an object, received true'],
    [{ inner: [] }, 'inner', 'inner must be an object, received an object (Array)'],
    [{ inner: { depth: 10 } }, 'inner.depth', 'inner.depth must be an integer from 1 to 9, received 10'],
    [{ inner: { name: '' } }, 'inner.name', "inner.name must be a non-empty string, received ''"],
    [5, 'options', 'options must be an object, received 5'],
    [null, 'options', 'options must be an object, received null'],
  ])('says what is allowed instead of %j', async (given, option, message) => {
    expect(await failureOf(() => resolve(given))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option, message });
  });
});
