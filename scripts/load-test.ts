// Load on an index at a fixed rate of arrivals, whatever the answers take.
//   npm run load-test -- --rate 2000
//   npm run load-test -- --find-rate --objective 5ms --percentile 99
//   npm run load-test -- --url http://127.0.0.1:8080 --data glove --rate 2000
import { writeFileSync } from 'node:fs';
import { ScanneryError } from '../src/index.ts';
import { UnavailableError } from './datasets/index.ts';
import { watchUsage } from './load-test/cpu.ts';
import { drive, type Load, type RunResult } from './load-test/driver.ts';
import { type OpenTarget, openIndexTarget } from './load-test/index-target.ts';
import { type LoadTestOptions, parseOptions, USAGE, UsageError } from './load-test/options.ts';
import { plotSvg } from './load-test/plot.ts';
import { createProgressLine } from './load-test/progress-line.ts';
import { findRate } from './load-test/ramp.ts';
import { type RampStep, type Run, rampJson, rampReport, runJson, runReport, stepLine } from './load-test/report.ts';
import { openUrlTarget } from './load-test/url-target.ts';

const BAD_USAGE = 2;
const INTERRUPTED = 130;

const interrupt = new AbortController();
// Once, so that a second one ends the process there and then.
process.once('SIGINT', () => interrupt.abort());

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) console.log(USAGE);
  else await main(options);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(error.message);
    process.exitCode = BAD_USAGE;
  } else if (interrupt.signal.aborted) {
    console.error('Interrupted before anything was measured.');
  } else if (error instanceof ScanneryError || error instanceof UnavailableError) {
    console.error(error.message);
    process.exitCode = error instanceof ScanneryError && (error.option || error.path) ? BAD_USAGE : 1;
  } else {
    throw error;
  }
}
if (interrupt.signal.aborted) process.exitCode = INTERRUPTED;

async function main(options: LoadTestOptions): Promise<void> {
  const target = await (options.url === undefined
    ? openIndexTarget(options.target, interrupt.signal)
    : openUrlTarget(options.target, options.url));
  try {
    for (const line of target.description) console.log(line);
    console.log('');
    // A setting that the index refuses is told now, and not as so many errors.
    await target.search(0);
    await (options.ramp === undefined ? fixedRate(target, options) : highestRate(target, options, options.ramp));
  } finally {
    await target.close();
  }
}

async function fixedRate(target: OpenTarget, options: LoadTestOptions): Promise<void> {
  const run = await measure(target, options, options.load.rate);
  console.log(runReport(run));
  await write(options, target, { run: runJson(run) }, run);
}

async function highestRate(
  target: OpenTarget,
  options: LoadTestOptions,
  objective: NonNullable<LoadTestOptions['ramp']>,
): Promise<void> {
  const ramp = await findRate<RampStep>({
    objective: objective.objective,
    start: options.load.rate,
    highest: objective.highest,
    signal: interrupt.signal,
    onStep: (step) => console.log(stepLine(step, objective)),
    measure: async (rate) => {
      const run = await measure(target, options, rate);
      const { offeredRate, achievedRate, latency, dropped, warmUp } = run.result;
      return {
        ...{ run, offeredRate, achievedRate, dropped: dropped + warmUp.dropped },
        latency: latency.at(objective.percentile),
      };
    },
  });
  console.log(`\n${rampReport(ramp, objective)}`);
  const shown = (ramp.best ?? ramp.steps.at(-1))?.measured.run;
  if (shown !== undefined) console.log(`\n${runReport(shown)}`);
  await write(options, target, { ramp: rampJson(ramp, objective) }, shown);
}

/** One run, with progress shown and this process watched while it is measured. */
async function measure(target: OpenTarget, { load, writes }: LoadTestOptions, rate: number): Promise<Run> {
  const progress = createProgressLine();
  let stop: ReturnType<typeof watchUsage> | undefined;
  let usage: Run['usage'];
  const reading = drive(
    target,
    target.queries,
    { ...load, rate },
    {
      signal: interrupt.signal,
      onProgress: (snapshot) => progress.show(snapshot),
      onMeasure: (started) => {
        if (started) stop = watchUsage();
        else usage = stop?.();
      },
    },
  );
  const writing = writes === undefined ? undefined : driveWrites(target, { ...load, rate: writes });
  const result = await reading;
  const written = await writing;
  progress.finish();
  return { result, usage, sharedBytes: target.sharedBytes(), ...(written && { writes: written }) };
}

/** Upserts by a schedule of their own. They pace themselves by timers: the queries may have the core. */
function driveWrites(target: OpenTarget, load: Load): Promise<RunResult> {
  const upserts = { search: (i: number) => target.upsert(i), close: async (): Promise<void> => {} };
  return drive(upserts, Number.MAX_SAFE_INTEGER, { ...load, pace: 'timer' }, { signal: interrupt.signal });
}

async function write(
  { target: asked, load, writes, json, plot }: LoadTestOptions,
  target: OpenTarget,
  results: Record<string, unknown>,
  run: Run | undefined,
): Promise<void> {
  if (json !== undefined) {
    const about = {
      node: process.versions.node,
      description: target.description,
      target: asked,
      load,
      writes: writes ?? 0,
    };
    writeFileSync(json, `${JSON.stringify({ ...about, ...results }, undefined, 2)}\n`);
  }
  if (plot === undefined) return;
  if (run === undefined || run.result.latency.count === 0) {
    console.error(`Nothing was measured, so there is no plot in ${plot}.`);
    return;
  }
  const { rate, latency, service } = run.result;
  const title = `Latency at ${rate.toLocaleString('en', { maximumFractionDigits: 1 })} queries a second`;
  const lines = [
    { name: 'from when it was due', times: latency },
    { name: 'from when it was sent', times: service },
  ];
  writeFileSync(plot, await plotSvg(title, lines));
}
