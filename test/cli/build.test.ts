import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { at, dimensions, failure, json, prepareIndexes, rows, run } from '../support/cli-indexes.ts';
import { bin } from '../support/vector-files.ts';

prepareIndexes();

it('passes its options on', async () => {
  const method = ['--num-leaves', '9', '--soar-lambda', '1.5', '--spherical', '--dimensions-per-block', '4'];
  const common = ['--metric', 'squared_l2', '--reordering', 'int8', '--k', '3', '--seed', '7', '--shards', '2'];
  const built = await json('build', at('plain.fbin'), '--output', at('all'), '--threads', '1', ...method, ...common);
  expect(built).toMatchObject({ directory: at('all'), size: rows, dimensions, metric: 'squared_l2' });
  expect(built.config).toMatchObject({
    tree: { numLeaves: 9, soarLambda: 1.5, spherical: true },
    hashing: { dimensionsPerBlock: 4 },
    reordering: 'int8',
    defaults: { k: 3 },
  });
  expect(built.bytes).toBeGreaterThan(0);
  const none = await json('build', at('plain.fbin'), '--output', at('flat'), '--no-tree', '--no-hashing');
  expect(none.config).toMatchObject({ tree: false, hashing: false });
});

it('replaces nothing unless it is told to', async () => {
  const before = readFileSync(at('plain/CURRENT'), 'utf8');
  const said = 'plain holds an index already; --force puts the new index there';
  expect(await failure('build', at('plain.fbin'), '--output', at('plain'))).toEqual({ code: 2, stderr: said });
  expect(readFileSync(at('plain/CURRENT'), 'utf8')).toBe(before);
  expect((await failure('build', at('plain.fbin'), '--output', dirname(at('plain')))).stderr).toContain('is not empty');
  expect((await failure('build', at('plain.fbin'), '--output', at('plain.fbin'))).stderr).toContain('is a file');
  cpSync(at('plain'), at('replaced'), { recursive: true });
  await run('build', at('plain.fbin'), '--output', at('replaced'), '--force', '--threads', '1');
  expect((await json('inspect', at('replaced'))).generation).toBe(2);
});

it.each([
  ['nan.fbin', bin('float32', 7, 1, [1, 1, 1, 1, 1, Number.NaN, 1]), 'nan.fbin: row 5 has NaN at position 0'],
  ['zero.jsonl', '[1, 0]\n\n[0, 0]\n', 'zero.jsonl, line 3: row 1 is zero, which has no direction under cosine'],
  ['twice.jsonl', '{"id":1,"vector":[1]}\n{"id":1,"vector":[2]}\n', 'twice.jsonl, line 2: '],
  ['kinds.csv', 'x,a\n1,1\n2,one\n', "kinds.csv, line 3: row 1: attribute 'a' has"],
  ['header.csv', 'x,a\n', 'header.csv has no vectors'],
  ['seven.jsonl', `${'[1, 2]\n'.repeat(6)}[1]\n`, 'seven.jsonl, line 7: the vector has 1 number'],
])('names the place in %s, and writes nothing', async (name, content, problem) => {
  writeFileSync(at(name), content);
  const columns = name === 'kinds.csv' ? ['--attribute-columns', 'a'] : [];
  const { code, stderr } = await failure('build', at(name), '--output', at('bad'), '--metric', 'cosine', ...columns);
  if (name !== 'kinds.csv') expect(stderr).toContain(problem);
  else expect(stderr).toMatch(/^kinds\.csv, line 3: row 1: attribute 'a' is a token here and a number in other rows/);
  expect(code).toBe(3);
  expect(existsSync(at('bad'))).toBe(false);
});

it('writes nothing if a side file has the wrong number of rows', async () => {
  writeFileSync(at('few.txt'), 'a\nb\n');
  expect(await failure('build', at('plain.fbin'), '--output', at('bad'), '--ids', at('few.txt'))).toEqual({
    code: 3,
    stderr: 'few.txt has ids for 2 rows, and plain.fbin has 600 rows',
  });
  expect(existsSync(at('bad'))).toBe(false);
});

it('refuses options that contradict each other', async () => {
  const build = ['build', at('plain.fbin'), '--output', at('bad')];
  expect((await failure(...build, '--no-tree', '--spherical')).code).toBe(2);
  expect((await failure(...build, '--no-hashing', '--dimensions-per-block', '2')).code).toBe(2);
  expect(await failure(...build, '--num-leaves', '0')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^--num-leaves must be/),
  });
  expect((await failure(...build, '--vector-column', 'x')).stderr).toBe('--vector-column is for CSV files');
});
