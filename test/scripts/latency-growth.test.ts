import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusteredFile } from '../../scripts/bench/clustered-file.ts';
import { mixture } from '../../scripts/datasets/index.ts';
import { fitGrowth, fitPower, fitRoot, powerAt, rootAt } from '../../scripts/latency-growth/fit.ts';
import { type Round, type SizeResult, typicalRound } from '../../scripts/latency-growth/measure.ts';
import { readArguments, UsageError } from '../../scripts/latency-growth/options.ts';
import { curvesOf } from '../../scripts/latency-growth/plot.ts';
import { growthLines, growthReport, growthsOf, overRoot } from '../../scripts/latency-growth/report.ts';
import { chooseSetting, leastThat } from '../../scripts/latency-growth/setting.ts';
import { Index } from '../../src/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SIZES = [1e5, 316e3, 1e6, 3.16e6, 1e7];
const points = (value: (n: number) => number) => SIZES.map((n) => ({ n, value: value(n) }));

function round(p50: number, workerP50 = p50): Round {
  return { p50, p99: 2 * p50, mean: p50, workerP50, stages: { prepare: 1, scan: 2, reorder: 3, merge: 4 } };
}

function size(n: number, p50: number, recall = 0.95): SizeResult {
  return {
    ...{ n, clusters: 100, leaves: 500, leavesToSearch: 10, candidates: 40, recall, tunedRecall: recall },
    ...{ codesScanned: 1000, buildSeconds: 1, bytes: 1e6, typical: round(p50), rounds: [round(p50)] },
  };
}

describe('the power of growth', () => {
  it.each([0.5, 1, 0, -0.3])('is found without error where it is %d exactly', (exponent) => {
    const fit = fitPower(points((n) => 0.2 * n ** exponent));
    expect(fit.exponent).toBeCloseTo(exponent, 10);
    expect(fit.factor).toBeCloseTo(0.2, 10);
    expect(fit.standardError).toBeCloseTo(0, 6);
    expect(powerAt(fit, 1e4)).toBeCloseTo(0.2 * 1e4 ** exponent, 6);
  });

  it('has the standard error of a straight line', () => {
    // By hand: log10 n of 0, 1, 2 and log10 values of 0, 1, 1 give a slope of 1/2, squares of 1/6 and an error of sqrt(1/12).
    const fit = fitPower([1, 10, 100].map((n, i) => ({ n, value: [1, 10, 10][i]! })));
    expect(fit.exponent).toBeCloseTo(0.5, 12);
    expect(fit.standardError).toBeCloseTo(Math.sqrt(1 / 12), 12);
    expect(fit.interval!.high).toBeCloseTo(0.5 + 12.706 * Math.sqrt(1 / 12), 12);
  });

  it('has no standard error for two sizes, and is none for one', () => {
    expect(fitPower(points((n) => n).slice(0, 2)).standardError).toBeUndefined();
    expect(() => fitPower([{ n: 5, value: 1 }])).toThrow('two different n');
    expect(fitGrowth([{ n: 5, value: 1 }])).toBeUndefined();
    expect(fitGrowth(points(() => 0))).toBeUndefined();
  });
});

describe('a constant and a multiple of the root', () => {
  it('are found where they are exact', () => {
    const fit = fitRoot(points((n) => 30 + 0.05 * Math.sqrt(n)));
    expect(fit.constant).toBeCloseTo(30, 6);
    expect(fit.perRoot).toBeCloseTo(0.05, 9);
    expect(fit.worstResidual).toBeLessThan(1e-9);
    expect(rootAt(fit, 1e6)).toBeCloseTo(80, 6);
  });

  it('are not below 0, and the residual tells that growth is another', () => {
    const fit = fitRoot(points((n) => n / 1e4));
    expect(fit.constant).toBe(0);
    expect(fit.perRoot).toBeGreaterThan(0);
    expect(fit.worstResidual).toBeGreaterThan(0.5);
  });

  it('show growth that a power alone hides', () => {
    const { power, root: fit } = fitGrowth(points((n) => 40 + 0.05 * Math.sqrt(n)))!;
    expect(power.exponent).toBeLessThan(0.4);
    expect(fit.worstResidual).toBeLessThan(1e-9);
  });
});

describe('the vectors', () => {
  const options = { dimensions: 4, clusters: 'sqrt' as const, spread: 0.5, seed: 42 };

  it('are those of the benchmark with the root of n as clusters', () => {
    const [mine, bench] = [mixture(100_200, options), clusteredFile(100_200, 4, 10)];
    expect(mine.clusters).toBe(317);
    expect(mine.queries(10)).toEqual(bench.queries);
    const [chunks, expected] = [[...mine.chunks()], [...bench.chunks]];
    expect(chunks.map(({ length }) => length)).toEqual([400_000, 800]);
    // Whole arrays are compared as bytes, which takes a thousandth of the time.
    for (const [i, chunk] of chunks.entries())
      expect(Buffer.compare(Buffer.from(chunk.buffer), Buffer.from(expected[i]!.buffer))).toBe(0);
  });

  it('of a smaller set begin a larger one of as many clusters', () => {
    const [small, large] = [50, 90].map((n) => mixture(n, { ...options, clusters: 7 })) as [
      ReturnType<typeof mixture>,
      ReturnType<typeof mixture>,
    ];
    const [[first], [second]] = [[...small.chunks()], [...large.chunks()]];
    expect(second!.subarray(0, 200)).toEqual(first);
    expect(large.queries(5)).toEqual(small.queries(5));
  });
});

describe('the setting', () => {
  it('is the least that reaches the target', async () => {
    const from = async (least: number, most: number, bound: number) => leastThat(least, most, async (v) => v >= bound);
    expect(await from(10, 1000, 37)).toBe(37);
    expect(await from(10, 1000, 3)).toBe(10);
    expect(await from(10, 1000, 1000)).toBe(1000);
    expect(await from(10, 1000, 1001)).toBeUndefined();
    expect(await from(10, 5, 1)).toBeUndefined();
  });

  it('has a recall just above the target', async () => {
    const data = mixture(3000, { dimensions: 8, clusters: 20, spread: 0.5, seed: 1 });
    const [vectors] = [...data.chunks()];
    const build = { dimensions: 8, metric: 'squared_l2' as const, threads: 1, tree: {}, hashing: {} };
    await using index = await Index.build({ vectors: vectors! }, build);
    const setting = await chooseSetting(index, data.queries(200), { k: 10, target: 0.9 });
    expect(setting.recall).toBeGreaterThanOrEqual(0.9);
    expect(setting.recall).toBeLessThan(0.93);
    const less = { ...setting, numReorderingCandidates: setting.numReorderingCandidates - 1 };
    const { numLeavesToSearch, numReorderingCandidates } = less;
    if (numReorderingCandidates >= 10) {
      const queries = data.queries(200);
      expect(await index.measureRecall({ queries, k: 10, numLeavesToSearch, numReorderingCandidates })).toBeLessThan(
        0.9,
      );
    }
    expect((await chooseSetting(index, data.queries(20), { k: 10, target: 1 })).recall).toBe(1);
  });
});

describe('the report', () => {
  const options = readArguments([]).growth;

  it('says in words how latency grows', () => {
    const lines = (of: (n: number) => number) => {
      const sizes = SIZES.map((n, i) => size(n, of(n) * (i % 2 ? 1.02 : 1)));
      return growthLines('Latency', growthsOf(sizes).wall, sizes).join('\n');
    };
    expect(lines((n) => Math.sqrt(n))).toMatch(
      /^Latency grows as n\^0\.50 \+- 0\.0\d \(95 %: 0\.4\d to 0\.5\d\); .* which is among these\./,
    );
    expect(lines((n) => n / 1e3)).toContain('growth is faster');
    expect(lines((n) => n ** 0.2)).toContain('growth is slower');
    expect(lines((n) => 30 + Math.sqrt(n) / 10)).toMatch(/b sqrt\(n\) is 3\d\d of 3\d\d us at n = 10,000,000/);
    expect(overRoot(SIZES.map((n) => size(n, 7 * Math.sqrt(n)))).every((ratio) => Math.abs(ratio - 1) < 1e-12)).toBe(
      true,
    );
  });

  it('notes what makes sizes unlike each other', () => {
    const text = (sizes: SizeResult[], change = {}) =>
      growthReport({ options: { ...options, ...change }, kernels: 'simd', sizes }, growthsOf(sizes));
    const uneven = text([size(1000, 20), size(9000, 30, 0.97)]);
    expect(uneven).toContain('recall is not within 0.01 of 0.95 at n = 9,000');
    expect(uneven).toContain('a standard error takes three sizes');
    expect(uneven).toContain('one mixture of 100 clusters');
    expect(uneven).not.toContain('outside the workers at');
    const crowded = { ...size(9000, 30), typical: round(230, 20) };
    expect(text([size(1000, 20), crowded])).toContain('more than 100 us pass outside the workers at n = 9,000');
    expect(text([{ ...size(1000, 20), leaves: 10 }], { clusters: 'sqrt' })).toMatch(
      /in favour of[\s\S]*Latency: no fit[\s\S]*all leaves are searched at n = 1,000/,
    );
  });

  it('takes the median of each figure over the rounds', () => {
    expect(typicalRound([round(5, 1), round(9, 3), round(7, 2)])).toEqual(round(7, 2));
  });

  it('draws curves within the sizes, a root among them', () => {
    const sizes = SIZES.map((n) => size(n, 20 + Math.sqrt(n) / 10));
    const curves = curvesOf(sizes, growthsOf(sizes));
    const guide = curves.filter(({ curve }) => curve === 'guide');
    expect(guide[0]).toMatchObject({ n: 1e5, microseconds: sizes[0]!.typical.p50 });
    expect(guide.at(-1)!.microseconds).toBeCloseTo(10 * sizes[0]!.typical.p50, 6);
    expect(curvesOf(sizes.slice(0, 1), growthsOf(sizes.slice(0, 1))).every(({ curve }) => curve === 'guide')).toBe(
      true,
    );
  });
});

describe('options', () => {
  it('have defaults, and sizes in order without repeats', () => {
    expect(readArguments([])).toMatchObject({
      growth: { sizes: [100_000, 316_000, 1_000_000, 3_160_000, 10_000_000], clusters: 100, threads: 1, shards: 1 },
      ...{ json: undefined, help: false },
    });
    const { growth } = readArguments(['--sizes', '900,200,900', '--threads', '2', '--clusters', 'sqrt']);
    expect(growth).toMatchObject({ sizes: [200, 900], threads: 2, shards: 2, clusters: 'sqrt' });
  });

  it.each([
    ['--sizes', '50'],
    ['--sizes', '1000,'],
    ['--sizes', '1e12'],
    ['--clusters', 'many'],
    ['--clusters', '0'],
    ['--spread', '0'],
    ['--recall', '1.1'],
    ['--recall', ''],
    ['--rounds', '0'],
    ['--threads', 'x'],
    ['--k', ''],
    ['--plot', 'plot.png'],
    ['--html', 'plot.svg'],
    ['--unheard-of'],
    ['stray'],
  ])('refuses %s %s in one line', (...args) => {
    const given = args.filter((arg) => arg !== undefined);
    expect(() => readArguments(given)).toThrow(UsageError);
    expect(() => readArguments(given)).toThrow(new RegExp(`^.*${given[0]}.*$`)); // a dot is no line feed
  });
});

describe('a run', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'latency-growth-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const script = (args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((done) => {
      const command = ['--import', 'tsx', 'scripts/latency-growth.ts', ...args];
      execFile(process.execPath, command, { cwd: root, timeout: 50_000 }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
      );
    });

  it('measures tiny sizes from end to end', async () => {
    const [json, plot, html] = ['run.json', 'run.svg', 'run.html'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const { code, stdout, stderr } = await script([
      ...['--sizes', '500,1000,2000', '--dimensions', '8', '--clusters', '10', '--rounds', '2', '--recall', '0.9'],
      ...['--queries', '60', '--tuning-queries', '60', '--build-threads', '1'],
      ...['--json', json, '--plot', plot, '--html', html],
    ]);
    expect(stderr).toMatch(/^500 vectors: built[\s\S]*round 2 of 2\n$/);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +n +clusters +leaves/m);
    expect(stdout).toMatch(/^2,000 +10 +\d+ +\d+ +\d+ +[01]\.\d{4}/m);
    expect(stdout).toMatch(/Latency grows as n\^-?[\d.]+ \+- [\d.]+ \(95 %: .* to .*\); sqrt\(n\) would be 0\.50/);
    expect(stdout).toMatch(/Time in the worker grows as n\^/);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(written.options).toMatchObject({ sizes: [500, 1000, 2000], clusters: 10, spread: 0.5 });
    expect(written.sizes.map(({ leaves }: SizeResult) => leaves)).toEqual([38, 54, 76]);
    for (const { recall, codesScanned, rounds, typical, leavesToSearch } of written.sizes as SizeResult[]) {
      expect(recall).toBeGreaterThan(0.75);
      expect(codesScanned).toBeGreaterThan(leavesToSearch);
      expect(rounds).toHaveLength(2);
      expect(typical.p50).toBeGreaterThan(typical.workerP50 / 2);
      expect(typical.p99).toBeGreaterThanOrEqual(typical.p50);
      expect(typical.workerP50).toBeGreaterThan(0);
    }
    expect(written.growths.wall.power.exponent).toBeTypeOf('number');
    const svg = readFileSync(plot, 'utf8');
    expect(svg).toMatch(/^<svg[\s\S]*<\/svg>$/);
    for (const text of ['in the worker, p50', 'a + b sqrt(n)', 'sqrt(n) through the first size'])
      expect(svg).toContain(text);
    expect(svg).not.toContain('NaN');
    expect(readFileSync(html, 'utf8')).toContain('Latency grows as');
  });

  it('ends with the code 2 and a line when an option is bad', async () => {
    const [bad, nowhere] = await Promise.all([
      script(['--sizes', 'large']),
      script(['--json', join(folder, 'no/such.json')]),
    ]);
    expect(bad).toMatchObject({ code: 2, stdout: '' });
    expect(bad.stderr).toBe("--sizes must be whole numbers from 100 to 2147483647 with commas, not 'large'\n");
    expect(nowhere).toMatchObject({ code: 2, stdout: '' });
    expect(nowhere.stderr).toMatch(/^--json .*its folder cannot be written to\n$/);
    expect((await script(['--help'])).stdout).toContain('--sizes A,B,C');
  });
});
