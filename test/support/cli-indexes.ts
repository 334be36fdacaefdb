import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { runHere } from './command-line.ts';
import { Random } from './random.ts';
import { bin } from './vector-files.ts';

export const [rows, dimensions] = [600, 8];
export const values = new Random(5).normals(rows, dimensions);
export const vectors = Array.from({ length: rows }, (_, i) =>
  Array.from(values.subarray(i * dimensions, (i + 1) * dimensions)),
);

const folder = mkdtempSync(join(tmpdir(), 'scannery-cli-'));

/** A path in the folder of the test. */
export const at = (name: string): string => join(folder, name);

/** Commands that open an index start with one thread, which is faster. */
const withThread = (args: readonly string[]): string[] =>
  ['build', 'convert', 'repair'].includes(args[0]!) ? [...args, '--quiet'] : [...args, '--quiet', '--threads', '1'];

/** What a command prints, which must succeed. */
export async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runHere(withThread(args));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

export const json = async (...args: string[]) => JSON.parse(await run(...args, '--json'));

/** How a command fails, which prints nothing. */
export async function failure(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  const { code, stdout, stderr } = await runHere(withThread(args));
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^scannery: [^\n]*\n$/);
  return { code, stderr: stderr.replaceAll(`${folder}/`, '').slice('scannery: '.length, -1) };
}

/** Makes files of vectors, and indexes of them: `plain` with a tree and rows as ids, `items` with ids and attributes. */
export function prepareIndexes(): void {
  beforeAll(async () => {
    writeFileSync(at('plain.fbin'), bin('float32', rows, dimensions, Array.from(values)));
    const item = (vector: number[], i: number) => ({
      id: `item-${i}`,
      vector,
      attributes: { year: 1990 + (i % 30), color: i % 3 === 0 ? ['blue', 'red'] : 'green' },
    });
    writeFileSync(at('items.jsonl'), vectors.map((vector, i) => `${JSON.stringify(item(vector, i))}\n`).join(''));
    await run('build', at('plain.fbin'), '--output', at('plain'), '--num-leaves', '16', '--threads', '1');
    await run('build', at('items.jsonl'), '--output', at('items'), '--metric', 'cosine', '--threads', '1');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
}
