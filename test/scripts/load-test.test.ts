import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Clock } from '../../scripts/load-test/clock.ts';
import { parseThreadStat, threadTimes, threadUse, watchUsage } from '../../scripts/load-test/cpu.ts';
import { drive, errorCode, type Load, type Target } from '../../scripts/load-test/driver.ts';
import { createTimes } from '../../scripts/load-test/histogram.ts';
import { readQueries, unitVectors } from '../../scripts/load-test/index-target.ts';
import { parseOptions, UsageError } from '../../scripts/load-test/options.ts';
import { linePoints, plotSvg } from '../../scripts/load-test/plot.ts';
import { createProgressLine } from '../../scripts/load-test/progress-line.ts';
import { findRate, type Measured } from '../../scripts/load-test/ramp.ts';
import { runJson, runReport } from '../../scripts/load-test/report.ts';
import { poissonSchedule } from '../../scripts/load-test/schedule.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A clock that jumps to what is awaited next as soon as everything else has come to rest. */
function virtualClock(): Clock & { readonly block: (milliseconds: number) => void; stop(): void } {
  let now = 1000; // not 0, as nothing may rely on the origin
  let running = true;
  const sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  const until = (at: number): Promise<void> => new Promise((wake) => void sleepers.push({ at, wake }));
  void (async () => {
    while (running) {
      await nextTurn();
      sleepers.sort((a, b) => a.at - b.at);
      const next = sleepers.shift();
      if (next === undefined) continue;
      now = Math.max(now, next.at);
      next.wake();
    }
  })();
  return {
    now: () => now,
    turn: () => until(now + 0.05),
    // Some of it at the least, or a wait that rounds to nothing would never end.
    sleep: (milliseconds) => until(now + Math.max(milliseconds, 0.001)),
    block: (milliseconds) => {
      now += milliseconds;
    },
    stop: () => {
      running = false;
    },
  };
}

const LOAD: Load = {
  ...{ rate: 500, duration: 2000, warmUp: 0, drain: 1000, maxOutstanding: 1000, pace: 'timer', seed: 1 },
};

type Answer = (queryIndex: number, clock: ReturnType<typeof virtualClock>) => Promise<void>;

async function run(answer: Answer, load: Partial<Load> = {}, signal?: AbortSignal) {
  const clock = virtualClock();
  const target: Target = { search: (i) => answer(i, clock), close: async () => {} };
  try {
    return await drive(target, 10, { ...LOAD, ...load }, { clock, signal });
  } finally {
    clock.stop();
  }
}

describe('the Poisson schedule', () => {
  const gaps = (rate: number, seed: number, count = 50_000): number[] => {
    const next = poissonSchedule(rate, seed);
    let before = 0;
    return Array.from({ length: count }, () => {
      const at = next();
      const gap = at - before;
      before = at;
      return gap;
    });
  };

  it('has exponential gaps of the mean that the rate asks for', () => {
    const found = gaps(200, 7);
    const mean = found.reduce((sum, gap) => sum + gap, 0) / found.length;
    const deviation = Math.sqrt(found.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / found.length);
    expect(mean).toBeCloseTo(5, 0);
    expect(deviation / mean).toBeGreaterThan(0.97);
    expect(deviation / mean).toBeLessThan(1.03);
    expect(found.filter((gap) => gap > 5).length / found.length).toBeCloseTo(Math.exp(-1), 1);
    expect(Math.min(...found)).toBeGreaterThanOrEqual(0);
  });

  it('is the same for the same seed, and another for another', () => {
    expect(gaps(200, 7, 100)).toEqual(gaps(200, 7, 100));
    expect(gaps(200, 7, 100)).not.toEqual(gaps(200, 8, 100));
  });
});

describe('times', () => {
  it('are kept to three digits from microseconds to minutes', () => {
    for (const time of [0.0123, 4.56, 78.9, 123_456]) {
      const times = createTimes();
      times.record(time);
      times.record(2 * time);
      expect(Math.abs(times.at(50) / time - 1)).toBeLessThan(0.002);
      expect(times.max).toBe(2 * time);
      expect(times.mean).toBeCloseTo(1.5 * time, 8);
    }
  });

  it('are unknown while there are none', () => {
    const times = createTimes();
    expect([times.mean, times.max, times.at(99)]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  });
});

describe('the driver', () => {
  it('asks the queries in turn, and answers the rate', async () => {
    const asked: number[] = [];
    const result = await run((i, clock) => {
      asked.push(i);
      return clock.sleep(3);
    });
    expect(asked.slice(0, 12)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    expect(result.arrived).toBe(asked.length);
    expect(result.arrived).toBeGreaterThan(880);
    expect(result.arrived).toBeLessThan(1120);
    expect(result.answered).toBe(result.arrived);
    expect(result.achievedRate).toBeCloseTo(result.offeredRate, 0);
    expect(result.latency.at(99)).toBeCloseTo(3, 1);
    expect(result).toMatchObject({ dropped: 0, errors: {}, unanswered: 0, interrupted: false });
  });

  it('counts latency from when queries were due, so that one stall of 100 ms shows in many', async () => {
    let asked = 0;
    const result = await run(async (_, clock) => {
      // A stall of the whole thread, during which a closed loop would send nothing.
      if (++asked === 300) clock.block(100);
    });
    const slow = result.latency.count * (1 - share(result.latency, 10));
    // 500 a second for the 90 ms that are left of the stall when the wait falls below 10 ms.
    expect(slow).toBeGreaterThan(25);
    expect(slow).toBeLessThan(70);
    expect(result.latency.max).toBeGreaterThan(95);
    expect(result.lateness.max).toBeGreaterThan(80);
    // From the call, it is one in a thousand, as a closed loop would have it.
    expect(result.service.at(99.8)).toBeLessThan(1);
  });

  it('goes on sending while answers do not come', async () => {
    let asked = 0;
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const result = await run(async (_, clock) => {
      asked++;
      if (asked === 100) void clock.sleep(100).then(release);
      if (asked >= 100) await gate;
    });
    expect(result.peakOutstanding).toBeGreaterThan(30);
    expect(result.latency.count * (1 - share(result.latency, 10))).toBeGreaterThan(25);
    expect(result.lateness.max).toBeLessThan(1);
  });

  it('counts arrivals beyond the greatest number of unanswered ones as dropped', async () => {
    const result = await run((_, clock) => clock.sleep(1e6), { maxOutstanding: 50, drain: 500 });
    expect(result.dropped).toBe(result.arrived - 50);
    expect(result.unanswered).toBe(50);
    expect(result.answered).toBe(0);
    expect(result.achievedRate).toBe(0);
    // Unanswered ones count with their age.
    expect(result.latency.count).toBe(50);
    expect(result.latency.at(1)).toBeGreaterThan(500);
    expect(runReport({ result, usage: undefined, sharedBytes: undefined })).toMatch(/DROPPED[\s\S]*UNANSWERED/);
  });

  it('counts errors by code, thrown or rejected, and not as answers', async () => {
    let asked = 0;
    const result = await run((): Promise<void> => {
      asked++;
      if (asked === 5) throw new RangeError('thrown');
      if (asked % 100 === 0) return Promise.reject(Object.assign(new Error('busy'), { code: 'SCANNERY_BUSY' }));
      return Promise.resolve();
    });
    expect(result.errors).toEqual({ RangeError: 1, SCANNERY_BUSY: Math.floor(asked / 100) });
    expect(result.answered).toBe(asked - 1 - Math.floor(asked / 100));
    expect(result.latency.count).toBe(result.answered);
    expect(errorCode('a string')).toBe('unknown');
  });

  it('leaves the warm-up out, and says what it dropped', async () => {
    const clock = virtualClock();
    const marks: string[] = [];
    const start = clock.now();
    const target: Target = {
      search: () => (clock.now() - start < 900 ? clock.sleep(50) : Promise.resolve()),
      close: async () => {},
    };
    const result = await drive(
      target,
      1,
      { ...LOAD, warmUp: 1000, maxOutstanding: 5 },
      {
        clock,
        onMeasure: (started) => void marks.push(`${started} ${Math.round(clock.now() - start)}`),
      },
    );
    clock.stop();
    expect(marks[0]).toMatch(/^true 100[0-2]$/);
    expect(marks[1]).toMatch(/^false 300[0-2]$/);
    expect(result.dropped).toBe(0);
    expect(result.warmUp.dropped).toBeGreaterThan(100);
    expect(result.latency.max).toBeLessThan(1);
  });

  it('tells from the answers that a target cannot keep up', async () => {
    let free = 0;
    const result = await run(
      (_, clock) => {
        free = Math.max(free, clock.now()) + 4; // one at a time, 250 a second
        return clock.sleep(free - clock.now());
      },
      { drain: 10_000 },
    );
    expect(result.achievedRate).toBeGreaterThan(240);
    expect(result.achievedRate).toBeLessThan(260);
    expect(result.unanswered).toBe(0);
  });

  it('ends early when interrupted, with what was measured until then', async () => {
    const controller = new AbortController();
    let asked = 0;
    const result = await run(
      async () => {
        if (++asked === 200) controller.abort();
      },
      {},
      controller.signal,
    );
    expect(result.interrupted).toBe(true);
    expect(result.answered).toBe(200);
    expect(result.duration).toBeGreaterThan(300);
    expect(result.duration).toBeLessThan(500);
    expect(result.achievedRate).toBeCloseTo(result.offeredRate, 5);
  });

  it('is as punctual as its turns when it spins, and knows the time spun', async () => {
    const result = await run((_, clock) => clock.sleep(0.5), { pace: 'spin', duration: 500 });
    expect(result.lateness.max).toBeLessThan(0.11);
    expect(result.spinning).toBeGreaterThan(0.3);
    expect(result.spinning).toBeLessThan(1);
  });
});

/** Part of the records that are at most so many milliseconds. */
function share(times: { at(percentile: number): number }, milliseconds: number): number {
  let part = 0;
  while (part < 1000 && times.at(part / 10) <= milliseconds) part++;
  return part / 1000;
}

describe('the search for a rate', () => {
  /** A queue with one server, whose latency grows without bound towards `knee`. */
  const queue =
    (knee: number) =>
    async (rate: number): Promise<Measured> => ({
      offeredRate: rate,
      achievedRate: Math.min(rate, knee),
      latency: rate < knee ? 1000 / (knee - rate) : 1e4,
      dropped: 0,
    });

  it.each([10, 1000, 60_000])('finds a knee from a start of %i', async (start) => {
    const lines: string[] = [];
    const { best, steps, complete } = await findRate({
      ...{ measure: queue(5000), objective: 2, start, highest: 1e6 },
      onStep: ({ rate, failure }) => void lines.push(`${rate} ${failure}`),
    });
    expect(complete).toBe(true);
    expect(best!.rate).toBeLessThanOrEqual(4500);
    expect(best!.rate).toBeGreaterThanOrEqual(4500 / 1.05);
    expect(lines.length).toBe(steps.length);
    expect(steps.length).toBeLessThan(20);
  });

  it('takes drops and a lower rate for failures, and says which', async () => {
    const found = async (change: Partial<Measured>) =>
      (
        await findRate({
          measure: async (rate) => ({ ...(await queue(1e9)(rate)), ...(rate > 300 ? change : {}) }),
          ...{ objective: 5, start: 200, highest: 1e6 },
        })
      ).steps[1]!.failure;
    expect(await found({ dropped: 3 })).toBe('3 dropped');
    expect(await found({ achievedRate: 300 })).toBe('achieved 75.0 % of the rate');
    expect(await found({ latency: 7.5 })).toBe('latency 7.50 ms');
    expect(await found({ latency: Number.NaN })).toMatch(/latency/);
  });

  it('stops at the highest rate allowed, at the lowest, and when interrupted', async () => {
    const options = { measure: queue(1e9), objective: 5, start: 100, highest: 350 };
    expect((await findRate(options)).steps.map(({ rate }) => rate)).toEqual([100, 200, 350]);
    const none = await findRate({ ...options, objective: 0 });
    expect(none.best).toBeUndefined();
    expect(none.steps.at(-1)!.rate).toBeLessThan(2);
    const controller = new AbortController();
    const stopped = await findRate({
      ...options,
      signal: controller.signal,
      onStep: ({ rate }) => rate === 200 && controller.abort(),
    });
    expect(stopped.complete).toBe(false);
    expect(stopped.best!.rate).toBe(200);
  });
});

describe('processor time', () => {
  it('is read from a line of /proc, whatever the name of the thread', () => {
    const rest = `S 1 1 1 0 -1 4194304 98 0 0 0 120 30 ${'0 '.repeat(30)}`;
    expect(parseThreadStat(`42 (a (b) c) ${rest}\n`)).toEqual({ id: 42, name: 'a (b) c', milliseconds: 1500 });
    expect(parseThreadStat('')).toBeUndefined();
    expect(parseThreadStat('42 (a) S 1')).toBeUndefined();
  });

  it('is that of the process where there is no /proc', () => {
    const [only, ...others] = threadTimes('/nowhere/at/all');
    expect(others).toEqual([]);
    expect(only).toMatchObject({ id: 0, name: 'process' });
    expect(only!.milliseconds).toBeGreaterThan(0);
  });

  it('is told as a part of a core, busiest first', () => {
    const thread = (id: number, milliseconds: number) => ({ id, name: 'node', milliseconds });
    const use = threadUse(
      [thread(-1, 100), thread(-2, 500)],
      [thread(-1, 200), thread(-2, 1300), thread(-3, 50)],
      1000,
    );
    expect(use.map(({ id, cores }) => [id, cores])).toEqual([
      [-2, 0.8],
      [-1, 0.1],
      [-3, 0.05],
    ]);
  });

  it('is watched with the event loop and memory', async () => {
    const stop = watchUsage();
    const until = performance.now() + 100;
    while (performance.now() < until);
    await nextTurn();
    const { threads, eventLoopUtilization, rss } = stop();
    expect(threads[0]!.cores).toBeGreaterThan(0.1);
    expect(eventLoopUtilization).toBeGreaterThanOrEqual(0);
    expect(rss).toBeGreaterThan(1e6);
  });
});

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
    const load = ['--rate', '200', '--duration', '1', '--warm-up', '0.2', '--drain', '10'];
    const { code, stdout, stderr } = await script([...index, ...load, '--json', json, '--plot', plot]);
    expect(stderr).not.toMatch(/error/i);
    expect(code).toBe(0);
    expect(stdout).toMatch(/errors +none/);
    expect(stdout).toMatch(/from when it was due +[\d.]+/);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(written).toMatchObject({ target: { rows: 500 }, load: { rate: 200 }, run: { errors: {}, dropped: 0 } });
    expect(written.run.answered).toBeGreaterThan(100);
    expect(written.run.sharedBytes).toBeGreaterThan(500 * 8 * 4);
    expect(written.run.usage.threads.length).toBeGreaterThan(0);
    expect(readFileSync(plot, 'utf8')).toContain('<svg');
  });

  it('do not come of bad options, which end with the code 2 and a line', async () => {
    const { code, stdout, stderr } = await script(['--rate', 'fast']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe("--rate must be a number from 0.1 to 10000000, not 'fast'\n");
  });
});
