import { describe, expect, it } from 'vitest';
import { createRandom, loadDataset } from '../../scripts/datasets/index.ts';
import { calibrate } from '../../scripts/shard-scaling/calibrate.ts';
import { amounts, type CostSample, fitCosts, parseCosts, STAGES } from '../../scripts/shard-scaling/costs.ts';
import { medianInterval, nonNegativeLeastSquares } from '../../scripts/shard-scaling/least-squares.ts';
import { readArguments, UsageError } from '../../scripts/shard-scaling/options.ts';
import { memoryOf, PlanError, type PlanInput, plan, searchFor } from '../../scripts/shard-scaling/planner.ts';
import { curveOf, plotSvg } from '../../scripts/shard-scaling/plot.ts';
import { REFERENCE_COSTS } from '../../scripts/shard-scaling/reference-costs.ts';
import { costsReport, lawReport, planReport, sweepReport } from '../../scripts/shard-scaling/report.ts';
import { bestShards, efficiencyOf, runSweep, seriesOf } from '../../scripts/shard-scaling/sweep.ts';
import { fitUsl, peakOf, throughputAt, type UslCoefficients, type UslFit } from '../../scripts/shard-scaling/usl.ts';

const NS = [1, 2, 4, 8, 16, 32];

function fitted(outcome: ReturnType<typeof fitUsl>): UslFit {
  if ('refused' in outcome) throw new Error(outcome.refused);
  return outcome.fit;
}

const noisy = (truth: UslCoefficients, rounds: number, noise: number, seed: number) => {
  const random = createRandom(seed);
  return NS.map((n) => ({
    n,
    rounds: Array.from({ length: rounds }, () => throughputAt(truth, n) * (1 + noise * random.normal())),
  }));
};

describe('least squares', () => {
  it('keeps coefficients at 0 rather than below', () => {
    const rows = [1, 2, 3].map((x) => [1, x]);
    const rising = nonNegativeLeastSquares(rows, [3, 5, 7]);
    expect(rising[0]).toBeCloseTo(1, 9);
    expect(rising[1]).toBeCloseTo(2, 9);
    // Falling targets would want a slope of -1: without it, the mean is best.
    const falling = nonNegativeLeastSquares(rows, [3, 2, 1]);
    expect(falling[0]).toBeCloseTo(2, 9);
    expect(falling[1]).toBe(0);
  });

  it('gives an interval of the median from three samples on', () => {
    expect(medianInterval([1, 2])).toBeUndefined();
    expect(medianInterval([1, 2, 3, 4, 5])).toEqual({ low: 1, high: 5 });
  });
});

describe('the Universal Scalability Law', () => {
  it.each<UslCoefficients>([
    { lambda: 1000, sigma: 0.05, kappa: 0.001 },
    { lambda: 7000, sigma: 0.2, kappa: 0 },
    { lambda: 3, sigma: 0, kappa: 0.02 },
    { lambda: 42, sigma: 0, kappa: 0 },
  ])('recovers %o from exact data', (truth) => {
    const fit = fitted(fitUsl(noisy(truth, 3, 0, 1)));
    expect(fit.lambda / truth.lambda).toBeCloseTo(1, 6);
    expect(fit.sigma).toBeCloseTo(truth.sigma, 6);
    expect(fit.kappa).toBeCloseTo(truth.kappa, 8);
    expect(fit.worstResidual).toBeLessThan(1e-6);
  });

  it('recovers known coefficients from noisy data, within intervals that mostly hold them', () => {
    const truth = { lambda: 1000, sigma: 0.05, kappa: 0.001 };
    const names = ['lambda', 'sigma', 'kappa'] as const;
    const fits = Array.from({ length: 20 }, (_, seed) => fitted(fitUsl(noisy(truth, 20, 0.03, seed), seed)));
    for (const name of names) {
      for (const fit of fits) expect(Math.abs(fit[name] / truth[name] - 1)).toBeLessThan(0.25);
      const holding = fits.filter(({ intervals }) => {
        const { low, high } = intervals![name];
        return low <= truth[name] && truth[name] <= high;
      });
      expect(holding.length, name).toBeGreaterThanOrEqual(17);
    }
    expect(fitUsl(noisy(truth, 20, 0.03, 0), 0)).toEqual({ fit: fits[0] }); // the same seed, the same answer
    expect(fits[0]!.intervals!.peak.low).toBeLessThan(peakOf(truth));
    expect(fits[0]!.intervals!.peak.high).toBeGreaterThan(peakOf(truth));
  });

  it('never goes below 0, even where throughput grows faster than N', () => {
    const fit = fitted(fitUsl(NS.map((n) => ({ n, rounds: [n ** 1.2, n ** 1.2, n ** 1.2] }))));
    expect(fit.sigma).toBe(0);
    expect(fit.kappa).toBe(0);
    expect(fit.peak).toBe(Number.POSITIVE_INFINITY);
    expect(fit.notes.join('\n')).toContain('sigma and kappa at the bound of 0');
  });

  it('knows the peak', () => {
    expect(peakOf({ lambda: 1, sigma: 0.19, kappa: 0.01 })).toBeCloseTo(9, 9);
    expect(peakOf({ lambda: 1, sigma: 0.5, kappa: 4 })).toBe(1);
    expect(peakOf({ lambda: 1, sigma: 1.5, kappa: 0.1 })).toBe(1);
  });

  it('refuses too few points, and says so', () => {
    const two = [1, 2].map((n) => ({ n, rounds: [n, n, n] }));
    expect(fitUsl(two)).toEqual({ refused: expect.stringContaining('only N = 1, 2') });
    expect(fitUsl([])).toEqual({ refused: expect.stringContaining('there are none') });
    expect(fitUsl(NS.map((n) => ({ n, rounds: [0] })))).toEqual({ refused: expect.stringContaining('above 0') });
    expect(lawReport('Over threads', fitUsl(two))).toMatch(/^Over threads: no fit/);
  });

  it('gives no interval for too few rounds, and notes what three points cannot show', () => {
    const law = { lambda: 9, sigma: 0.1, kappa: 0.01 };
    const fit = fitted(fitUsl([1, 2, 4].map((n) => ({ n, rounds: [1, 1].map(() => throughputAt(law, n)) }))));
    expect(fit.intervals).toBeUndefined();
    expect(fit.notes.join('\n')).toMatch(/three N determine.*\n(.*\n)*no intervals: 2 round/);
  });
});

describe('costs', () => {
  const random = createRandom(5);
  const truth = [4, 1.5, 0.0007, 0.0001, 0.2];
  const samples: CostSample[] = Array.from({ length: 30 }, () => {
    const shape = {
      ...{ shards: 1 + random.below(8), leaves: 100 + random.below(2000), dimensions: 64, codeBytes: 16 },
      ...{ codesScanned: 1000 + random.below(50_000), candidates: 40 + random.below(600) },
    };
    const exact = amounts(shape).reduce((sum, amount, i) => sum + amount * truth[i]!, 0);
    return { ...shape, kernelMicroseconds: exact };
  });

  it('are recovered from exact samples', () => {
    const { stages, residual } = fitCosts(samples);
    for (const [i, stage] of STAGES.entries()) expect(stages[stage].value / truth[i]!).toBeCloseTo(1, 6);
    expect(residual).toBeLessThan(1e-9);
  });

  it('lie within their own range, from noisy samples', () => {
    const noise = createRandom(6);
    const { stages } = fitCosts(
      samples.map((sample) => ({
        ...sample,
        kernelMicroseconds: sample.kernelMicroseconds * (1 + 0.1 * noise.normal()),
      })),
    );
    for (const { value, low, high } of Object.values(stages)) {
      expect(low).toBeLessThanOrEqual(value);
      expect(high).toBeGreaterThanOrEqual(value);
    }
    expect(stages.scan.value / truth[3]!).toBeCloseTo(1, 0);
  });

  it('need more samples than costs', () => {
    expect(() => fitCosts(samples.slice(0, 5))).toThrow('more than 5 samples');
  });

  it('come back from JSON, and unsound ones are named', () => {
    expect(parseCosts(JSON.stringify(REFERENCE_COSTS))).toEqual(REFERENCE_COSTS);
    const broken = (change: object): string => JSON.stringify({ ...REFERENCE_COSTS, ...change });
    expect(() => parseCosts('{')).toThrow('not JSON');
    expect(() => parseCosts('null')).toThrow('version');
    expect(() => parseCosts(broken({ version: 2 }))).toThrow('version 2');
    expect(() => parseCosts(broken({ stages: {} }))).toThrow("'stages.query'");
    expect(() => parseCosts(broken({ skew: -1 }))).toThrow("'skew'");
    expect(() => parseCosts(broken({ recall: [] }))).toThrow("'recall'");
    expect(() => parseCosts(broken({ threads: { sigma: 1 } }))).toThrow("'threads'");
  });
});

describe('the planner', () => {
  const INPUT: PlanInput = { n: 50_000_000, d: 128, recall: 0.95, qps: 5000, cores: 16, memoryGb: 64 };
  const machines = (change: Partial<PlanInput>): number =>
    plan({ ...INPUT, ...change }, REFERENCE_COSTS).machines.expected;

  it('reckons memory as by hand', () => {
    // 1000 vectors of 10 dimensions, padded to 12: 48 bytes and a row number of 4 each. 5 codes, padded to 6, are 3 bytes.
    // 54 leaves waste 16 lanes each, so there are 1864 lanes.
    expect(memoryOf(1000, 10, 54)).toEqual({
      ...{ vectors: 52_000, codes: 5592, locals: 7456, centroids: 2592 },
      total: 67_640,
    });
  });

  it('never needs fewer machines for more queries', () => {
    const counts = [1, 10, 100, 1000, 2000, 5000, 5001, 20_000, 100_000].map((qps) => machines({ qps }));
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBeGreaterThan(counts[0]!);
  });

  it('never needs more machines with more memory', () => {
    for (const qps of [10, 700, 5000]) {
      const counts = [3, 4, 6, 8, 12, 16, 24, 28, 32, 64, 128].map((memoryGb) => machines({ memoryGb, qps }));
      expect(counts).toEqual([...counts].sort((a, b) => b - a));
    }
    expect(machines({ memoryGb: 3, qps: 10 })).toBeGreaterThan(machines({ memoryGb: 64, qps: 10 }));
  });

  it('never needs fewer machines for more vectors or more recall, nor more with more cores', () => {
    const sizes = [1e5, 1e6, 1e7, 1e8, 1e9].map((n) => machines({ n }));
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    const recalls = [0.5, 0.93, 0.94, 0.96, 0.99].map((recall) => machines({ recall }));
    expect(recalls).toEqual([...recalls].sort((a, b) => a - b));
    const cores = [1, 2, 4, 8, 16, 64].map((count) => machines({ cores: count }));
    expect(cores).toEqual([...cores].sort((a, b) => b - a));
  });

  it('orders its ranges, fits its memory and covers its load', () => {
    const made = plan({ ...INPUT, memoryGb: 16 }, REFERENCE_COSTS);
    expect(made.partitions).toBeGreaterThan(1);
    expect(made.memory.total).toBeLessThanOrEqual(14 * 2 ** 30);
    expect(made.partitions * made.replicas).toBe(made.machines.expected);
    expect(made.replicas * made.qpsPerMachine.expected * 0.7).toBeGreaterThanOrEqual(INPUT.qps);
    expect(made.machines.best).toBeLessThanOrEqual(made.machines.expected);
    expect(made.machines.expected).toBeLessThanOrEqual(made.machines.worst);
    expect(made.latencyMs.best).toBeLessThan(made.latencyMs.expected);
    expect(made.latencyMs.expected).toBeLessThan(made.latencyMs.worst);
    expect(made.assumptions.join('\n')).toContain('merging their answers is yours');
    expect(planReport(made)).toContain(`${made.partitions} partition(s)`);
  });

  it('interpolates recall between the points measured', () => {
    expect(searchFor(0.93, REFERENCE_COSTS.recall)).toMatchObject({ candidates: 80 });
    const middle = searchFor(0.95, REFERENCE_COSTS.recall);
    expect(middle.fraction).toBeGreaterThan(40 / 991);
    expect(middle.fraction).toBeLessThan(60 / 991);
    expect(searchFor(0.1, REFERENCE_COSTS.recall)).toMatchObject({ fraction: 40 / 991 });
  });

  it.each<[string, Partial<PlanInput>]>([
    ['--n', { n: 0 }],
    ['--n', { n: 1.5 }],
    ['--d', { d: 5000 }],
    ['--recall', { recall: 1 }],
    ['--recall', { recall: 0.9999 }],
    ['--qps', { qps: -1 }],
    ['--cores', { cores: 0 }],
    ['--memory-gb', { memoryGb: 1 }],
    ['do not fit', { n: 1e12, memoryGb: 3 }],
  ])('refuses in one line what is impossible: %s of %o', (named, change) => {
    const refused = () => plan({ ...INPUT, ...change }, REFERENCE_COSTS);
    expect(refused).toThrow(PlanError);
    expect(refused).toThrow(new RegExp(`^.*${named}.*$`)); // a dot is no line feed
  });
});

describe('arguments', () => {
  it('have defaults, and lists in order without repeats', () => {
    const { sweep, plan: planned } = readArguments(['--threads', '4,1,2,2']);
    expect(sweep).toMatchObject({ shards: [1, 2, 4, 8], threads: [1, 2, 4], rounds: 5, k: 10 });
    expect(planned).toBeUndefined();
  });

  it.each([
    [['--shards', '0'], '--shards'],
    [['--threads', '1,x'], '--threads'],
    [['--rounds', '0'], '--rounds'],
    [['--rows', ''], '--rows'],
    [['--data', 'moon'], "'moon'"],
    [['--nonsense'], '--nonsense'],
    [['--plan', '--n', '5'], '--plan needs --d'],
    [['--plan', '--n', 'many'], '--n must be a number'],
  ])('%j is refused in one line', (args, named) => {
    expect(() => readArguments(args)).toThrow(UsageError);
    expect(() => readArguments(args)).toThrow(named);
  });
});

describe('a tiny sweep', () => {
  it('measures, compares, fits, calibrates and draws', async () => {
    const dataset = await loadDataset('clustered', { count: 2000, dimensions: 8, heldOut: 64 });
    const options = { shards: [1, 3], threads: [1, 2], batch: [8], concurrency: [1, 4, 16], rounds: 3 };
    const result = await runSweep(dataset, { ...options, k: 10, queries: 32, recallQueries: 32, seed: 42 });
    expect(result.recall).toBeGreaterThan(0.8);
    expect(result.measurements).toHaveLength(2 * 2 * 4);
    for (const row of result.measurements) {
      expect(row.qps).toHaveLength(3);
      expect(row.median).toBeGreaterThan(0);
      expect(row.interval!.low).toBeLessThanOrEqual(row.median);
      expect(row.p50).toBeGreaterThan(0);
      if (row.shards === 1 && row.threads === 1) expect(row.efficiency).toBe(1);
    }
    expect(options.shards).toContain(bestShards(result.measurements));
    expect(sweepReport(result)).toContain('the same with every number of shards and threads');

    const series = seriesOf(result.measurements);
    expect(series.threads.map(({ n }) => n)).toEqual([1, 2]);
    expect(series.concurrency.map(({ n }) => n)).toEqual([1, 4, 16]);
    const laws = { threads: fitUsl(series.threads), concurrency: fitUsl(series.concurrency) };
    expect(laws.threads).toHaveProperty('refused');
    expect(lawReport('Over calls', laws.concurrency)).toContain('N at peak');
    expect(curveOf(fitted(laws.concurrency), series.concurrency).at(-1)!.n).toBeCloseTo(16, 9);
    const svg = await plotSvg([
      { title: 'Threads', axis: 'threads', series: series.threads, law: laws.threads },
      { title: 'Calls', axis: 'calls', series: series.concurrency, law: laws.concurrency },
    ]);
    expect(svg).toMatch(/^<svg .*<\/svg>$/s);
    expect(svg).toContain('fitted law');
    expect(svg).not.toContain('NaN');

    const costs = await calibrate(dataset, { k: 10, seed: 42, queries: 32 }, laws.concurrency);
    expect(parseCosts(JSON.stringify(costs))).toEqual(JSON.parse(JSON.stringify(costs)));
    expect(costsReport(costs)).toContain('per code byte');
  });

  it('has no efficiency without its baseline', () => {
    const setting = { shards: 2, threads: 2, mode: 'batch' as const, size: 8 };
    expect(efficiencyOf(setting, [10, 20, 30], undefined)).toBeUndefined();
    expect(efficiencyOf(setting, [10, 20, 30], [10, 10, 10])).toBe(1);
  });
});
