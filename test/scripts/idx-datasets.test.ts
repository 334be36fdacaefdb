import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadFashionMnist, loadMnist, UnavailableError } from '../../scripts/datasets/index.ts';

const TRAIN = 'train-images-idx3-ubyte';
const TEST = 't10k-images-idx3-ubyte';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'idx-datasets-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A file of `count` images of 2 x 2 pixels, numbered from `first` on. */
function idx(count: number, first = 0): Buffer {
  const pixels = Uint8Array.from({ length: count * 4 }, (_, i) => first + i);
  return Buffer.concat([Uint8Array.of(0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2), pixels]);
}

function writeSet(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${TRAIN}.gz`), gzipSync(idx(5)));
  writeFileSync(join(folder, TEST), idx(3, 100));
}

describe('mnist', () => {
  it('is read from files, and says which are missing', () => {
    expect(() => loadMnist({ directory: join(directory, 'nowhere') })).toThrow(UnavailableError);
    writeSet(directory);
    const set = loadMnist({ directory, heldOut: 2 });
    expect(set).toMatchObject({ name: 'mnist', dimensions: 4, queryIds: ['query 0', 'query 1'] });
    expect([...set.vectors]).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect([...set.queries]).toEqual([100, 101, 102, 103, 104, 105, 106, 107]);
    expect(set.ids).toHaveLength(5);
    expect(loadMnist({ directory, heldOut: 9 }).queryIds).toHaveLength(3);
  });

  it('asks with training images where there are no others', () => {
    writeFileSync(join(directory, TRAIN), idx(5));
    const set = loadMnist({ directory, heldOut: 2 });
    expect([set.vectors.length, set.queries.length]).toEqual([12, 8]);
    expect([...set.vectors, ...set.queries].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('refuses damaged files', () => {
    const path = join(directory, TRAIN);
    for (const bytes of [idx(5).subarray(0, 16), idx(5).subarray(0, 3), Buffer.concat([idx(5), Buffer.of(0)])]) {
      writeFileSync(path, bytes);
      expect(() => loadMnist({ directory })).toThrow(SyntaxError);
    }
    rmSync(path);
    writeFileSync(`${path}.gz`, gzipSync(idx(5)).subarray(0, -9));
    expect(() => loadMnist({ directory })).toThrow(/damaged/);
  });
});

/** A stand-in for a command: a script, run in the folder and with the arguments that the command would get. */
function standIn(name: string, script: string): string[] {
  const path = join(directory, `${name}.mjs`);
  writeFileSync(path, `import { cpSync, mkdirSync, writeFileSync } from 'node:fs';\n${script}`);
  return [process.execPath, path];
}

describe('fashion-mnist', () => {
  const cache = () => join(directory, 'cache', 'fashion-mnist');
  const installed = () => join(directory, 'installed');
  const nothing = ['apt-get-that-is-not-there'];
  const load = (aptCommand: string[], unpackCommand = nothing) =>
    loadFashionMnist({ directory: cache(), installedDirectory: installed(), heldOut: 2, aptCommand, unpackCommand });
  const downloads = () => standIn('apt', `writeFileSync(process.argv[3] + '_1.0_all.deb', process.argv[2]);`);

  it('comes from the cache, or from where the package is installed', async () => {
    writeSet(installed());
    const set = await load(nothing);
    expect(set).toMatchObject({ name: 'fashion-mnist', dimensions: 4, queryIds: ['query 0', 'query 1'] });
    expect(existsSync(cache())).toBe(false);
    writeSet(cache());
    rmSync(installed(), { recursive: true });
    expect(await load(nothing)).toEqual(set);
  });

  it('comes out of the package once, whose notice is kept with it', async () => {
    const source = join(directory, 'source');
    writeSet(source);
    const unpacks = standIn(
      'dpkg',
      `const [flag, file, target] = process.argv.slice(2);
      if (flag !== '-x' || file !== 'dataset-fashion-mnist_1.0_all.deb') process.exit(1);
      mkdirSync(target + '/usr/share/doc/dataset-fashion-mnist', { recursive: true });
      writeFileSync(target + '/usr/share/doc/dataset-fashion-mnist/copyright', 'MIT');
      cpSync(${JSON.stringify(source)}, target + '/usr/share/datasets/fashion-mnist', { recursive: true });`,
    );
    const told: string[] = [];
    const set = await loadFashionMnist({
      ...{ directory: cache(), installedDirectory: installed(), aptCommand: downloads(), unpackCommand: unpacks },
      progress: ({ phase, done, total }) => told.push(`${phase} ${done === total}`),
    });
    expect(set.queryIds).toHaveLength(3);
    expect([told[0], told.at(-1)]).toEqual(['download false', 'download true']);
    expect(readdirSync(join(directory, 'cache'))).toEqual(['fashion-mnist']);
    expect(readFileSync(join(cache(), 'copyright'), 'utf8')).toBe('MIT');
    expect((await load(nothing)).vectors).toEqual(set.vectors);
  });

  it('says what is missing and what to do, and leaves nothing behind', async () => {
    const failure = load(nothing);
    await expect(failure).rejects.toThrow(UnavailableError);
    await expect(failure).rejects.toThrow(/'apt-get-that-is-not-there' was not found.*put the files/);
    await expect(load(standIn('apt', ''))).rejects.toThrow(/left no package/);
    const unknown = `console.error('E: Unable to locate package dataset-fashion-mnist'); process.exit(100);`;
    await expect(load(standIn('apt', unknown))).rejects.toThrow(/had: Unable to locate package.*apt-get update/);
    await expect(load(downloads(), ['dpkg-deb-that-is-not-there'])).rejects.toThrow(/'dpkg-deb-that.* was not found/);
    await expect(load(downloads(), standIn('dpkg', ''))).rejects.toThrow(/does not hold/);
    expect(readdirSync(join(directory, 'cache'))).toEqual([]);
  });
});
