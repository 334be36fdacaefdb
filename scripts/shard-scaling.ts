// How throughput depends on shards, threads, batches and calls in flight, and how many machines a load takes.
//   npm run shard-scaling -- --shards 1,2,4 --threads 1,2 --plot scaling.svg --costs costs.json
//   npm run shard-scaling -- --plan --n 50000000 --d 128 --recall 0.95 --qps 5000 --cores 16 --memory-gb 64 --costs costs.json
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { createProgress, type Dataset, loadDataset, UnavailableError } from './datasets/index.ts';
import { calibrate } from './shard-scaling/calibrate.ts';
import { type Costs, parseCosts } from './shard-scaling/costs.ts';
import { type Arguments, readArguments, UsageError } from './shard-scaling/options.ts';
import { PlanError, type PlanInput, plan } from './shard-scaling/planner.ts';
import { plotSvg } from './shard-scaling/plot.ts';
import { REFERENCE_COSTS } from './shard-scaling/reference-costs.ts';
import { costsReport, lawReport, planReport, sweepReport } from './shard-scaling/report.ts';
import { bestShards, runSweep, seriesOf } from './shard-scaling/sweep.ts';
import { fitUsl } from './shard-scaling/usl.ts';

const log = (line: string): void => console.error(line);

/** Infinity, a peak that is never reached, has no JSON of its own: it becomes null. */
const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, null, 2)}\n`);

try {
  const given = readArguments(process.argv.slice(2));
  await (given.plan ? makePlan(given.plan, given) : sweep(given));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof PlanError || error instanceof UnavailableError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof UnavailableError ? 1 : 2;
}

async function makePlan(input: PlanInput, { costs, json, plot }: Arguments): Promise<void> {
  if (plot !== undefined) throw new UsageError('--plot is for a sweep, not for --plan');
  const made = plan(input, costs === undefined ? REFERENCE_COSTS : await readCosts(costs));
  console.log(planReport(made));
  if (json !== undefined) await writeJson(json, made);
}

async function readCosts(path: string): Promise<Costs> {
  try {
    return parseCosts(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--costs ${path}: ${(error as Error).message}`);
  }
}

async function load({ data, rows, dimensions, sweep }: Arguments): Promise<Dataset> {
  const progress = createProgress();
  const heldOut = Math.min(2000, Math.max(sweep.queries, sweep.recallQueries));
  const options = { count: rows, dimensions, heldOut, seed: sweep.seed };
  const dataset = await loadDataset(data, { ...options, progress: (p) => progress.update(p) });
  progress.finish();
  for (const note of dataset.notes) console.log(note);
  return dataset;
}

async function sweep(given: Arguments): Promise<void> {
  const dataset = await load(given);
  const result = await runSweep(dataset, given.sweep, log);
  console.log(`\n${sweepReport(result)}\n`);
  const shards = bestShards(result.measurements);
  const series = seriesOf(result.measurements);
  const laws = { threads: fitUsl(series.threads), concurrency: fitUsl(series.concurrency) };
  console.log(`The fastest with the most threads: ${shards} shard(s).`);
  console.log(`\n${lawReport('Over threads', laws.threads)}`);
  console.log(`\n${lawReport('Over calls in flight', laws.concurrency)}`);
  const processors = availableParallelism();
  const crowded = Math.max(...given.sweep.threads) >= processors;
  if (crowded)
    console.log(
      `\nNote: ${Math.max(...given.sweep.threads)} threads and the caller share ${processors} processors: what is lost to that is in the law, too.`,
    );
  let costs: Costs | undefined;
  if (given.costs !== undefined) {
    const { k, seed } = given.sweep;
    // Threads that had no processor of their own say nothing of a machine with more of them.
    const law = crowded ? undefined : laws.threads;
    costs = await calibrate(dataset, { k, seed, queries: given.sweep.queries }, law, log);
    await writeJson(given.costs, costs);
    console.log(`\n${costsReport(costs)}`);
  }
  if (given.plot !== undefined) {
    const panels = [
      { title: `Threads, ${shards} shard(s)`, axis: 'threads', series: series.threads, law: laws.threads },
      {
        title: `Calls in flight, ${shards} shard(s)`,
        axis: 'calls',
        series: series.concurrency,
        law: laws.concurrency,
      },
    ];
    await writeFile(given.plot, await plotSvg(panels));
  }
  if (given.json !== undefined)
    await writeJson(given.json, { node: process.versions.node, ...result, bestShards: shards, series, laws, costs });
}
