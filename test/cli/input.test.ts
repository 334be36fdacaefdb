import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type InputOptions, openInput } from '../../src/cli/input/open-input.ts';
import { vectorsOf } from '../../src/cli/input/rows.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { failureOf } from '../support/failures.ts';
import { bin } from '../support/vector-files.ts';

const folder = temporaryDirectory();

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** All rows of a file. */
async function read(path: string, options?: InputOptions) {
  const input = await openInput(path, options);
  const all = { vectors: [] as number[][], ids: [] as unknown[], attributes: [] as unknown[] };
  for await (const chunk of input.chunks()) {
    all.vectors.push(...vectorsOf(chunk, input.dimensions ?? 0).map((vector) => Array.from(vector)));
    all.ids.push(...(chunk.ids ?? []));
    all.attributes.push(...(chunk.attributes ?? []));
  }
  return { ...all, input };
}

async function problemOf(path: string, options?: InputOptions): Promise<string> {
  const error = await read(path, options).then(
    () => new Error('it was read'),
    (reason: Error) => reason,
  );
  expect(error.message).not.toContain('\n');
  return error.message.replaceAll(`${folder}/`, '');
}

describe('JSON lines', () => {
  it('hold ids, vectors and attributes', async () => {
    const path = file(
      'good.jsonl',
      '{"id": "a", "vector": [1, 2], "attributes": {"x": 1}}\r\n\n{"id": 7, "vector": [3, 4]}\n',
    );
    const { vectors, ids, attributes, input } = await read(path);
    expect(vectors).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(ids).toEqual(['a', 7]);
    expect(attributes).toEqual([{ x: 1 }, undefined]);
    expect(input.place(1, 'SCANNERY_INVALID_VECTOR')).toBe(`${path}, line 3`);
  });

  it('may be vectors alone', async () => {
    const { vectors, ids, attributes } = await read(file('plain.ndjson', '[1, 2]\n[3, 4]\n'));
    expect({ vectors, ids, attributes }).toEqual({
      vectors: [
        [1, 2],
        [3, 4],
      ],
      ids: [],
      attributes: [],
    });
  });

  it.each([
    ['[1,2]\n[1', 'bad.jsonl, line 2: this is no JSON: '],
    ['[1,2]\n\n[1,2,3]', 'bad.jsonl, line 3: the vector has 3 numbers, and that of line 1 has 2 numbers'],
    ['{"vector": [1, "2"]}', 'bad.jsonl, line 1: the vector is wrong: position 1 has "2", which is no finite number'],
    ['{"id": 1}', 'bad.jsonl, line 1: the vector is wrong: it is no array of numbers'],
    ['{"vektor": [1]}', "bad.jsonl, line 1: 'vektor' is unknown; known are id, vector, attributes"],
    ['{"id": 9007199254740993, "vector": [1]}', 'bad.jsonl, line 1: the id 9007199254740992 is no integer up to 2^53'],
    ['{"id": 1, "vector": [1]}\n{"vector": [1]}', 'bad.jsonl, line 2: there is no id here and one in line 1'],
    ['{"vector": [1], "attributes": 3}', 'bad.jsonl, line 1: the attributes are no object'],
    ['5', 'bad.jsonl, line 1: this is neither an object with a vector nor a vector'],
  ])('of %j are refused with the line', async (text, problem) => {
    expect(await problemOf(file('bad.jsonl', text))).toContain(problem);
  });

  it('have to be UTF-8', async () => {
    expect(await problemOf(file('latin.jsonl', Buffer.from('[1]\n{"id": "\xfc"}', 'latin1')))).toBe(
      'latin.jsonl, line 2: the line is not UTF-8',
    );
  });
});

describe('CSV', () => {
  it('has a vector in all columns that are left', async () => {
    const path = file('columns.csv', 'x,id,title,y\n1,a,"One, two",2\n3,7,"a\nb",4\n\n5,c,,6\n');
    const { vectors, ids, attributes, input } = await read(path, { attributeColumns: 'title' });
    expect(vectors).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(ids).toEqual(['a', 7, 'c']);
    expect(attributes).toEqual([{ title: 'One, two' }, { title: 'a\nb' }, {}]);
    expect([0, 1, 2].map((row) => input.place(row, 'SCANNERY_INVALID_VECTOR').split(' ').at(-1))).toEqual([
      '2',
      '3',
      '6',
    ]);
  });

  it.each([
    ['vector', 'vector,other\n1 2,x\n', {}],
    ['whole', 'whole,other\n1;2,x\n', { vectorColumn: 'whole' }],
    ['json', 'json,other\n"[1,2]",x\n', { vectorColumn: 'json' }],
  ])('has whole vectors in a column %s', async (_, text, options) => {
    expect((await read(file('whole.csv', text), options)).vectors).toEqual([[1, 2]]);
  });

  it('has ids in the column that is named', async () => {
    const { ids, vectors } = await read(file('key.csv', 'key,x\nk1,1\n'), { idColumn: 'key' });
    expect({ ids, vectors }).toEqual({ ids: ['k1'], vectors: [[1]] });
  });

  it.each<[string, InputOptions, string]>([
    ['x,y\n1,Alien\n', {}, "bad.csv, line 2: column 'y' has 'Alien', which is no number; columns of other things"],
    ['x,y\n1,\n', {}, "bad.csv, line 2: column 'y' has '', which is no number"],
    ['x,y\n1,2,3\n', {}, 'bad.csv, line 2: there are 3 fields, and the header has 2'],
    ['x,x\n1,2\n', {}, "bad.csv, line 1: there are two columns named 'x'"],
    ['id\n1\n', {}, 'bad.csv, line 1: no column is left for the vector'],
    ['x\n1\n', { idColumn: 'key' }, "bad.csv has no column 'key' (--id-column); it has 'x'"],
    ['x\n1\n', { attributeColumns: 'a' }, "bad.csv has no column 'a' (--attribute-columns); it has 'x'"],
    ['vector\n1 2\n1\n', {}, 'bad.csv, line 3: the vector has 1 numbers, and that of line 2 has 2'],
    ['vector\n1 b\n', {}, "bad.csv, line 2: the vector in column 'vector' is wrong: 'b' is no number"],
    ['x,a\n1,b\n', { attributeColumns: 'a:number' }, "bad.csv, line 2: column 'a': 'b' is no number"],
    ['x\n1\n"2\n', {}, 'bad.csv, line 3: '],
  ])('of %j is refused with the line', async (text, options, problem) => {
    expect(await problemOf(file('bad.csv', text), options)).toContain(problem);
  });
});

describe('files', () => {
  it('of other kinds are refused', async () => {
    mkdirSync(join(folder, 'folder.npy'));
    expect(await problemOf(join(folder, 'folder.npy'))).toBe('folder.npy is a directory, and a file is expected');
    expect(await problemOf(file('empty.fbin', ''))).toBe('empty.fbin is empty');
    expect(await problemOf(join(folder, 'none.npy'))).toBe('none.npy does not exist');
    expect((await failureOf(read(join(folder, 'none.npy')))).code).toBe('SCANNERY_NOT_FOUND');
    expect(await problemOf(file('a.xyz', 'x'))).toContain("has the extension '.xyz', and known are .npy");
  });

  it('that are cut are bad data, not a damaged index', async () => {
    const error = await failureOf(read(file('cut.fbin', bin('float32', 3, 2, [1, 2]))));
    expect(error.code).toBe('SCANNERY_INVALID_DATA');
    expect(error.message).toContain('cut.fbin is cut');
    const other = await failureOf(read(file('other.npy', 'something else')));
    expect(other.code).toBe('SCANNERY_INVALID_DATA');
  });
});

describe('side files', () => {
  const vectors = file('three.fbin', bin('float32', 3, 2, [1, 2, 3, 4, 5, 6]));

  it.each([
    ['ids.txt', 'a\n7\nc\n', ['a', 7, 'c']],
    ['ids.jsonl', '"a"\n"7"\n{"id": 8, "more": 1}\n', ['a', '7', 8]],
    ['ids.csv', 'name,id\nx,a\ny,7\nz,c\n', ['a', 7, 'c']],
  ])('%s gives ids', async (name, text, ids) => {
    expect((await read(vectors, { ids: file(name, text) })).ids).toEqual(ids);
  });

  it.each([
    ['more.jsonl', '{"x": 1}\nnull\n{"x": 2, "y": ["a"]}\n', [{ x: 1 }, undefined, { x: 2, y: ['a'] }]],
    ['more.csv', 'x,y\n1,a\n,\n2,true\n', [{ x: 1, y: 'a' }, {}, { x: 2, y: true }]],
  ])('%s gives attributes', async (name, text, attributes) => {
    expect((await read(vectors, { attributes: file(name, text) })).attributes).toEqual(attributes);
  });

  it('give the place of errors in them', async () => {
    const options = { ids: file('gap.jsonl', '"a"\n\n"b"\n"b"\n'), attributes: file('side.csv', 'x\n1\n2\n3\n') };
    const { input } = await read(vectors, options);
    expect(input.place(2, 'SCANNERY_DUPLICATE_ID')).toBe(`${options.ids}, line 4`);
    expect(input.place(1, 'SCANNERY_INVALID_ATTRIBUTE')).toBe(`${options.attributes}, line 3`);
    expect(input.place(1, 'SCANNERY_INVALID_VECTOR')).toBe(vectors);
  });

  it.each([
    ['ids', 'few.txt', 'a\nb\n', 'few.txt has ids for 2 rows, and three.fbin has 3 rows'],
    ['ids', 'many.txt', 'a\nb\nc\nd\n', 'many.txt has ids for 4 rows, and three.fbin has 3 rows'],
    ['attributes', 'few.jsonl', '{}\n', 'few.jsonl has attributes for 1 rows, and three.fbin has 3 rows'],
    ['attributes', 'many.csv', 'x\n1\n2\n3\n4\n5\n', 'many.csv has attributes for 5 rows, and three.fbin has 3 rows'],
    ['ids', 'gap.txt', 'a\n\nc\n', 'gap.txt, line 2: the line is empty, and an id is expected'],
    ['ids', 'ids.xml', 'a', 'should end in .txt, .jsonl, .ndjson, .csv'],
  ])('of the wrong size or kind are refused: %s %s', async (option, name, text, problem) => {
    expect(await problemOf(vectors, { [option]: file(name, text) })).toContain(problem);
  });

  it('do not go with a file that has its own', async () => {
    const own = file('own.jsonl', '{"id": 1, "vector": [1]}\n');
    expect(await problemOf(own, { ids: file('one.txt', 'a\n') })).toContain(
      '--ids is given, and own.jsonl has ids of its own',
    );
  });
});
