import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { at, dimensions, failure, json, prepareIndexes, rows, run } from '../support/cli-indexes.ts';
import { runHere } from '../support/command-line.ts';

prepareIndexes();

describe('tune', () => {
  it('prints the frontier and saves the choice', async () => {
    const tuned = await json('tune', at('plain'), '--target-recall', '0.8', '--k', '5', '--queries', at('plain.fbin'));
    expect(tuned).toMatchObject({ k: 5, queries: rows });
    expect(tuned.recall).toBeGreaterThanOrEqual(0.8);
    const { numLeavesToSearch, numReorderingCandidates } = tuned;
    const { config } = await json('inspect', at('plain'));
    expect(config.defaults).toMatchObject({ numLeavesToSearch, numReorderingCandidates });
    expect(await run('tune', at('plain'))).toMatch(/\* chosen, with 600 queries\n$/);
  });

  it('does not start while another process writes', async () => {
    const index = await Index.open(at('items'), { durability: 'none', threads: 1 });
    const { code, stderr } = await failure('tune', at('items'));
    await index.close();
    expect(code).toBe(5);
    expect(stderr).toContain('stop it, and try again');
  });

  it('refuses recalls that cannot be', async () => {
    expect(await failure('tune', at('plain'), '--target-recall', '2')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^--target-recall must be/),
    });
  });
});

describe('bench', () => {
  it('measures the default and what is to be tried', async () => {
    const { settings, queries } = await json(
      ...['bench', at('plain'), '--seconds', '0.05', '--leaves', '1,16', '--candidates', '600', '--k', '5'],
    );
    expect(queries).toBe(rows);
    expect(settings.length).toBe(3);
    expect(settings[2]).toMatchObject({ k: 5, numLeavesToSearch: 16, numReorderingCandidates: 600, recall: 1 });
    expect(settings[1].recall).toBeLessThan(1);
    for (const setting of settings) {
      for (const name of ['batchQps', 'qps', 'p50', 'p99']) expect(setting[name]).toBeGreaterThan(0);
    }
    const text = await run('bench', at('plain'), '--seconds', '0.05', '--queries', at('plain.fbin'));
    expect(text).toContain('QPS, one by one');
    expect((await failure('bench', at('plain'), '--leaves', '1,x')).stderr).toContain("--leaves has 'x'");
  });

  it('needs queries where the index keeps no vectors', async () => {
    const codes = ['--reordering', 'none', '--num-leaves', '4', '--threads', '1'];
    await run('build', at('plain.fbin'), '--output', at('codes'), ...codes);
    expect((await failure('bench', at('codes'))).stderr).toContain('name a file in --queries');
    const { settings } = await json('bench', at('codes'), '--queries', at('plain.fbin'), '--seconds', '0.05');
    expect(settings[0].recall).toBeNull();
  });
});

describe('inspect', () => {
  it('says what an index is made of', async () => {
    const said = await json('inspect', at('plain'));
    expect(said).toMatchObject({ size: rows, dimensions, metric: 'dot_product', numLeaves: 16, deleted: 0 });
    expect(said.health.leaves.count).toBe(16);
    expect(said.files.length).toBeGreaterThanOrEqual(2);
    const text = await run('inspect', at('plain'));
    expect(text).toMatch(/^vectors +600 of 8 dimensions, dot_product$/m);
    expect(text).toMatch(/^method +tree of 16 leaves, hashing of 2 dimensions per block, vectors as float32$/m);
    expect(text).toMatch(/^ +\d+(-\d+)? +\d+ +#+$/m);
    expect(text).toMatch(/generation-\d+\/index\.scannery/);
  });
});

describe('verify and repair', () => {
  async function damaged(name: string): Promise<string> {
    const directory = at(name);
    cpSync(at('items'), directory, { recursive: true });
    const index = await Index.open(directory, { durability: 'none', threads: 1 });
    for (let i = 0; i < 3; i++) await index.delete([`item-${i}`]);
    await index.close();
    const { files } = await json('verify', directory);
    const log = files.map(({ path }: { path: string }) => path).find((path: string) => path.endsWith('log.scannery'));
    const bytes = readFileSync(log);
    bytes[bytes.indexOf('SLOG', 4100) + 40]! ^= 1; // in the second write
    writeFileSync(log, bytes);
    return directory;
  }

  it('find nothing in a sound index', async () => {
    const { ok, files } = await json('verify', at('plain'));
    expect(ok).toBe(true);
    expect(files.every((file: { ok: boolean }) => file.ok)).toBe(true);
    expect(await run('verify', at('plain'))).toMatch(/^ok +generation-\d+\/index\.scannery/);
    expect(await run('repair', at('plain'), '--yes')).toContain('nothing to repair');
  });

  it('find a damaged log, and cut it off', async () => {
    const directory = await damaged('log-damage');
    const found = await runHere(['verify', directory, '--json']);
    expect(found.code).toBe(4);
    const log = JSON.parse(found.stdout).files.find(({ path }: { path: string }) => path.endsWith('log.scannery'));
    expect(log).toMatchObject({ ok: false, code: 'SCANNERY_CHECKSUM' });
    expect(log.message).toMatch(/from byte \d+ on .*; `scannery repair` keeps what is before$/);
    expect(JSON.parse(found.stderr).error).toMatchObject({ exitCode: 4, code: 'SCANNERY_CHECKSUM', path: log.path });
    expect((await failure('search', directory, '--id', 'item-9')).code).toBe(4);

    const asked = await failure('repair', directory);
    expect(asked).toEqual({ code: 2, stderr: 'there is no terminal to ask; --yes repairs log-damage without' });
    const { keptBytes, droppedBytes } = await json('repair', directory, '--yes');
    expect(keptBytes).toBeGreaterThan(0);
    expect(droppedBytes).toBeGreaterThan(0);
    expect((await json('inspect', directory)).size).toBe(rows - 1);
  });

  it('find a file that is missing', async () => {
    const directory = at('missing');
    cpSync(at('items'), directory, { recursive: true, filter: (path) => !path.includes('shard-0000') });
    const { code, stderr } = await runHere(['verify', directory]);
    expect(code).toBe(4);
    expect(stderr).toContain('shard-0000.scannery is missing');
  });
});

it.each(['search', 'tune', 'bench', 'inspect', 'verify', 'repair'])('%s needs an index', async (command) => {
  const rest = { search: ['--id', '1'], repair: ['--yes'] }[command] ?? [];
  const { code, stderr } = await failure(command, at('nowhere'), ...rest);
  expect(code).toBe(6);
  expect(stderr).toContain('nowhere holds no saved index; `scannery build INPUT --output');
});

it('leaves no temporary files', () => {
  const names = readdirSync(dirname(at('plain')), { recursive: true, encoding: 'utf8' });
  expect(names.filter((name) => /\.tmp$|LOCK/.test(name))).toEqual([]);
});
