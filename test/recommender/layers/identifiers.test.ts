import { describe, expect, it } from 'vitest';
import type { Id } from '../../../src/coordinator/types.ts';
import { type Identifiers, IdentifiersBuilder, openIdentifiers } from '../../../src/recommender/layers/identifiers.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';

function built(ids: readonly unknown[]): Identifiers {
  const builder = new IdentifiersBuilder();
  for (const id of ids) builder.add(id);
  return builder.finish();
}

const all = (column: Identifiers): Id[] => Array.from({ length: column.size }, (_, row) => column.at(row));

const COLUMNS: Record<string, readonly Id[]> = {
  none: [],
  integers: [5, -3, 5, 0, Number.MAX_SAFE_INTEGER, 5],
  strings: ['b', '', 'a', 'b', '', 'ü€😀'],
  'all types, of which none equals another': [1, '1', 1n, 1, 1n, '1', 2n ** 64n - 1n, -(2n ** 63n)],
};

describe.each(Object.entries(COLUMNS))('%s', (_, ids) => {
  it('come back as they were given', () => {
    const column = built(ids);
    expect(column.size).toBe(ids.length);
    expect(all(column)).toEqual(ids);
  });

  it('are the same after being saved as bytes', () => {
    const parts = built(ids).parts();
    const sections = parts.sections.map((bytes) => Uint8Array.from(bytes));
    const again = openIdentifiers({ ...parts, sections });
    expect(all(again)).toEqual(ids);
    expect(again.parts()).toEqual(parts);
  });
});

it('a million equal identifiers cost four bytes each', () => {
  const builder = new IdentifiersBuilder();
  for (let i = 0; i < 1e6; i++) builder.add('');
  const { sections, distinct } = builder.finish().parts();
  expect(distinct).toBe(1);
  expect(sections.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(4e6 + 100);
});

it('many are taken in with turns of the event loop in between', async () => {
  const random = new Random(3);
  const ids = Array.from({ length: 50_000 }, () => `item ${random.int(0, 9999)}`);
  const builder = new IdentifiersBuilder();
  let turns = 0;
  const count = (): void => {
    turns++;
    if (builder.size < ids.length) setImmediate(count);
  };
  setImmediate(count);
  await builder.addAll(ids);
  expect(turns).toBeGreaterThan(1);
  expect(all(builder.finish())).toEqual(ids);
});

it.each([
  [undefined, 'neither'],
  [null, 'neither'],
  [true, 'neither'],
  [1.5, 'safe integer'],
  [Number.NaN, 'safe integer'],
  [2 ** 53, 'safe integer'],
  [2n ** 64n, '64 bits'],
  [-(2n ** 63n) - 1n, '64 bits'],
  ['\ud800', 'surrogate'],
  [['a'], 'neither'],
])('refuses %s, naming its row', async (id, reason) => {
  const error = await failureOf(() => built(['a', 'a', 'a', id]));
  expect(error).toMatchObject({ code: 'SCANNERY_INVALID_ID', row: 3, value: id });
  expect(error.message).toContain(reason);
});
