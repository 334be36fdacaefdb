import { expect, it } from 'vitest';
import { Index, METRICS } from '../../src/index.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered } from '../support/vectors.ts';

const [size, dimensions, k] = [2000, 6, 10];
const { tree, hashing } = CONFIGS['tree and hashing'];

it.each(METRICS)('results are sorted by %s though the rest is looked for more thoroughly', async (metric) => {
  const random = new Random(3);
  // Nearly all have one of two values, so that what may still be found has to be looked for again.
  const attributes = Array.from({ length: size }, (_, i) => (i % 20 === 0 ? null : { sold: random.float() < 0.5 }));
  const data = clustered(size, dimensions, 5);
  await using index = await Index.build(
    { ...data, attributes },
    { dimensions, metric, threads: 1, tree: { ...tree, numLeaves: 60 }, hashing },
  );
  const sign = metric === 'squared_l2' ? 1 : -1;
  for (let i = 0; i < 100; i++) {
    const options = { k, numLeavesToSearch: 1, numReorderingCandidates: 10, crowding: { attribute: 'sold', max: 2 } };
    const { ids, scores } = await index.search(random.normals(1, dimensions), options);
    expect([...scores]).toEqual([...scores].sort((a, b) => sign * (a - b)));
    expect(new Set(ids).size).toBe(k);
    for (const value of [true, false]) {
      expect(ids.filter((id) => attributes[id as number]?.sold === value).length).toBeLessThanOrEqual(2);
    }
  }
});
