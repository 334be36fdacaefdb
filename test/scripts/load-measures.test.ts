import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { parseThreadStat, threadTimes, threadUse, watchUsage } from '../../scripts/load-test/cpu.ts';
import { createTimes } from '../../scripts/load-test/histogram.ts';
import { findRate, type Measured } from '../../scripts/load-test/ramp.ts';

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

  it('has a rate fail twice before it counts as too high', async () => {
    const asked: number[] = [];
    const measure = async (rate: number): Promise<Measured> => {
      asked.push(rate);
      const hiccup = asked.filter((one) => one === rate).length === 1;
      return hiccup ? { ...(await queue(5000)(rate)), latency: 50 } : queue(5000)(rate);
    };
    const { best, steps } = await findRate({ measure, objective: 2, start: 1000, highest: 4000 });
    expect(best!.rate).toBe(4000);
    expect(steps.map(({ rate, failure }) => [rate, failure])).toEqual(
      [1000, 2000, 4000].map((rate) => [rate, undefined]),
    );
    expect(asked).toEqual([1000, 1000, 2000, 2000, 4000, 4000]);
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
