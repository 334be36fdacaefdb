import { describe, expect, it } from 'vitest';
import { parseFilter } from '../../src/console/filter-text.ts';
import { bytes, microseconds, percent, short } from '../../src/console/format.ts';
import { idOfLink, idsOf, kindOf, linkTo, textOf, type WireId } from '../../src/console/id-text.ts';
import { NO_SETTINGS, numbersOf } from '../../src/console/settings.ts';
import { describeVector, parseVector } from '../../src/console/vector-text.ts';

describe('vectors', () => {
  it.each(['[1, -2.5, 3e-2]', '1 -2.5 3e-2', ' 1,-2.5,\n3e-2,', '1;-2.5\t+.03', '[1 -2.5 0.03]'])(
    'are read from %j',
    (text) => {
      expect(parseVector(text)).toEqual({ numbers: [1, -2.5, 0.03] });
    },
  );

  it.each([
    ['1 two 3', 'number 2 is no number: two'],
    ['[1, null]', 'number 2 is no number: null'],
    ['[[1, 2]]', 'number 1 is no number: [[1'],
    ['1 1e999', 'number 2 is no number: 1e999'],
    ['1 NaN', 'number 2 is no number: NaN'],
    ['- 1', 'number 1 is no number: -'],
    ['1 0.5.5', 'number 2 is no number: 0.5.5'],
    ['1 ffffffffffffffffffffffffff', 'number 2 is no number: ffffffffffffffffffff…'],
  ])('are not read from %j', (text, problem) => {
    expect(parseVector(text)).toEqual({ problem });
  });

  it('are told how many numbers they have and need', () => {
    expect(describeVector('1 2 3', 3)).toEqual({ message: '3 of 3 numbers', isGood: true });
    expect(describeVector('1 2', 3)).toEqual({ message: '2 of 3 numbers', isGood: false });
    expect(describeVector('', 3)).toEqual({ message: '0 of 3 numbers', isGood: false });
    expect(describeVector('1 x', 3).isGood).toBe(false);
    expect(describeVector('1 2', undefined)).toEqual({ message: '2 numbers', isGood: true });
  });
});

describe('ids', () => {
  it.each<[string, Parameters<typeof idsOf>[1], WireId[]]>([
    ['king', 'any', ['king']],
    ['17', 'any', [17, '17']],
    ['017', 'any', ['017']],
    ['9007199254740993', 'any', ['9007199254740993']],
    ['', 'any', []],
    ['17', 'string', ['17']],
    ['17', 'integer', [17]],
    ['king', 'integer', []],
    ['9007199254740993', 'integer', []],
    ['9007199254740993', 'bigint', [{ bigint: '9007199254740993' }]],
    ['1.5', 'bigint', []],
  ])('of the text %j, as %s, are %j', (text, kind, ids) => {
    expect(idsOf(text, kind)).toEqual(ids);
  });

  it.each<WireId>(['king', 'a b&c=d#é', '17', 17, -3, { bigint: '9223372036854775807' }])(
    'have links that lead back to them: %j',
    (id) => {
      expect(linkTo(id)).toMatch(/^#id=[^ #&]+$/);
      expect(idOfLink(linkTo(id))).toEqual(id);
      expect(idsOf(textOf(id), kindOf(id))).toEqual([id]);
    },
  );

  it.each(['', '#search', '#id=', '#id=%', '#id=%5B1%5D', '#id=1.5', '#id=null', '#id=%7B%22bigint%22%3A%22x%22%7D'])(
    'are not read from the address %j',
    (hash) => {
      expect(idOfLink(hash)).toBeUndefined();
    },
  );
});

describe('filters', () => {
  it('are checked as the index does', () => {
    expect(parseFilter(' \n')).toEqual({});
    expect(parseFilter('{"allow": {"genre": ["war"]}}')).toEqual({ filter: { allow: { genre: ['war'] } } });
    expect(parseFilter('{"alow": {}}').problem).toContain("'alow'");
    expect(parseFilter('{"range": {"year": {"gte": "x"}}}').problem).toContain('year');
    expect(parseFilter('{"allow": ').problem).toMatch(/JSON/);
  });
});

it('settings that are blank are left out', () => {
  expect(numbersOf(NO_SETTINGS)).toEqual({});
  expect(numbersOf({ k: '5', numLeavesToSearch: ' ', numReorderingCandidates: '0' })).toEqual({
    ...{ k: 5, numReorderingCandidates: 0 },
  });
});

it('numbers are short', () => {
  expect([0, 3, 0.123456, 12.345, 99.96, 12345.6].map(short)).toEqual(['0', '3', '0.123', '12.3', '100', '12,346']);
  expect([0, 1023, 1536, 5 * 2 ** 30].map(bytes)).toEqual(['0 B', '1,023 B', '1.5 KiB', '5 GiB']);
  expect([0.5, 12, 1500].map(microseconds)).toEqual(['0.5 µs', '12 µs', '1.5 ms']);
  expect([1, 0.95123, 0].map(percent)).toEqual(['100 %', '95.12 %', '0 %']);
});
