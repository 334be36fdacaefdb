import { describe, expect, it } from 'vitest';
import { drive, errorCode, type Target } from '../../scripts/load-test/driver.ts';
import { runReport } from '../../scripts/load-test/report.ts';
import { poissonSchedule } from '../../scripts/load-test/schedule.ts';
import { LOAD, run, share, virtualClock } from '../support/load.ts';

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
