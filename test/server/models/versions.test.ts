import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { BruteForce, Embedding, type QueryModel, Tower } from '../../../src/recommender/index.ts';
import { modelRoutes } from '../../../src/server/models/routes.ts';
import { filesIn, temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';
import { listener, modelOf, open, publish, states, until } from '../../support/model-store.ts';
import { askWhile, saveVersion } from '../../support/model-versions.ts';

describe('a new version', () => {
  it('takes over by itself', async () => {
    const { directory } = await modelOf(1);
    const { told, onEvent } = listener();
    await using store = await open({ films: { directory, pollMs: 20 } }, { onEvent });
    await publish(directory, 2);
    await until(() => told.includes('unloaded 1'));
    expect(told).toEqual(['available 1', 'available 2', 'unloaded 1']);
    expect(states(store)).toEqual(['2 AVAILABLE', '1 END']);
    rmSync(join(directory, '1'), { recursive: true });
    await until(() => states(store).length === 1);
  });

  it('is asked by nobody before it is loaded, and one by one', async () => {
    const films = await modelOf(1);
    const others = await modelOf(1);
    await using store = await open({ films, others });
    await publish(films.directory, 2);
    await publish(others.directory, 2);
    const refreshed = store.refresh();
    const seen = new Set<string>();
    let loading = true;
    void refreshed.finally(() => {
      loading = false;
    });
    while (loading) {
      const now = [...states(store), ...states(store, 'others')];
      expect(now.filter((state) => state.endsWith(' LOADING')).length).toBeLessThanOrEqual(1);
      for (const state of now) seen.add(state);
      using lease = store.acquire('films');
      expect(now).toContain(lease.version === 1 ? '1 AVAILABLE' : '2 AVAILABLE');
      await delay(1);
    }
    expect([...seen]).toEqual(expect.arrayContaining(['1 AVAILABLE', '2 START', '2 LOADING']));
    expect(states(store)[0]).toBe('2 AVAILABLE');
    expect(states(store, 'others')[0]).toBe('2 AVAILABLE');
  });

  it('leaves the old one open until its leases have ended, and is not followed by a third before', async () => {
    const films = await modelOf(1);
    const { told, onEvent } = listener();
    await using store = await open({ films }, { onEvent });
    const first = store.acquire('films');
    const second = store.acquire('films');
    await publish(films.directory, 2);
    await store.refresh();
    await publish(films.directory, 3);
    await store.refresh();
    expect(states(store)).toEqual(['2 AVAILABLE', '1 UNLOADING']);
    expect((await first.layer.call(['42']))[1][0]![0]).toMatch(/^v1\//);
    first.release();
    first.release();
    expect((await second.layer.call(['42']))[1][0]![0]).toMatch(/^v1\//);
    expect(told).toEqual(['available 1', 'available 2']);
    second.release();
    await until(() => told.length === 5);
    expect(told.slice(2)).toEqual(['unloaded 1', 'available 3', 'unloaded 2']);
    expect(await failureOf(second.layer.call(['42']))).toMatchObject({ code: 'SCANNERY_CLOSED' });
  });

  it('fails nobody, and no answer is of two versions, over 20 swaps', { timeout: 240_000 }, async () => {
    const films = await modelOf(1);
    // Neighbouring versions differ; making as many as are published would take most of the time.
    const made = (version: number): number => 1 + (version % 4);
    await using store = await open({ films });
    const app = fastify();
    await app.register(modelRoutes, { store });
    let latest: string | undefined;
    const swaps = async (): Promise<void> => {
      for (let version = 2; version <= 21; version++) {
        await publish(films.directory, version, made(version));
        await store.refresh();
        await until(() => states(store)[0] === `${version} AVAILABLE` && latest === `v${made(version)}`);
      }
    };
    const ask = async (user: string): Promise<string[]> => {
      const payload = { instances: [user] };
      const answer = await app.inject({ method: 'POST', url: '/v1/models/films:predict', payload });
      if (answer.statusCode !== 200) throw new Error(answer.body);
      const [{ output_1, output_2 }] = answer.json().predictions;
      expect(output_1).toHaveLength(5);
      [latest] = output_2[0].split('/');
      return output_2;
    };
    const { answers, failures, mixed, versions } = await askWhile(swaps, ask, { clients: 8, k: 5 });
    await app.close();
    expect(failures).toEqual([]);
    expect(mixed).toEqual([]);
    expect(answers).toBeGreaterThan(100);
    expect(versions).toEqual(['v1', 'v3', 'v4', 'v2']);
  });
});

describe('a version that cannot be loaded', () => {
  it.each<[string, string, (path: string) => void]>([
    ['cut', 'DATA_LOSS', (path) => writeFileSync(path, readFileSync(path).subarray(0, -1))],
    ['damaged', 'DATA_LOSS', (path) => writeFileSync(path, flipped(readFileSync(path)))],
    ['missing', 'DATA_LOSS', (path) => rmSync(path)],
  ])('because a file is %s is refused until its files change', async (_, code, spoil) => {
    const films = await modelOf(1);
    const { events, told, onEvent } = listener();
    await using store = await open({ films }, { onEvent });
    const whole = join(temporaryDirectory(), '2');
    await saveVersion(whole, 2);
    const name = filesIn(whole).find((file) => file.includes('shard'))!;
    const broken = join(films.directory, '2');
    cpSync(whole, broken, { recursive: true });
    spoil(join(broken, name));
    await store.refresh();
    await store.refresh();
    expect(told).toEqual(['available 1', 'refused 2']);
    expect(events[1]).toMatchObject({ model: 'films', error: { code: expect.stringMatching(/TRUNCATED|CHECKSUM/) } });
    const [refused, serving] = store.status('films').model_version_status;
    expect(refused).toMatchObject({ version: '2', state: 'END', status: { error_code: code } });
    expect(refused!.status.error_message).toContain(name);
    expect(serving).toMatchObject({ version: '1', state: 'AVAILABLE' });
    using lease = store.acquire('films');
    expect(lease.version).toBe(1);
    expect((await lease.layer.call(['42']))[1][0]![0]).toMatch(/^v1\//);
    cpSync(join(whole, name), join(broken, name));
    await store.refresh();
    expect(states(store)).toEqual(['2 AVAILABLE', '1 UNLOADING']);
  });

  it('is passed over for the next lower one, and forgotten when it is gone', async () => {
    const films = await modelOf(3);
    mkdirSync(join(films.directory, '4'));
    await using store = await open({ films });
    expect(states(store)).toEqual(['4 END', '3 AVAILABLE']);
    expect(store.status('films', 4).model_version_status[0]!.status).toMatchObject({ error_code: 'NOT_FOUND' });
    rmSync(join(films.directory, '4'), { recursive: true });
    await store.refresh();
    expect(states(store)).toEqual(['3 AVAILABLE']);
  });

  it.each<[string, QueryModel, string]>([
    ['is missing', { embed: async () => new Float32Array(3) }, 'give it as `queryModel`'],
    ['does not fit the candidates', new Tower([new Embedding(2, 3)]), 'embeddings of 3 numbers, candidates have 2'],
  ])('because the query model %s is refused', async (_, queryModel, message) => {
    const films = await modelOf(1);
    await using layer = await new BruteForce({ queryModel, threads: 1 }).index([[1, 2]], ['a']);
    await layer.save(join(films.directory, '2'));
    await using store = await open({ films });
    expect(states(store)).toEqual(['2 END', '1 AVAILABLE']);
    expect(store.status('films', 2).model_version_status[0]!.status).toEqual({
      error_code: 'INVALID_ARGUMENT',
      error_message: expect.stringContaining(message),
    });
  });

  it('does not keep a store from opening, which serves as soon as there is one that can', async () => {
    const films = await modelOf();
    await using store = await open({ films });
    expect(await failureOf(() => store.status('films'))).toMatchObject({
      code: 'SCANNERY_NOT_FOUND',
      message: 'Could not find any versions of model films',
    });
    expect(await failureOf(() => store.acquire('films'))).toMatchObject({
      code: 'SCANNERY_NOT_FOUND',
      message: 'Servable not found for request: Latest(films)',
    });
    await publish(films.directory, 1);
    await store.refresh();
    expect(states(store)).toEqual(['1 AVAILABLE']);
  });
});

describe('a version that goes from the disk', () => {
  it('is served until another is there, a lower one too', async () => {
    const films = await modelOf(2);
    await using store = await open({ films });
    renameSync(join(films.directory, '2'), `${films.directory}-2`);
    await store.refresh();
    expect(states(store)).toEqual(['2 AVAILABLE']);
    await publish(films.directory, 1);
    await store.refresh();
    using lease = store.acquire('films');
    expect(lease.version).toBe(1);
  });

  it('may come back while it drains', async () => {
    const films = await modelOf(1, 2);
    await using store = await open({ films });
    const lease = store.acquire('films');
    renameSync(join(films.directory, '2'), `${films.directory}-2`);
    await store.refresh();
    expect(states(store)).toEqual(['2 UNLOADING', '1 AVAILABLE']);
    renameSync(`${films.directory}-2`, join(films.directory, '2'));
    await store.refresh();
    expect(states(store)).toEqual(['2 UNLOADING', '1 AVAILABLE']);
    lease.release();
    await until(() => states(store)[0] === '2 AVAILABLE');
    using again = store.acquire('films');
    expect((await again.layer.call(['42']))[1][0]![0]).toMatch(/^v2\//);
  });

  it('with its whole directory is told once, and serves on', async () => {
    const { directory } = await modelOf(1);
    const { told, onEvent } = listener();
    await using store = await open({ films: { directory, pollMs: 10 } }, { onEvent });
    renameSync(directory, `${directory}-away`);
    await until(() => told.includes('unreadable'));
    expect(await failureOf(store.refresh())).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: directory });
    await delay(50);
    expect(told).toEqual(['available 1', 'unreadable']);
    expect(states(store)).toEqual(['1 AVAILABLE']);
    renameSync(`${directory}-away`, directory);
    await publish(directory, 2);
    await until(() => told.includes('available 2'));
  });
});

function flipped(bytes: Buffer): Buffer {
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}
