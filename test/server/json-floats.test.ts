import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FloatReader } from '../../src/server/float-reader.ts';
import { textOfFloats } from '../../src/server/float-text.ts';
import { splitBody } from '../../src/server/json-floats.ts';

/** What a reader makes of a text that is to be a list of so many numbers, and where it ends. */
function read(text: string, count: number): { row: number[]; at: number } | undefined {
  const reader = new FloatReader(Buffer.from(text), 0);
  const row = new Float32Array(count);
  return reader.row(row, 0, count) ? { row: [...row], at: reader.at } : undefined;
}

const float32 = fc.float({ noNaN: true, noDefaultInfinity: true });
const digits = (most: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: most }).map((each) => each.join(''));
/** Half way between two float32, or next to it: the digits that decide are the last of many. */
const halfWay = fc
  .tuple(fc.integer({ min: 0x00800000, max: 0x5d000000 }), fc.integer({ min: -2, max: 2 }))
  .map(([bits, off]) => {
    const [low, high] = new Float32Array(new Uint32Array([bits, bits + 1]).buffer);
    const double = new Float64Array([(low! + high!) / 2]);
    new BigInt64Array(double.buffer)[0]! += BigInt(off);
    return double[0]!;
  });
const numbers = fc.oneof(
  float32.map(String),
  fc.double({ noNaN: true, min: -1e17, max: 1e17 }).map(String),
  fc.tuple(fc.integer({ min: -99, max: 99 }), digits(30)).map(([whole, fraction]) => `${whole}.${fraction}`),
  fc.tuple(digits(18), fc.integer({ min: -40, max: 16 })).map(([fraction, power]) => `0.${fraction}e${power}`),
  fc.tuple(fc.integer({ min: 0, max: 30 }), digits(15)).map(([zeros, tail]) => `0.${'0'.repeat(zeros)}${tail}`),
  halfWay.map(String),
  halfWay.map((value) => value.toPrecision(30)),
);

describe('a reader of floats', () => {
  it('reads what JSON.parse reads, to the last bit', () => {
    fc.assert(
      fc.property(fc.array(numbers, { minLength: 1, maxLength: 5 }), (texts) => {
        const text = `[${texts.join(', ')}]`;
        const parsed = (JSON.parse(text) as number[]).map(Math.fround);
        if (parsed.some((value) => Math.abs(value) > 1e17)) return;
        expect(read(`${text} ,`, texts.length)).toEqual({ row: parsed, at: text.length + 1 });
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ...['', '[', '[1', '[1,', '[]', '[1 2]', '[,1]', '[1,]', '1', '{}', '["1"]', '[null]', '[[1]]', '[true]'],
    ...['[01]', '[-]', '[+1]', '[.5]', '[1.]', '[1.e5]', '[1e]', '[1e+]', '[0x1]', '[NaN]', '[Infinity]', '[1-2]'],
    ...['[1e400]', '[1e18]', '[-100000000000000001e1]', `[0.${'1'.repeat(500)}x]`],
  ])('refuses %s', (text) => {
    expect(read(text, 1)).toBeUndefined();
  });

  it('wants as many numbers as it is asked for', () => {
    expect(read('[1, 2]', 2)?.row).toEqual([1, 2]);
    expect(read('[1, 2]', 1)).toBeUndefined();
    expect(read('[1, 2]', 3)).toBeUndefined();
  });
});

describe('a body that is split', () => {
  const split = (text: string, name: 'vector' | 'vectors' = 'vector') => {
    const found = splitBody(Buffer.from(text), { name, dimensions: 2 });
    return found && { floats: [...found.floats], rest: text.slice(found.rest), standIn: found.standIn };
  };

  it('begins with its vectors', () => {
    expect(split('{"vector":[1,2],"k":3}')).toEqual({ floats: [1, 2], rest: '"k":3}', standIn: [0, 0] });
    expect(split(' { "vector" : [ 1 , 2 ] } ')).toEqual({ floats: [1, 2], rest: '} ', standIn: [0, 0] });
    const rows = Array.from({ length: 100 }, (_, i) => [i + 1, -1 - i]);
    expect(split(JSON.stringify({ vectors: rows, k: 1 }), 'vectors')).toEqual({
      ...{ floats: rows.flat(), rest: '"k":1}', standIn: rows.map(() => [0, 0]) },
    });
  });

  it.each([
    '{"k":3,"vector":[1,2]}',
    '{"vector":[1,2],}',
    '{"vector":[1,2]',
    '{"vector":[1]}',
    '{"vectors":[1,2]}',
    '{"vector" [1,2]}',
    '[{"vector":[1,2]}]',
    '{"vector":null}',
    '',
  ])('is not %s', (text) => {
    expect(split(text)).toBeUndefined();
  });

  it.each([
    '{"vectors":[]}',
    '{"vectors":[[1,2],]}',
    '{"vectors":[[1,2],[1]]}',
    '{"vectors":[[1,2]}',
    '{"vectors":[1,2]}',
  ])('is not %s where many are wanted', (text) => {
    expect(split(text, 'vectors')).toBeUndefined();
  });
});

describe('floats as text', () => {
  it('are JSON from which the same floats are read', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(float32, fc.float({ min: -20, max: 20, noNaN: true })), { maxLength: 20 }),
        (values) => {
          const floats = Float32Array.from(values);
          const text = textOfFloats(floats);
          expect((JSON.parse(text) as number[]).map(Math.fround)).toEqual([...floats].map((value) => value + 0));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('have no zeros that say nothing, and no more digits than float32 has', () => {
    const floats = Float32Array.of(1, 0.5, -0.25, 0.1, 12.5, 100, 999_999.94, 0.000_01, 3e9, 0, Number.NaN, Infinity);
    const expected = '[1,0.5,-0.25,0.100000001,12.5,100,999999.938,0.000009999999747378752,3000000000,0,null,null]';
    expect(textOfFloats(floats)).toBe(expected);
    expect(textOfFloats(new Float32Array(0))).toBe('[]');
    expect(textOfFloats(new Float32Array(1000).fill(-0.123_456_79))).toHaveLength(1 + 1000 * 13);
  });
});
