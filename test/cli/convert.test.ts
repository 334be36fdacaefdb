import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openInput } from '../../src/cli/input/open-input.ts';
import { vectorsOf } from '../../src/cli/input/rows.ts';
import { Index } from '../../src/index.ts';
import { openVectors } from '../../src/io/index.ts';
import { runHere } from '../support/command-line.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';
import { bin } from '../support/vector-files.ts';

const folder = temporaryDirectory();
const at = (name: string): string => join(folder, name);
const [rows, dimensions] = [2500, 3];
const values = new Random(3).normals(rows, dimensions);
writeFileSync(at('start.fbin'), bin('float32', rows, dimensions, Array.from(values)));

async function convert(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runHere(['convert', '--json', '--quiet', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

const refused = async (...args: string[]): Promise<{ code: number | null; stderr: string }> => {
  const { code, stdout, stderr } = await runHere(['convert', '--quiet', ...args]);
  expect(stdout).toBe('');
  return { code, stderr: stderr.replaceAll(`${folder}/`, '') };
};

it('takes vectors through every format that can be written, bit for bit', async () => {
  const names = ['start.fbin', 'a.npy', 'b.fvecs', 'c.jsonl', 'd.csv', 'e.ndjson', 'f.fbin'];
  for (const [i, name] of names.slice(1).entries()) {
    expect(await convert(at(names[i]!), at(name))).toEqual({ rows, files: [at(name)] });
  }
  for (const name of ['a.npy', 'b.fvecs', 'f.fbin']) {
    const file = await openVectors(at(name));
    expect({ rows: file.rows, dimensions: file.dimensions }).toEqual({ rows, dimensions });
    expect(await file.read()).toEqual(values);
  }
  expect(readFileSync(at('f.fbin'))).toEqual(readFileSync(at('start.fbin')));
});

describe('an index', () => {
  const items = [
    { id: 'a,"b"', vector: [1, 2], attributes: { title: 'One, "two"\nthree', tags: ['x', 'y'], year: 2001 } },
    { id: 'c', vector: [3, 4] },
    { id: 5, vector: [5, 6.5], attributes: { title: 'Six', sold: true } },
  ];

  async function saved(): Promise<string> {
    const directory = at('index');
    const attributes = items.map((item) => item.attributes);
    const input = { ids: items.map(({ id }) => id), vectors: items.map(({ vector }) => vector), attributes };
    await using index = await Index.build(input, { threads: 1 });
    await index.save(directory);
    return directory;
  }

  async function rowsOf(path: string, attributeColumns?: string) {
    const input = await openInput(path, { attributeColumns });
    const found: unknown[] = [];
    for await (const chunk of input.chunks()) {
      for (const [i, vector] of vectorsOf(chunk, 2).entries()) {
        const attributes = chunk.attributes?.[i];
        const some = attributes && Object.keys(attributes).length > 0;
        found.push({ id: chunk.ids![i], vector: Array.from(vector), ...(some && { attributes }) });
      }
    }
    return found;
  }

  it('is exported with its ids and attributes, which can be read again', async () => {
    const directory = await saved();
    await convert(directory, at('items.jsonl'));
    expect(await rowsOf(at('items.jsonl'))).toEqual(items);
    await convert(directory, at('items.csv'));
    expect(await rowsOf(at('items.csv'), 'title,tags,year,sold')).toEqual(items);
    expect(await convert(directory, at('items.npy'))).toEqual({
      rows: 3,
      files: ['items.npy', 'items.ids.jsonl', 'items.attributes.jsonl'].map(at),
    });
    const sides = { ids: at('items.ids.jsonl'), attributes: at('items.attributes.jsonl') };
    const { code } = await runHere(['convert', at('items.npy'), at('again.jsonl'), '--quiet', ...flags(sides)]);
    expect(code).toBe(0);
    expect(await rowsOf(at('again.jsonl'))).toEqual(items);
  });
});

const flags = (options: Record<string, string>): string[] =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);

it('writes attributes that begin late beside all vectors', async () => {
  // Lines of more than one piece of the file, of which only the last has attributes.
  const line = `[${'0.123456789,'.repeat(99)}1]\n`;
  writeFileSync(at('late.jsonl'), `${line.repeat(500)}{"vector":${line.trim()},"attributes":{"x":1}}\n`);
  await convert(at('late.jsonl'), at('late.npy'));
  const lines = readFileSync(at('late.attributes.jsonl'), 'utf8').trim().split('\n');
  expect(lines.length).toBe(501);
  expect([lines[0], lines[499], lines[500]]).toEqual(['null', 'null', '{"x":1}']);
});

it('leaves no ids and attributes of a file that it replaces', async () => {
  writeFileSync(at('named.jsonl'), '{"id":"a","vector":[1],"attributes":{"x":1}}\n');
  await convert(at('named.jsonl'), at('renewed.npy'));
  await convert(at('start.fbin'), at('renewed.npy'), '--force');
  expect(readdirSync(folder).filter((name) => name.startsWith('renewed'))).toEqual(['renewed.npy']);
});

describe('refuses', () => {
  it('what exists, unless it may replace it', async () => {
    writeFileSync(at('there.npy'), 'precious');
    expect(await refused(at('start.fbin'), at('there.npy'))).toEqual({
      code: 2,
      stderr: 'scannery: there.npy exists; --force replaces it\n',
    });
    expect(readFileSync(at('there.npy'), 'utf8')).toBe('precious');
    await convert(at('start.fbin'), at('there.npy'), '--force');
    expect((await openVectors(at('there.npy'))).rows).toBe(rows);
  });

  it('formats that cannot be written, and numbers that f32 cannot hold', async () => {
    expect((await refused(at('start.fbin'), at('x.hdf5'))).code).toBe(2);
    writeFileSync(at('large.jsonl'), '[1]\n[1e39]\n');
    expect(await refused(at('large.jsonl'), at('x.npy'))).toEqual({
      code: 3,
      stderr: 'scannery: large.jsonl, line 2: row 1 has 1e+39 at position 0, which is no finite f32\n',
    });
    writeFileSync(at('names.jsonl'), '{"vector": [1], "attributes": {"vector": "x"}}\n');
    expect((await refused(at('names.jsonl'), at('x.csv'))).stderr).toContain("an attribute is called 'vector'");
  });

  it('and leaves no file behind', async () => {
    writeFileSync(at('broken.jsonl'), `${'[1, 2]\n'.repeat(60_000)}[1]\n`);
    expect((await refused(at('broken.jsonl'), at('y.fvecs'))).stderr).toContain('broken.jsonl, line 60001: ');
    expect((await refused(at('start.fbin'), at('none/y.npy'))).code).toBe(6);
    const { code } = await runHere(['convert', at('start.fbin'), at('y.fvecs'), '--quiet'], AbortSignal.abort());
    expect(code).toBe(130);
    expect(readdirSync(folder).filter((name) => /tmp|^[xy]\./.test(name))).toEqual([]);
  });
});
