import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BruteForce, load, type QueryModel } from '../../../src/recommender/index.ts';
import { type ModelEvent, ModelStore } from '../../../src/server/models/index.ts';
import { filesIn, temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';
import { askWhile, publish as publishFrom, saveVersion } from '../../support/model-versions.ts';

const stock = temporaryDirectory();
const publish = (directory: string, version: number) => publishFrom(stock, directory, version);

/** Opens a store whose versions have one thread, as starting threads takes most of a test's time. */
const open: typeof ModelStore.open = (models, options) => ModelStore.open(models, { threads: 1, ...options });

/** A model's directory with these versions in it, which nobody looks at unless told to. */
async function modelOf(...versions: number[]): Promise<{ directory: string; pollMs: false }> {
  const directory = join(temporaryDirectory(), 'films');
  mkdirSync(directory);
  for (const version of versions) await publish(directory, version);
  return { directory, pollMs: false };
}

function listener(): { events: ModelEvent[]; told: string[]; onEvent: (event: ModelEvent) => void } {
  const events: ModelEvent[] = [];
  const told: string[] = [];
  const onEvent = (event: ModelEvent): void => {
    events.push(event);
    told.push('version' in event ? `${event.type} ${event.version}` : event.type);
  };
  return { events, told, onEvent };
}

const states = (store: ModelStore, name = 'films'): string[] =>
  store.status(name).model_version_status.map(({ version, state }) => `${version} ${state}`);

/** Waits until something that happens by itself has happened. */
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await delay(10);
  expect(condition()).toBe(true);
}

describe('a store', () => {
  it('serves the latest version, as the layer answers', async () => {
    const films = await modelOf(1, 2, 10);
    await using store = await open({ films }, { threads: 2 });
    expect(store.names).toEqual(['films']);
    using lease = store.acquire('films');
    expect(lease).toMatchObject({ model: 'films', version: 10 });
    await using layer = await load(join(films.directory, '10'));
    expect(await lease.layer.call(['42', 'nobody'])).toEqual(await layer.call(['42', 'nobody']));
    expect(store.status('films')).toEqual({
      model_version_status: [{ version: '10', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } }],
    });
    expect(await failureOf(() => store.acquire('films', 2))).toMatchObject({
      code: 'SCANNERY_NOT_FOUND',
      message: 'Servable not found for request: Specific(films, 2)',
    });
  });

  it('serves several models, several versions, and a directory that is itself a layer', async () => {
    const films = await modelOf(3, 4, 5);
    const chosen = await modelOf(1, 2, 3);
    const plain = temporaryDirectory();
    await saveVersion(plain, 77);
    await using store = await open({
      films: { ...films, versions: { latest: 2 } },
      chosen: { ...chosen, versions: [1, 3, 9] },
      plain,
    });
    expect(states(store)).toEqual(['5 AVAILABLE', '4 AVAILABLE']);
    expect(states(store, 'chosen')).toEqual(['3 AVAILABLE', '1 AVAILABLE']);
    expect(states(store, 'plain')).toEqual(['1 AVAILABLE']);
    using older = store.acquire('films', 4);
    const [, [titles]] = await older.layer.call(['7']);
    expect(titles![0]).toMatch(/^v4\//);
    using only = store.acquire('plain');
    expect((await only.layer.call(['7']))[1][0]![0]).toMatch(/^v77\//);
    await publish(films.directory, 6);
    await publish(films.directory, 7);
    await store.refresh();
    expect(states(store)).toEqual(['7 AVAILABLE', '5 AVAILABLE', '4 UNLOADING']);
    older.release();
    await until(() => states(store).join() === '7 AVAILABLE,6 AVAILABLE,5 END,4 END');
  });

  it('reads numbered folders and links to such, and nothing else', async () => {
    const films = await modelOf(7);
    const elsewhere = join(temporaryDirectory(), 'elsewhere');
    await saveVersion(elsewhere, 8);
    symlinkSync(elsewhere, join(films.directory, '00008'));
    mkdirSync(join(films.directory, '9-unfinished'));
    mkdirSync(join(films.directory, '99999999999999999999'));
    writeFileSync(join(films.directory, '12'), 'a file');
    await using store = await open({ films });
    expect(states(store)).toEqual(['8 AVAILABLE']);
  });

  it('loads a query model that cannot be saved by a function, and closes what that made', async () => {
    const directory = temporaryDirectory();
    const made: string[] = [];
    let closed = 0;
    const external: QueryModel = { embed: async (batch) => new Float32Array((batch as unknown[]).length * 2).fill(1) };
    await using layer = await new BruteForce({ queryModel: external }).index([[1, 2]], ['a']);
    await layer.save(directory);
    const queryModel = (path: string, version: number): QueryModel & { close(): void } => {
      made.push(`${path} ${version}`);
      return { ...external, close: () => void closed++ };
    };
    const store = await open({ plain: { directory, queryModel } });
    const lease = store.acquire('plain');
    expect(await lease.layer.call(['x'])).toEqual([[Float32Array.of(3)], [['a']]]);
    lease.release();
    expect(made).toEqual([`${directory} 1`]);
    await store.close();
    expect(closed).toBe(1);
  });
});

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

  it('fails nobody, and no answer is of two versions, over 20 swaps', async () => {
    const films = await modelOf(1);
    for (let version = 2; version <= 21; version++) await saveVersion(join(stock, `${version}`), version);
    await using store = await open({ films });
    const swaps = async (): Promise<void> => {
      for (let version = 2; version <= 21; version++) {
        await publish(films.directory, version);
        await store.refresh();
        await until(() => states(store)[0] === `${version} AVAILABLE`);
      }
    };
    const ask = async (user: string): Promise<string[]> => {
      using lease = store.acquire('films');
      const [scores, [titles]] = await lease.layer.call([user]);
      expect(scores[0]).toHaveLength(5);
      expect(titles!.every((title) => String(title).startsWith(`v${lease.version}/`))).toBe(true);
      return titles as string[];
    };
    const { answers, failures, mixed, versions } = await askWhile(swaps, ask, { clients: 8, k: 5 });
    expect(failures).toEqual([]);
    expect(mixed).toEqual([]);
    expect(answers).toBeGreaterThan(100);
    expect(versions).toEqual(Array.from({ length: 21 }, (_, i) => `v${i + 1}`));
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

  it('because the query tower does not fit the candidates is refused', async () => {
    const films = await modelOf(1);
    const external: QueryModel = { embed: async () => new Float32Array(3) };
    await using layer = await new BruteForce({ queryModel: external }).index([[1, 2]], ['a']);
    await layer.save(join(films.directory, '2'));
    await using store = await open({ films });
    expect(states(store)).toEqual(['2 END', '1 AVAILABLE']);
    expect(store.status('films', 2).model_version_status[0]!.status).toMatchObject({
      error_code: 'INVALID_ARGUMENT',
      error_message: expect.stringContaining('queryModel'),
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

describe('close', () => {
  it('waits for leases, and refuses new ones', async () => {
    const films = await modelOf(1);
    const store = await open({ films });
    const lease = store.acquire('films');
    let closed = false;
    const closing = store.close().then(() => {
      closed = true;
    });
    expect(await failureOf(() => store.acquire('films'))).toMatchObject({ code: 'SCANNERY_CLOSED' });
    expect(await failureOf(store.refresh())).toMatchObject({ code: 'SCANNERY_CLOSED' });
    expect((await lease.layer.call(['42']))[1][0]).toHaveLength(5);
    expect(closed).toBe(false);
    lease.release();
    await closing;
    expect(states(store)).toEqual(['1 END']);
    expect(store.close()).toBe(store.close());
  });

  it('ends a load, and tells nobody of a refusal', async () => {
    const films = await modelOf(1);
    const { told, onEvent } = listener();
    const store = await open({ films }, { onEvent });
    await publish(films.directory, 2);
    const refreshing = store.refresh();
    await until(() => states(store)[0] === '2 LOADING');
    await store.close();
    await refreshing;
    expect(states(store)).toEqual(['2 END', '1 END']);
    expect(told.filter((event) => event.startsWith('refused'))).toEqual([]);
  });
});

describe('open refuses', () => {
  it('a directory that is not there', async () => {
    const films = await modelOf(1);
    expect(await failureOf(ModelStore.open({ films, none: '/nowhere' }))).toMatchObject({
      code: 'SCANNERY_NOT_FOUND',
      path: '/nowhere',
    });
  });

  it.each<[unknown, unknown, string]>([
    [undefined, {}, 'models'],
    [{}, {}, 'models'],
    [{ 'a/b': 'x' }, {}, 'models'],
    [{ 'a:b': 'x' }, {}, 'models'],
    [{ '': 'x' }, {}, 'models'],
    [{ films: 7 }, {}, 'models.films'],
    [{ films: {} }, {}, 'models.films.directory'],
    [{ films: { directory: 'x', version: 1 } }, {}, 'models.films.version'],
    [{ films: { directory: 'x', versions: 'all' } }, {}, 'models.films.versions'],
    [{ films: { directory: 'x', versions: [] } }, {}, 'models.films.versions'],
    [{ films: { directory: 'x', versions: [1, -1] } }, {}, 'models.films.versions[1]'],
    [{ films: { directory: 'x', versions: { latest: 0 } } }, {}, 'models.films.versions.latest'],
    [{ films: { directory: 'x', pollMs: 1 } }, {}, 'models.films.pollMs'],
    [{ films: { directory: 'x', queryModel: {} } }, {}, 'models.films.queryModel'],
    [{ films: 'x' }, { threads: 0 }, 'threads'],
    [{ films: 'x' }, { onEvent: 1 }, 'onEvent'],
    [{ films: 'x' }, { poll: 1 }, 'poll'],
  ])('%j with %j', async (models, options, option) => {
    expect(await failureOf(ModelStore.open(models as never, options as never))).toMatchObject({
      code: 'SCANNERY_INVALID_OPTION',
      option,
    });
  });
});

function flipped(bytes: Buffer): Buffer {
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
}
