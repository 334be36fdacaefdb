import { type Id, Index } from '../../src/index.ts';

export const DIMENSIONS = 4;
export const BIG = 2n ** 63n - 1n;
export const LARGE = 2 ** 40;
/** Text, integers and bigints, some of which are written alike. */
export const IDS: readonly Id[] = ['a', 'b', '5', 5, 5n, BIG, LARGE, 'ä/ö', 7, 'last'];

/** Row i is near direction i modulo 4, the more so the lower i is. */
export const vectorOf = (i: number): number[] =>
  Array.from({ length: DIMENSIONS }, (_, j) => (j === i % DIMENSIONS ? 1 : 0.05 * (i + 1)));

/** A small index of all kinds of ids, some of which have attributes. */
export function smallIndex(): Promise<Index> {
  const vectors = IDS.map((_, i) => vectorOf(i));
  const attributes = IDS.map((_, i) => (i % 2 === 0 ? { colour: i < 5 ? 'red' : 'blue', price: i } : null));
  return Index.build({ vectors, ids: IDS.slice(), attributes }, { threads: 1, metric: 'dot_product' });
}
