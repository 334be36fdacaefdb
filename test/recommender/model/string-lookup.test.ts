import { describe, expect, it } from 'vitest';
import { openIdColumn } from '../../../src/coordinator/id-column.ts';
import { StringLookup } from '../../../src/recommender/model/string-lookup.ts';
import { failureOf } from '../../support/failures.ts';

const lookup = (...vocabulary: string[]): StringLookup => new StringLookup({ vocabulary });

describe('call', () => {
  it('gives strings of the vocabulary 1, 2, ... and all others 0', () => {
    const found = lookup('b', 'a', 'é').call(['a', 'b', 'c', 'é', 'A', '', 'b']);
    expect(found).toBeInstanceOf(Uint32Array);
    expect([...found]).toEqual([2, 1, 0, 3, 0, 0, 1]);
  });

  it('takes strings as they are, without trimming or normalising', () => {
    expect([...lookup(' a', 'a ', '\u00e9', '').call([' a', 'a', '\u00e9', 'e\u0301', ''])]).toEqual([1, 0, 3, 0, 4]);
  });

  it('knows nothing of the properties of objects', () => {
    expect([...lookup('a').call(['constructor', '__proto__', 'toString'])]).toEqual([0, 0, 0]);
    expect([...lookup('__proto__').call(['__proto__'])]).toEqual([1]);
  });

  it('looks numbers and bigints up by their decimal text', () => {
    const numbers = lookup('1', '-2', '0.5', '18446744073709551615');
    expect([...numbers.call([1, 1n, '1', -2, 0.5, 18446744073709551615n, 2n ** 64n])]).toEqual([1, 1, 1, 2, 3, 4, 0]);
    expect([...lookup('0').call([0, -0, Number.NaN])]).toEqual([1, 1, 0]);
  });

  it('takes typed arrays', () => {
    const numbers = lookup('7', '8');
    expect([...numbers.call(Int32Array.of(8, 9, 7))]).toEqual([2, 0, 1]);
    expect([...numbers.call(Float32Array.of(7, 7.5))]).toEqual([1, 0]);
    expect([...numbers.call(Float64Array.of(8))]).toEqual([2]);
  });

  it('gives nothing for an empty column, and 0 everywhere for an empty vocabulary', () => {
    expect(lookup('a').call([])).toHaveLength(0);
    expect([...lookup().call(['a', ''])]).toEqual([0, 0]);
  });

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a boolean', true],
    ['an array', ['a']],
    ['an object', {}],
    ['a symbol', Symbol('a')],
  ])('names the row of %s', async (_, value) => {
    const error = await failureOf(() => lookup('a').call(['a', 'b', value as string, value as string]));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'features', row: 2 });
    expect(error.value).toBe(value);
  });

  it.each([[undefined], [null], ['abc'], [3], [{}], [{ length: 2 }], [new Map()], [new DataView(new ArrayBuffer(4))]])(
    'refuses %s for a column',
    async (column) => {
      const error = await failureOf(() => lookup('a').call(column as never));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'features', value: column });
    },
  );
});

describe('vocabulary', () => {
  it('is told in its order, with one slot more for what it lacks', () => {
    const words = lookup('b', 'a', '10', '9');
    expect(words.getVocabulary()).toEqual(['b', 'a', '10', '9']);
    expect(words.vocabularySize).toBe(5);
    expect(lookup().vocabularySize).toBe(1);
    expect(lookup().getVocabulary()).toEqual([]);
  });

  it('is kept apart from the array that was given and from those that are told', () => {
    const given = ['a', 'b'];
    const words = new StringLookup({ vocabulary: given });
    given.push('c');
    words.getVocabulary().push('d');
    expect(words.getVocabulary()).toEqual(['a', 'b']);
    expect([...words.call(['c', 'd'])]).toEqual([0, 0]);
  });

  it('names the row of a string that comes again', async () => {
    const error = await failureOf(() => lookup('a', 'b', 'c', 'b'));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'vocabulary', value: 'b', row: 3 });
    expect(error.message).toContain('row 1');
  });

  it.each([[1], [1n], [null], [undefined], [{}], [['a']], ['\ud800'], ['a\udc00b']])(
    'names the row of %s',
    async (entry) => {
      const error = await failureOf(() => lookup('a', entry as string));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'vocabulary', row: 1 });
      expect(error.value).toBe(entry);
    },
  );

  it.each([[undefined], [null], ['abc'], [{}], [new Set(['a'])]])('must be an array, not %s', async (vocabulary) => {
    const error = await failureOf(() => new StringLookup({ vocabulary: vocabulary as never }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'vocabulary' });
  });

  it('is the only option', async () => {
    const unknown = await failureOf(() => new StringLookup({ vocabulary: [], maskToken: '' } as never));
    expect(unknown).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'maskToken', value: '' });
    const missing = await failureOf(() => new StringLookup(undefined as never));
    expect(missing).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'vocabulary' });
    const array = await failureOf(() => new StringLookup(['a'] as never));
    expect(array).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'options' });
  });
});

describe('column', () => {
  it.each([
    ['strings', ['b', 'a', '', ' ', '10', '007']],
    ['beyond ASCII', ['\ufeffa', 'a', '日本', '🎬 film', 'e\u0301', '\u00e9', '\u0000', '\uffff']],
    ['nothing', []],
    ['thousands of strings', Array.from({ length: 5000 }, (_, i) => `word ${i * 7}`)],
  ])('opens again as the same vocabulary: %s', (_, vocabulary) => {
    const column = new StringLookup({ vocabulary }).column();
    expect(column.size).toBe(vocabulary.length);
    const opened = openIdColumn(column.kind, column.size, column.parts());
    const words = Array.from({ length: opened.size }, (_, row) => opened.at(row));
    expect(words).toEqual(vocabulary);
    expect(new StringLookup({ vocabulary: words as string[] }).getVocabulary()).toEqual(vocabulary);
  });
});
