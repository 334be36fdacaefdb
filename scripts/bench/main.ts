// Recall against queries a second, beside peers in the same run; --help lists the options.
//   npm run bench -- --dataset glove
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProgress, defaultCacheDirectory, UnavailableError } from '../datasets/index.ts';
import { prepare } from './data.ts';
import { findEngine } from './engines/index.ts';
import { HOW_TO_INSTALL } from './engines/peer-package.ts';
import { HOW_TO_SET_UP, setUpPython } from './engines/python.ts';
import { TUNED } from './engines/scannery.ts';
import { machine } from './machine.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { page, plots, writePlots } from './plots.ts';
import { startRemote } from './remote.ts';
import { makeReport, reportText } from './report.ts';
import { run } from './run.ts';
import { loadTruth } from './truth.ts';
import type { Engine, Runner } from './types.ts';

const say = (line: string): void => console.error(line);

async function bench(options: Options): Promise<void> {
  const { k, threads, rounds, latencyQueries, dataset, limit } = options;
  const cache = join(defaultCacheDirectory(), 'bench');
  const leftOut: string[] = [];
  const leaveOut = (line: string): void => {
    say(line);
    leftOut.push(line);
  };
  if (options.tuned !== undefined) process.env[TUNED] = options.tuned;
  const engines: Engine[] = [];
  for (const name of options.engines) {
    const engine = findEngine(name);
    if (typeof engine === 'string') leaveOut(engine);
    else engines.push(engine);
  }
  say(`Peers are installed by ${HOW_TO_INSTALL}, and those in Python by ${HOW_TO_SET_UP}.`);

  const progress = createProgress();
  const data = await prepare({ ...options, progress: (p) => progress.update(p) }, cache);
  progress.finish();
  say(
    `${data.name}: ${data.rows} x ${data.dimensions}, ${data.metric}; finding the true neighbours of ${data.queries}`,
  );
  const truth = await loadTruth(data, k, cache);

  const runners: Runner[] = [];
  try {
    for (const engine of engines) {
      try {
        const runner = await startRemote(engine, data, { threads, k, limit, knobs: options.sweeps.get(engine.name) });
        runners.push(runner);
        say(`${engine.name} ${engine.version}: built in ${runner.buildSeconds.toFixed(1)} s`);
      } catch (error) {
        leaveOut(`${engine.name} could not be built: ${error instanceof Error ? error.message : error}`);
      }
    }
    const results = await run(runners, data, truth, { k, rounds, latencyQueries, say });
    for (const { name } of runners)
      if (!results.some((result) => result.name === name)) leftOut.push(`${name} failed while it was measured.`);
    const { vectorsFile: _vectors, queriesFile: _queries, ...shape } = data;
    const command = ['npm run bench --', ...process.argv.slice(2)].join(' ');
    const setting = { command, date: new Date().toISOString(), machine: machine(), data: shape, k, threads, rounds };
    const report = makeReport(setting, results, leftOut);
    const folder = options.out ?? join(cache, 'reports', dataset);
    mkdirSync(folder, { recursive: true });
    const text = reportText(report);
    const drawings = await plots(report);
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    writeFileSync(join(folder, 'report.txt'), `${text}\n`);
    writeFileSync(join(folder, 'index.html'), page(report, drawings));
    writePlots(folder, '', drawings);
    console.log(`\n${text}\n\nWritten to ${folder}: report.json, report.txt, index.html and plots.`);
    if (options.plots !== undefined) {
      writePlots(options.plots, `${dataset}-`, drawings);
      console.log(`The plots are in ${options.plots} too.`);
    }
  } finally {
    for (const runner of runners) await runner.close();
  }
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(USAGE);
  else if (options.setUpPython) process.exitCode = setUpPython(say) ? 0 : 1;
  else await bench(options);
} catch (error) {
  if (!(error instanceof UnavailableError || error instanceof RangeError || error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
