import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BruteForce, load, type QueryModel } from '../../../src/recommender/index.ts';
import { ModelStore } from '../../../src/server/models/index.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';
import { listener, modelOf, open, publish, states, until } from '../../support/model-store.ts';
import { saveVersion } from '../../support/model-versions.ts';

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
