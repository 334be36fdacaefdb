import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTimes } from '../../scripts/load-test/histogram.ts';
import { readQueries, unitVectors } from '../../scripts/load-test/index-target.ts';
import { parseOptions, UsageError } from '../../scripts/load-test/options.ts';
import { linePoints, plotSvg } from '../../scripts/load-test/plot.ts';
import { createProgressLine } from '../../scripts/load-test/progress-line.ts';
import { runJson } from '../../scripts/load-test/report.ts';
import { run } from '../support/load.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('options', () => {
  it('have defaults', () => {
    expect(parseOptions([])).toMatchObject({
      target: { data: 'clustered', rows: 100_000, dimensions: 100, k: 10, seed: 42 },
      load: { rate: 1000, duration: 10_000, warmUp: 2000, maxOutstanding: 100_000, pace: 'spin' },
      ramp: undefined,
    });
    expect(parseOptions(['--find-rate', '--objective', '800us'])!.ramp).toMatchObject({
      objective: 0.8,
      percentile: 99,
    });
    expect(parseOptions(['--help'])).toBeUndefined();
  });

  it.each([
    ['--rate', 'many'],
    ['--rate', '0'],
    ['--rate', ''],
    ['--rate'],
    ['--duration', 'Infinity'],
    ['--rows', '1.5'],
    ['--max-outstanding', '0'],
    ['--data', 'other'],
    ['--pace', 'fast'],
    ['--find-rate', '--objective', '5'],
    ['--find-rate', '--percentile', '100'],
    ['--objective', '5ms'],
    ['--index', 'somewhere', '--rows', '5'],
    ['--data', 'glove', '--dimensions', '5'],
    ['--plot', 'plot.png'],
    ['--json', 'no/such/directory/file.json'],
    ['--unheard-of'],
    ['stray'],
  ])('refuses %s %s', (...args) => {
    let message = '';
    try {
      parseOptions(args.filter((arg) => arg !== undefined));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      ({ message } = error);
    }
    expect(message).toMatch(/^[^\n]+$/);
    expect(message).toContain(args.at(-1)!.startsWith('--') ? args.at(-1) : args.length > 1 ? args.at(-2) : args[0]);
  });
});

describe('results', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'load-test-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are JSON of one shape, null where nothing was measured', async () => {
    const shape = (result: Awaited<ReturnType<typeof run>>) =>
      JSON.parse(JSON.stringify(runJson({ result, usage: undefined, sharedBytes: 5 })));
    const full = shape(await run((_, clock) => clock.sleep(2)));
    expect(full).toMatchObject({ rate: 500, duration: 2000, errors: {}, dropped: 0, usage: null, sharedBytes: 5 });
    expect(Object.keys(full.latency)).toEqual(['count', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'max']);
    expect(full.latency['p99.9']).toBeCloseTo(2, 1);
    const empty = shape(await run(async () => {}, {}, AbortSignal.abort()));
    expect(Object.keys(empty)).toEqual(Object.keys(full));
    expect(empty).toMatchObject({ interrupted: true, arrived: 0, achievedRate: 0, latency: { count: 0, p99: null } });
  });

  it('are drawn, with latency and percentiles by logarithm', async () => {
    const times = createTimes();
    for (let i = 1; i <= 1000; i++) times.record(i < 990 ? 1 : 100);
    const points = linePoints({ name: 'all', times });
    expect(points[0]!.tail).toBe(1);
    expect(points[0]!.milliseconds).toBeCloseTo(1, 2);
    expect(points.at(-1)!.tail).toBeCloseTo(1000);
    expect(points.at(-1)!.milliseconds).toBe(100);
    const svg = await plotSvg('A title', [{ name: 'all', times }]);
    expect(svg).toMatch(/^<svg[\s\S]*<\/svg>$/);
    for (const text of ['A title', '99.9 %', 'milliseconds', 'all']) expect(svg).toContain(`>${text}<`);
  });

  it('have a line of progress, redrawn on a terminal and plain elsewhere', () => {
    const snapshot = { ...{ phase: 'measure' as const, arrived: 1500, answered: 1400 }, failed: 1, dropped: 2 };
    const written = (isTTY: boolean): string => {
      let text = '';
      const line = createProgressLine({ isTTY, write: (part) => (text += part) });
      for (const elapsed of [500, 1100, 1300, 2200]) line.show({ ...snapshot, elapsed, outstanding: 97 });
      line.finish();
      return text;
    };
    const plain = written(false);
    expect(plain.match(/\n/g)!.length).toBe(2);
    expect(plain).toContain('1.1 s, 1,500 arrived, 1,400 answered, 97 outstanding, 1 FAILED, 2 DROPPED');
    expect(written(true)).not.toContain('\n');
  });

  it('need queries, which are read from files or made up', () => {
    const [raw, json, bad] = ['q.f32', 'q.json', 'bad.json'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(raw, Buffer.from(Float32Array.of(1, 2, 3, 4).buffer));
    writeFileSync(json, '[[1, 2], [3, 4]]');
    writeFileSync(bad, '[[1, 2], [3]]');
    expect([...readQueries(raw, 2)]).toEqual([1, 2, 3, 4]);
    expect([...readQueries(json, 2)]).toEqual([1, 2, 3, 4]);
    expect(() => readQueries(bad, 2)).toThrow('row 1');
    expect(() => readQueries(raw, 3)).toThrow('12 bytes');
    expect(() => readQueries(join(folder, 'none.f32'), 3)).toThrow('ENOENT');
    const made = unitVectors(3, 5, 1);
    expect(made).toEqual(unitVectors(3, 5, 1));
    expect(Math.hypot(...made.subarray(5, 10))).toBeCloseTo(1, 6);
  });

  const script = (args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((done) => {
      const command = ['--import', 'tsx', 'scripts/load-test.ts', ...args];
      execFile(process.execPath, command, { cwd: root, timeout: 50_000 }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });

  it('come of a run of one second from end to end', async () => {
    const [json, plot] = [join(folder, 'run.json'), join(folder, 'run.svg')];
    const index = ['--rows', '500', '--dimensions', '8', '--threads', '1'];
    const load = ['--rate', '200', '--writes', '100', '--duration', '1', '--warm-up', '0.2', '--drain', '10'];
    const { code, stdout, stderr } = await script([...index, ...load, '--json', json, '--plot', plot]);
    expect(stderr).not.toMatch(/error/i);
    expect(code).toBe(0);
    expect(stdout).toMatch(/errors +none/);
    expect(stdout).toMatch(/writes +\d+ upserts, achieved [\d.]+\/s; errors: none/);
    expect(stdout).toMatch(/a write, from when it was due +[\d.]+/);
    expect(stdout).toMatch(/from when it was due +[\d.]+/);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(written).toMatchObject({ target: { rows: 500 }, load: { rate: 200 }, run: { errors: {}, dropped: 0 } });
    expect(written.run.answered).toBeGreaterThan(100);
    expect(written.writes).toBe(100);
    expect(written.run.writes).toMatchObject({ rate: 100, errors: {}, dropped: 0, unanswered: 0 });
    expect(written.run.writes.answered).toBeGreaterThan(50);
    expect(written.run.sharedBytes).toBeGreaterThan(500 * 8 * 4);
    expect(written.run.usage.threads.length).toBeGreaterThan(0);
    expect(readFileSync(plot, 'utf8')).toContain('<svg');
  });

  it('do not come of bad options, which end with the code 2 and a line', async () => {
    const { code, stdout, stderr } = await script(['--rate', 'fast']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe("--rate must be a number from 0.1 to 10000000, not 'fast'\n");
    expect(() => parseOptions(['--writes=-1'])).toThrow("--writes must be a number from 0 to 1000000, not '-1'");
    expect(parseOptions([])!.writes).toBeUndefined();
  });
});
