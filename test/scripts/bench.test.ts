import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusteredFile } from '../../scripts/bench/clustered-file.ts';
import { prepare } from '../../scripts/bench/data.ts';
import { paretoFrontier, qpsAtRecall } from '../../scripts/bench/frontier.ts';
import { measureBuilt } from '../../scripts/bench/measure.ts';
import { parseOptions } from '../../scripts/bench/options.ts';
import { logTicks, page, plots, writePlots } from '../../scripts/bench/plots.ts';
import { distance, recallOf } from '../../scripts/bench/recall.ts';
import { makeReport, reportText } from '../../scripts/bench/report.ts';
import { chunks, RowReader, readQueries } from '../../scripts/bench/rows.ts';
import { recallOfAll, run } from '../../scripts/bench/run.ts';
import { cacheKey, checksumOf, loadTruth } from '../../scripts/bench/truth.ts';
import type { Built, DataFiles, EngineResult, Runner } from '../../scripts/bench/types.ts';

let directory: string;
let data: DataFiles;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bench-test-'));
  data = await prepare({ dataset: 'clustered', rows: 500, dimensions: 8, queries: 20 }, directory);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('recall', () => {
  const distances = [0, 0.1, 0.2, 0.2, 0.2009, 0.2011, 5];
  const of = (found: number[], truth = [0, 0.1, 0.2]): number => recallOf(truth, found, (row) => distances[row]!);

  it('counts rows tied with the k-th true neighbour, and those within epsilon of it', () => {
    expect(of([0, 1, 2])).toBe(1);
    expect(of([0, 1, 3])).toBe(1);
    expect(of([0, 1, 4])).toBe(1);
    expect(of([0, 1, 5])).toBeCloseTo(2 / 3);
    expect(of([6, 6, 6])).toBe(0);
  });

  it('counts a row once, none for missing ones, and no more than k', () => {
    expect(of([0, 0, 0])).toBeCloseTo(1 / 3);
    expect(of([0, -1])).toBeCloseTo(1 / 3);
    expect(of([])).toBe(0);
    expect(of([6, 5, 0, 1, 2])).toBeCloseTo(1 / 3);
  });

  it('has the distances of each metric', () => {
    const [a, b] = [Float32Array.of(3, 4), Float32Array.of(0, 2)];
    expect(distance('squared_l2', a, b)).toBeCloseTo(Math.sqrt(13));
    expect(distance('dot_product', a, b)).toBe(-8);
    expect(distance('cosine', a, b)).toBeCloseTo(0.2);
    expect(distance('cosine', a, new Float32Array(2))).toBe(1);
  });
});

describe('the frontier', () => {
  const points = [
    { recall: 0.8, qps: 1000 },
    { recall: 0.9, qps: 400 },
    { recall: 0.85, qps: 300 },
    { recall: 1, qps: 100 },
    { recall: 1, qps: 90 },
  ];

  it('leaves out what is beaten', () => {
    expect(paretoFrontier(points)).toEqual([points[0], points[1], points[3]]);
    expect(paretoFrontier([])).toEqual([]);
  });

  it('interpolates the logarithm of QPS', () => {
    expect(qpsAtRecall(points, 0.95)).toBeCloseTo(200);
    expect(qpsAtRecall(points, 0.9)).toBe(400);
    expect(qpsAtRecall(points, 0.5)).toBe(1000);
    expect(qpsAtRecall(points.slice(0, 3), 0.95)).toBeUndefined();
  });
});

describe('the data', () => {
  it('is read by chunks, by rows and in whole alike', () => {
    const all = [...chunks(data)];
    expect(all.map(({ count }) => count)).toEqual([500]);
    const reader = new RowReader(data);
    expect(Array.from(reader.row(499))).toEqual(Array.from(all[0]!.vectors.subarray(499 * 8)));
    reader.close();
    const pieces = Array.from(chunks(data, 7 * 8 * 4), ({ first, count, vectors }) => [first, count, ...vectors]);
    expect(pieces).toHaveLength(72);
    expect(pieces.at(-1)!.slice(0, 2)).toEqual([497, 3]);
    expect(pieces.flatMap((piece) => piece.slice(2))).toEqual([...all[0]!.vectors]);
    expect(readQueries(data)).toHaveLength(20 * 8);
  });

  it('is made in chunks that depend on the seed alone', () => {
    const [once, again] = [clusteredFile(110_000, 2, 1), clusteredFile(110_000, 2, 1)];
    const [first, second] = [...once.chunks];
    expect([first!.length, second!.length]).toEqual([200_000, 20_000]);
    const [likeFirst, likeSecond] = [...again.chunks];
    expect([first, second].map((chunk) => checksumOf([chunk!]))).toEqual(
      [likeFirst, likeSecond].map((c) => checksumOf([c!])),
    );
    expect(first!.subarray(0, 8)).not.toEqual(second!.subarray(0, 8));
  });

  it('has a key that tells sets apart', () => {
    const key = cacheKey(data, 10, 'abc');
    expect(key).toBe('clustered-500x8-squared_l2-q20-k10-abc');
    expect(cacheKey({ ...data, metric: 'cosine' }, 10, 'abc')).not.toBe(key);
    expect(checksumOf([Float32Array.of(1)])).not.toBe(checksumOf([Float32Array.of(2)]));
    expect(checksumOf([Float32Array.of(1)])).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('the options', () => {
  it('are read and checked', () => {
    const options = parseOptions(['--engines', 'scannery,hnswlib', '--sweep', 'hnswlib=10,20', '--rows', '7']);
    expect(options).toMatchObject({ dataset: 'glove', k: 10, rounds: 5, threads: 1, rows: 7 });
    expect(options.sweeps.get('hnswlib')).toEqual(['10', '20']);
    for (const wrong of [
      ['--k', '0'],
      ['--dataset', 'sift'],
      ['--engines', 'none'],
      ['--sweep', 'hnswlib'],
    ])
      expect(() => parseOptions(wrong)).toThrow(RangeError);
  });
});

/** Looks at every `step`-th row only, in this process. */
function fake(name: string, steps: readonly number[]): Runner & { turns: string[] } {
  const { vectors } = [...chunks(data)][0]!;
  const { dimensions, rows } = data;
  const queries = readQueries(data);
  const turns: string[] = [];
  let step = 1;
  const built: Built = {
    ...{ buildSeconds: 0.5, bytes: 1000, knobs: steps.map(String) },
    setKnob(value) {
      step = Number(value);
    },
    async search(asked, k) {
      return Array.from({ length: asked.length / dimensions }, (_, i) => {
        const query = asked.subarray(i * dimensions, (i + 1) * dimensions);
        const seen = Array.from({ length: Math.ceil(rows / step) }, (_, j) => j * step).map((row) => ({
          row,
          away: distance(data.metric, query, vectors.subarray(row * dimensions, (row + 1) * dimensions)),
        }));
        return Int32Array.from(seen.sort((a, b) => a.away - b.away).slice(0, k), ({ row }) => row);
      });
    },
    close: async () => {},
  };
  return {
    ...{ name, version: '1.2.3', buildSeconds: 0.5, bytes: 1000, peakBytes: 5e6, knobs: built.knobs, turns },
    async measure(knob, turn) {
      turns.push(knob);
      await built.setKnob(knob);
      return measureBuilt(built, queries, dimensions, turn);
    },
    close: () => built.close(),
  };
}

describe('a run', () => {
  it('finds the true neighbours once and keeps them', async () => {
    const truth = await loadTruth(data, 10, directory);
    expect(readdirSync(join(directory, 'truth'))).toHaveLength(1);
    expect(await loadTruth(data, 10, directory)).toEqual(truth);
    expect(readdirSync(join(directory, 'truth'))).toHaveLength(1);
    const rows = Array.from({ length: 20 }, (_, i) => truth.rows.slice(i * 10, (i + 1) * 10));
    expect(recallOfAll(data, truth, rows)).toBe(1);
    await expect(loadTruth(data, 501, directory)).rejects.toThrow(RangeError);
  });

  it('measures engines in turns and reports them', async () => {
    const truth = await loadTruth(data, 10, directory);
    const order: string[] = [];
    const [ours, peer, broken] = [fake('scannery', [1, 2, 10]), fake('peer', [1, 4]), fake('broken', [1])];
    for (const runner of [ours, peer]) {
      const { measure } = runner;
      Object.assign(runner, {
        measure: (...asked: Parameters<Runner['measure']>) => {
          order.push(`${runner.name} ${asked[0]}`);
          return measure(...asked);
        },
      });
    }
    Object.assign(broken, { measure: () => Promise.reject(new Error('it fell')) });
    const said: string[] = [];
    const options = { k: 10, rounds: 3, latencyQueries: 5, say: (line: string) => said.push(line) };
    const results = await run([ours, peer, broken], data, truth, options);
    expect(order).toHaveLength(4 * 5);
    expect(order.slice(0, 5)).toEqual(['scannery 1', 'peer 1', 'scannery 2', 'peer 4', 'scannery 10']);
    expect(said[0]).toMatch(/broken drops out at '1': it fell/);
    expect(results.map(({ name }) => name)).toEqual(['scannery', 'peer']);
    const [exact, half, tenth] = results[0]!.points;
    expect(exact!.recall).toBe(1);
    expect(exact!.rounds).toHaveLength(3);
    expect(half!.recall).toBeLessThan(1);
    expect(tenth!.recall).toBeLessThan(half!.recall);
  });
});

describe('the report', () => {
  const engine = (name: string, factor: number): EngineResult => ({
    ...{ name, version: '1.0.0', buildSeconds: 2, bytes: 16_000, peakBytes: 1e8 },
    points: [0.85, 0.95, 1].map((recall, i) => ({
      ...{ knob: String(i), recall, qps: (factor * 1000) / (i + 1), p50: 100, p99: 200, rounds: [1] },
    })),
  });
  const machine = { cpu: 'a <cpu>', cores: 2, memoryBytes: 1, node: '20.0.0', platform: 'linux x64' };
  const make = () => {
    const { vectorsFile: _vectors, queriesFile: _queries, ...shape } = data;
    const setting = { command: 'npm run bench -- --k 10', date: 'today', machine, data: shape };
    const rest = { k: 10, threads: 1, rounds: 5 };
    return makeReport({ ...setting, ...rest }, [engine('scannery', 1), engine('peer', 2)], ['scann is left out.']);
  };

  it('compares at the recalls asked for', () => {
    const report = make();
    const [ours, peer] = report.engines;
    expect(ours!.at.map(({ ratio }) => ratio)).toEqual([1, 1, 1]);
    for (const { ratio } of peer!.at) expect(ratio).toBeCloseTo(2);
    expect(ours!.at[1]!.qps).toBe(500);
    expect(ours!.frontier).toEqual(['0', '1', '2']);
    const text = reportText(report);
    for (const part of ['a <cpu>', '1,000', 'scann is left out.', '$ npm run bench -- --k 10', '0.9500', '6250.00'])
      expect(text).toContain(part);
    expect(JSON.parse(JSON.stringify(report)).engines[1].points[0].qps).toBe(2000);
  });

  it('has round ticks around what it draws', () => {
    expect(logTicks([480, 33_000])).toEqual([200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]);
    expect(logTicks([500, 1000])).toEqual([500, 1000]);
    expect(logTicks([500])).toEqual([500, 1000]);
    expect(logTicks([0.03])).toEqual([0.02, 0.05]);
    expect(logTicks([])).toEqual([1, 10]);
  });

  it('draws plots and a page that loads nothing', async () => {
    const drawings = await plots(make());
    expect(Object.keys(drawings)).toEqual(['recall-qps', 'build', 'memory', 'size']);
    for (const svg of Object.values(drawings)) expect(svg).toMatch(/^<svg[\s\S]*<\/svg>$/);
    writePlots(join(directory, 'plots'), 'set-', drawings);
    expect(readFileSync(join(directory, 'plots', 'set-recall-qps.svg'), 'utf8')).toBe(`${drawings['recall-qps']}\n`);
    const html = page(make(), drawings);
    expect(html).toContain('a &lt;cpu&gt;');
    expect(html).not.toMatch(/<script|<link|(?:src|href)="https?:/);
  });
});
