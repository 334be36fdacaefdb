import { afterAll, beforeAll, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { Random } from '../support/random.ts';
import { CONFIGS, clustered } from '../support/vectors.ts';

const [size, dimensions] = [900, 6];
const { tree, hashing } = CONFIGS['tree and hashing'];

let index: Index;
beforeAll(async () => {
  const attributes = Array.from({ length: size }, (_, i) => ({
    tags: i % 100 === 5 ? ['a'] : ['b', `b ${i}`],
    sold: i % 2 === 0,
  }));
  const data = clustered(size, dimensions, 5);
  index = await Index.build({ ...data, attributes }, { dimensions, threads: 2, shards: 2, tree, hashing });
});
afterAll(() => index.close());

it('finds a vector before or after it is replaced, though its value is new and a list of ids takes turns to be looked up', async () => {
  const allowIds = Array.from({ length: 20_000 }, (_, i) => i);
  const filter = { allow: { tags: ['a'] } };
  const query = new Random(1).normals(1, dimensions);
  const searching = [true, false].map((exact) => index.search(query, { k: 20, exact, filter, allowIds }));
  await index.upsert({
    ids: [105],
    vectors: new Random(2).normals(1, dimensions),
    attributes: [{ tags: ['a', 'new'] }],
  });
  for (const { ids } of await Promise.all(searching)) {
    expect([...ids].sort()).toEqual([105, 205, 305, 405, 5, 505, 605, 705, 805]);
  }
});

it('looks lists of ids up in the state that is searched, while one write follows another', async () => {
  const all = Array.from({ length: size }, (_, i) => i);
  // Short ones are looked up in one turn of the loop, long ones in several, and in the end at once.
  const lists = [all, [...all, ...Array.from({ length: 9000 }, (_, i) => size + i)]];
  const random = new Random(3);
  let writing = true;
  const writer = async (own: number): Promise<void> => {
    while (writing) await index.upsert({ ids: [own], vectors: random.normals(1, dimensions) });
  };
  const writers = Array.from({ length: 8 }, (_, i) => writer(i + 10));
  const lengths = new Set<string>();
  const asked = lists.flatMap((list) => [
    { allowIds: list, want: size },
    { excludeIds: list, want: 0 },
    { allowIds: list, excludeIds: list.slice(0, 100), want: size - 100 },
    { allowIds: [10, 11, 12, 13], want: 4 },
  ]);
  const search = async (lane: number): Promise<void> => {
    for (let i = 0; i < 100; i++) {
      const { want, ...options } = asked[(lane + i) % asked.length]!;
      const { ids } = await index.search(random.normals(1, dimensions), { k: size + 100, exact: true, ...options });
      if (ids.length !== want) lengths.add(`${ids.length} instead of ${want}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, lane) => search(lane)));
  writing = false;
  await Promise.all(writers);
  expect([...lengths]).toEqual([]);
});

it('lets results share a value as often as they may, though the attribute is new', async () => {
  const allowIds = Array.from({ length: 20_000 }, (_, i) => i);
  const query = new Random(1).normals(1, dimensions);
  const searching = index.search(query, { k: size, allowIds, crowding: { attribute: 'fresh', max: 1 } });
  const ids = Array.from({ length: 200 }, (_, i) => i);
  const vectors = new Random(2).normals(200, dimensions);
  await index.upsert({ ids, vectors, attributes: ids.map(() => ({ fresh: 'same' })) });
  const some = new Set(ids);
  const found = (await searching).ids.filter((id) => some.has(id as number));
  // It sees the write, as its list was looked up anew, or it does not.
  const before = await index.search(query, { k: size, allowIds, crowding: { attribute: 'fresh', max: 1 } });
  expect(before.ids.filter((id) => some.has(id as number))).toHaveLength(1);
  expect([1, 200]).toContain(found.length);
});
