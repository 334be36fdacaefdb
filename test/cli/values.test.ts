import { describe, expect, it } from 'vitest';
import { shortest, size, table } from '../../src/cli/format.ts';
import { LineNumbers } from '../../src/cli/input/rows.ts';
import {
  checkId,
  checkVector,
  idOfText,
  numberOf,
  parseAttributeColumns,
  parseCell,
  parseVector,
} from '../../src/cli/input/values.ts';
import { Random } from '../support/random.ts';

it.each([
  ['1', 1],
  [' -2.5 ', -2.5],
  ['+.5e-3', 0.0005],
  ['3.', 3],
  ['1e999', undefined],
  ['', undefined],
  ['0x10', undefined],
  ['nan', undefined],
  ['1 2', undefined],
])('takes %j for %s', (text, value) => {
  expect(numberOf(text)).toBe(value);
});

describe('a vector as text', () => {
  it.each(['[1, -2, 0.5]', '1 -2 0.5', ' 1,-2,.5 ', '1;-2;0.5', '1 ; -2 ;\t0.5'])('is %j', (text) => {
    expect(parseVector(text)).toEqual([1, -2, 0.5]);
  });

  it.each([
    ['', 'it is empty'],
    ['[]', 'it is empty'],
    ['1 x', "'x' is no number"],
    ['[1, null]', 'position 1 has null, which is no finite number'],
    ['[1, 1e999]', 'position 1 has null, which is no finite number'],
    ['[1', 'this is no JSON'],
  ])('is not %j', (text, problem) => {
    expect(parseVector(text)).toContain(problem);
  });
});

it.each([
  ['5', 5],
  ['-5', -5],
  ['05', '05'],
  ['5.0', '5.0'],
  ['9007199254740993', '9007199254740993'],
  ['a b', 'a b'],
  ['-0', '-0'],
])('takes %j for the id %j', (text, id) => {
  expect(idOfText(text)).toBe(id);
});

it('refuses ids that JSON would round', () => {
  expect(checkId(7)).toEqual({ id: 7 });
  expect(checkId('9007199254740993')).toEqual({ id: '9007199254740993' });
  expect(checkId(2 ** 53)).toContain('put it between quotes');
  expect(checkId(1.5)).toContain('no integer');
  expect(checkId(null)).toContain('neither text nor an integer');
});

it('refuses what is no vector', () => {
  expect(checkVector({})).toBe('it is no array of numbers');
  expect(checkVector(['1'])).toBe('position 0 has "1", which is no finite number');
});

describe('a cell', () => {
  it.each([
    ['', undefined, undefined],
    ['12', undefined, 12],
    ['true', undefined, true],
    ['["a","b"]', undefined, ['a', 'b']],
    ['["a', undefined, '["a'],
    ['[1]', undefined, '[1]'],
    ['Alien', undefined, 'Alien'],
    ['12', 'text', '12'],
    ['true', 'text', 'true'],
    ['1e3', 'number', 1000],
    ['false', 'boolean', false],
  ] as const)('%j as %s is %j', (text, kind, value) => {
    expect(parseCell(text, kind)).toEqual({ value });
  });

  it('is wrong if it is not of its kind', () => {
    expect(parseCell('x', 'number')).toBe("'x' is no number");
    expect(parseCell('1', 'boolean')).toBe("'1' is not true or false");
  });
});

it('reads lists of columns', () => {
  expect(parseAttributeColumns('year, title:text')).toEqual([
    { name: 'year', kind: undefined },
    { name: 'title', kind: 'text' },
  ]);
  expect(() => parseAttributeColumns('year:date')).toThrow("'year:date'");
  expect(() => parseAttributeColumns('a,,b')).toThrow('names between commas');
});

it('writes f32 in as few digits as are read as the same', () => {
  const values = new Float32Array([0, 0.1, -2, 1e-30, 3.4e38, 16777217, ...new Random(1).normals(1000, 1)]);
  for (const value of values) expect(Math.fround(shortest(value))).toBe(value);
  expect(shortest(Math.fround(0.1))).toBe(0.1);
  expect(shortest(Math.fround(-1234.5))).toBe(-1234.5);
  expect(shortest(0.123456789012)).toBe(0.123456789012); // no f32
});

it('knows the lines of rows behind empty lines', () => {
  const lines = new LineNumbers();
  for (const [row, line] of [2, 3, 6, 7, 9].entries()) lines.add(row, line);
  expect([0, 1, 2, 3, 4].map((row) => lines.lineOf(row))).toEqual([2, 3, 6, 7, 9]);
});

it('formats sizes and tables', () => {
  expect([size(999), size(1000), size(2_345_000)]).toEqual(['999 bytes', '1.0 kB', '2.3 MB']);
  expect(
    table(
      [
        ['id', 'score'],
        ['long', '1'],
      ],
      [0],
    ),
  ).toBe('id    score\nlong      1');
});
