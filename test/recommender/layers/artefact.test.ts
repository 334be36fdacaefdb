import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Index } from '../../../src/index.ts';
import {
  BruteForce,
  Dense,
  Embedding,
  load,
  type QueryModel,
  ScaNN,
  StringLookup,
  Tower,
} from '../../../src/recommender/index.ts';
import { filesIn, fingerprint, temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';
import { Random } from '../../support/random.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const USERS = ['42', '7', 'zoë', 'a b'];
const DIMENSIONS = 6;
const SIZE = 500;
const candidates = new Random(1).normals(SIZE, DIMENSIONS);
// Titles repeat: every tenth is empty.
const titles = Array.from({ length: SIZE }, (_, i) => (i % 10 === 0 ? '' : `film “${i}”`));
const asked = [...USERS, 'nobody'];

const simple = (): Tower => new Tower([new StringLookup({ vocabulary: USERS }), new Embedding(5, DIMENSIONS)]);
const deep = (): Tower =>
  new Tower({ user: [new StringLookup({ vocabulary: USERS }), new Embedding(5, 3)], age: [new Embedding(4, 5)] }, [
    new Dense(9, { activation: 'relu' }),
    new Dense(DIMENSIONS, { useBias: false }),
  ]);
const scann = (queryModel?: QueryModel) =>
  new ScaNN({ queryModel, k: 7, numLeaves: 20, numLeavesToSearch: 5, numReorderingCandidates: 50, threads: 2 });

describe('a saved layer', () => {
  it.each<[string, () => BruteForce | ScaNN]>([
    ['BruteForce', () => new BruteForce({ queryModel: simple(), k: 4 })],
    ['ScaNN with reordering', () => scann(simple())],
    ['ScaNN without reordering', () => new ScaNN({ queryModel: simple(), numLeaves: 10, numLeavesToSearch: 10 })],
    ['ScaNN by distance', () => new ScaNN({ queryModel: simple(), distanceMeasure: 'squared_l2' })],
  ])('%s answers as before, and by default as it was told', async (_, make) => {
    const directory = temporaryDirectory();
    await using layer = await make().index(candidates, titles);
    const before = await layer.call(asked);
    const some = await layer.queryWithExclusions(['42'], [[before[1][0]![0]!]], 3);
    await layer.save(directory);
    await using loaded = await load(directory);
    expect(loaded.constructor).toBe(layer.constructor);
    expect(loaded.isExact()).toBe(layer.isExact());
    expect(loaded.size).toBe(SIZE);
    expect(await loaded.call(asked)).toEqual(before);
    expect(before[1][0]).toHaveLength(layer.k);
    expect(await loaded.queryWithExclusions(['42'], [[before[1][0]![0]!]], 3)).toEqual(some);
  });

  it('keeps a tower of several features and dense layers', async () => {
    const directory = temporaryDirectory();
    const queries = { user: asked, age: [0, 1, 2, 3, 1] };
    await using layer = await scann(deep()).index(candidates, titles);
    const before = await layer.call(queries);
    await layer.save(directory);
    await using loaded = await load(directory);
    expect(await loaded.call(queries)).toEqual(before);
    expect(await loaded.queryModel!.embed(queries)).toEqual(await layer.queryModel!.embed(queries));
  });

  it('keeps identifiers of every type, or none', async () => {
    const kinds = { integers: titles.map((_, i) => i % 7), mixed: titles.map((t, i) => (i % 3 === 0 ? BigInt(i) : t)) };
    for (const ids of [kinds.integers, kinds.mixed, undefined]) {
      const directory = temporaryDirectory();
      await using layer = await scann().index(
        Array.from({ length: SIZE }, (_, i) => candidates.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS)),
        ids,
      );
      await layer.save(directory);
      await using loaded = await load(directory);
      const query = candidates.subarray(0, DIMENSIONS);
      expect(await loaded.call(query)).toEqual(await layer.call(query));
    }
  });

  it('may be empty, and may have a vocabulary of nothing', async () => {
    const directory = temporaryDirectory();
    const tower = new Tower([new StringLookup({ vocabulary: [] }), new Embedding(1, DIMENSIONS)]);
    await using layer = await new BruteForce({ queryModel: tower }).index([], []);
    await layer.save(directory);
    await using loaded = await load(directory);
    expect(await loaded.call(['42'])).toEqual([[new Float32Array(0)], [[]]]);
  });

  it('loads with a query model of the user where it had one that is no Tower', async () => {
    const directory = temporaryDirectory();
    const queryModel: QueryModel = {
      embed: async (batch) => candidates.slice(0, (batch as string[]).length * DIMENSIONS),
    };
    await using layer = await scann(queryModel).index(candidates, titles);
    await layer.save(directory);
    expect(await failureOf(load(directory))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'queryModel' });
    await using loaded = await load(directory, { queryModel });
    expect(await loaded.call(['x', 'y'])).toEqual(await layer.call(['x', 'y']));
  });

  it('loads in a process that has nothing but the directory', async () => {
    const directory = temporaryDirectory();
    await using layer = await scann(simple()).index(candidates, titles);
    await layer.save(directory);
    const program = `
      import { load } from ${JSON.stringify(join(root, 'src/recommender/index.ts'))};
      const layer = await load(${JSON.stringify(directory)});
      const [scores, titles] = await layer.call(['42']);
      console.log(JSON.stringify([[...scores[0]], titles[0]]));
      await layer.close();
    `;
    const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
    const ran = spawnSync(process.execPath, ['--import', loader, '--input-type=module', '-e', program], {
      encoding: 'utf8',
    });
    expect(ran.stderr).toBe('');
    const [scores, found] = await layer.call(['42']);
    expect(JSON.parse(ran.stdout)).toEqual([[...scores[0]!], found[0]]);
  });

  it('gives equal files for equal layers, whatever the threads', async () => {
    const prints = [];
    for (const threads of [1, 2]) {
      const directory = temporaryDirectory();
      const options = { queryModel: simple(), numLeaves: 20, numReorderingCandidates: 50, shards: 2, threads };
      await using layer = await new ScaNN(options).index(candidates, titles);
      await layer.save(directory);
      prints.push(fingerprint(directory));
      await using loaded = await load(directory, { threads: 1 });
      const again = temporaryDirectory();
      await loaded.save(again);
      expect(fingerprint(again)).toEqual(prints[0]);
    }
    expect(prints[1]).toEqual(prints[0]);
  });

  it('is an index, too', async () => {
    const directory = temporaryDirectory();
    await using layer = await scann().index(candidates, titles);
    await layer.save(directory);
    await using index = await Index.open(directory);
    expect(index.size).toBe(SIZE);
  });
});

describe('load and save refuse', () => {
  it('a directory that is none, or is an index alone', async () => {
    expect(await failureOf(load('/nowhere'))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: '/nowhere' });
    const directory = temporaryDirectory();
    const index = await Index.build({ vectors: [[1, 2]] });
    await index.save(directory);
    await index.close();
    expect(await failureOf(load(directory))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: directory });
  });

  it('wrong options', async () => {
    expect(await failureOf(load('/nowhere', { thread: 1 } as never))).toMatchObject({ option: 'thread' });
    expect(await failureOf(load('/nowhere', { queryModel: {} as never }))).toMatchObject({ option: 'queryModel' });
    expect(await failureOf(load(7 as never))).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'directory' });
  });

  it('a layer that has no candidates yet, or is closed', async () => {
    const layer = scann(simple());
    expect(await failureOf(layer.save(temporaryDirectory()))).toMatchObject({ code: 'SCANNERY_NOT_INDEXED' });
    await layer.index(candidates, titles);
    await layer.close();
    expect(await failureOf(layer.save(temporaryDirectory()))).toMatchObject({ code: 'SCANNERY_CLOSED' });
  });

  it('every file that is cut or has a flipped bit', async () => {
    const directory = temporaryDirectory();
    await using layer = await scann(simple()).index(candidates, titles);
    await layer.save(directory);
    const names = filesIn(directory);
    expect(names.some((name) => name.endsWith('recommender.scannery'))).toBe(true);
    for (const name of names) {
      const path = join(directory, name);
      const whole = readFileSync(path);
      writeFileSync(path, whole.subarray(0, whole.length - 1));
      expect((await failureOf(load(directory))).code, `${name}, cut`).toMatch(/TRUNCATED|CHECKSUM/);
      const bytes = Buffer.from(whole);
      bytes[whole.length - 1]! ^= 1;
      writeFileSync(path, bytes);
      expect((await failureOf(load(directory))).code, `${name}, flipped`).toMatch(/CHECKSUM|TRUNCATED/);
      rmSync(path);
      expect((await failureOf(load(directory))).code, `${name}, gone`).toMatch(/TRUNCATED|NOT_FOUND/);
      writeFileSync(path, whole);
    }
    await using loaded = await load(directory);
    expect(await loaded.call(['42'])).toEqual(await layer.call(['42']));
  });
});
