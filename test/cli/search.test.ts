import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { at, dimensions, failure, json, prepareIndexes, rows, run, values, vectors } from '../support/cli-indexes.ts';
import { runHere } from '../support/command-line.ts';
import { bin } from '../support/vector-files.ts';

prepareIndexes();

it('finds what the index finds, with attributes', async () => {
  const vector = JSON.stringify(vectors[4]);
  const { results } = await json('search', at('items'), '--vector', vector, '--k', '4');
  await using index = await Index.open(at('items'), { readOnly: true, threads: 1 });
  const { ids, scores } = await index.search(vectors[4]!, { k: 4 });
  expect(results.map(({ id }: { id: string }) => id)).toEqual(ids);
  expect(results.map(({ score }: { score: number }) => Math.fround(score))).toEqual([...scores]);
  expect(results[0]).toEqual({
    rank: 1,
    id: 'item-4',
    score: results[0].score,
    attributes: { year: 1994, color: 'green' },
  });
  const text = await run('search', at('items'), '--vector', vector, '--k', '4');
  expect(text.split('\n')[0]).toMatch(/^rank +id +score +attributes$/);
  expect(text.split('\n')[1]).toMatch(/^ +1 +item-4 +\S+ +year=1994 color=green$/);
});

it('takes numbers that begin with a minus sign', async () => {
  const vector = vectors.find(([first]) => first! < 0)!;
  const { results } = await json('search', at('plain'), '--vector', vector.join(' '), '--k', '1', '--exact');
  expect(results.length).toBe(1);
});

it('leaves out the vector whose id is given', async () => {
  const { results } = await json('search', at('plain'), '--id', '7', '--k', '600');
  expect(results.length).toBe(rows - 1);
  expect(results.some(({ id }: { id: number }) => id === 7)).toBe(false);
});

it('takes an id for the string first, then for the integer', async () => {
  const input = {
    ids: ['5', 5, 6, 2n ** 60n],
    vectors: [
      [1, 0],
      [0, 1],
      [1, 1],
      [2, 2],
    ],
  };
  const index = await Index.build(input, { threads: 1 });
  await index.save(at('mixed'));
  await index.close();
  const left = async (id: string) =>
    (await json('search', at('mixed'), '--id', id)).results.map((found: { id: unknown }) => found.id);
  expect(await left('5')).not.toContain('5');
  expect(await left('5')).toContain(5);
  expect(await left('6')).not.toContain(6);
  expect(await left(`${2n ** 60n}`)).not.toContain(`${2n ** 60n}`);
  expect(await left('6')).toContain(`${2n ** 60n}`);
  expect(await failure('search', at('mixed'), '--id', '05')).toMatchObject({ code: 6 });
});

it('filters, crowds and explains', async () => {
  const filter = JSON.stringify({ allow: { color: ['red'] }, range: { year: { gte: 2000 } } });
  const { results, explanation } = await json(
    ...['search', at('items'), '--id', 'item-1', '--k', '30', '--filter', filter, '--explain'],
  );
  expect(results.length).toBe(30);
  for (const { attributes } of results) {
    expect(attributes.color).toEqual(['blue', 'red']);
    expect(attributes.year).toBeGreaterThanOrEqual(2000);
  }
  expect(explanation.filter.strategy).toMatch(/scan|matches/);
  expect(explanation).not.toHaveProperty('ids');
  const crowded = await json('search', at('items'), '--id', 'item-1', '--k', '30', '--crowding', 'color:2');
  expect(crowded.results.length).toBe(4);
  expect(await run('search', at('items'), '--id', 'item-1', '--explain')).toMatch(/\nmethod +exact\n/);
});

it('answers files of queries line by line', async () => {
  const text = await run('search', at('plain'), '--queries', at('plain.fbin'), '--k', '2', '--json');
  const answers = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(answers.map(({ query }) => query)).toEqual(Array.from({ length: rows }, (_, i) => i));
  expect(answers.every(({ results }) => results.length === 2)).toBe(true);
  const own = await run('search', at('items'), '--queries', at('items.jsonl'), '--k', '1', '--json', '--attributes');
  expect(JSON.parse(own.split('\n')[9]!)).toMatchObject({
    id: 'item-9',
    results: [{ id: 'item-9', attributes: { year: 1999 } }],
  });
  const lines = (await run('search', at('plain'), '--queries', at('plain.fbin'), '--k', '2')).trim().split('\n');
  expect(lines.length).toBe(1 + 2 * rows);
  expect(lines[0]).toBe('query\trank\tid\tscore');
  expect(lines[4]).toMatch(/^1\t2\t\d+\t[-.\d]+$/);
});

it.each([
  [['--id', 'nobody'], 6, "the index has no vector with the id 'nobody'"],
  [['--vector', '1 2'], 3, 'the query has 2 numbers, the index has 8 dimensions'],
  [['--vector', '1 b'], 2, "--vector is wrong: 'b' is no number"],
  [[], 2, 'one of --id, --vector and --queries is needed'],
  [['--id', '1', '--vector', '1'], 2, 'one of --id, --vector and --queries is needed'],
  [['--id', '1', '--filter', '{'], 2, '--filter is no JSON'],
  [['--id', '1', '--filter', '{"allow": 1}'], 2, '--filter.allow must be'],
  [['--id', '1', '--crowding', 'color'], 2, "--crowding is 'color', and should be like color:2"],
  [['--id', '1', '--leaves', '0'], 2, '--leaves must be an integer'],
  [['--id', '1', '-k', 'x'], 2, '-k has to be a number'],
  [['--queries', 'x.npy', '--explain'], 2, '--explain is for one query'],
  [['--queries', 'x.npy'], 6, 'x.npy does not exist'],
] as const)('refuses %j', async (args, code, problem) => {
  const said = await failure('search', at('plain'), ...args);
  expect(said.stderr).toContain(problem);
  expect(said.code).toBe(code);
});

it('names the query at fault of a file', async () => {
  const many = Array.from({ length: 10 }, () => Array.from(values)).flat();
  many[5900 * dimensions + 2] = Number.NaN;
  writeFileSync(at('many.fbin'), bin('float32', 10 * rows, dimensions, many));
  const { code, stderr } = await runHere(['search', at('plain'), '--queries', at('many.fbin'), '--quiet']);
  expect(code).toBe(3);
  expect(stderr).toContain('many.fbin: query 5900 has NaN at position 2');
});
