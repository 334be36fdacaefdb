// How the latency of a search grows with the number of vectors, at equal recall; --help lists the options.
//   npm run latency-growth -- --sizes 100000,1000000,10000000 --plot growth.svg
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { machine } from './bench/machine.ts';
import { measureGrowth } from './latency-growth/measure.ts';
import { type Arguments, readArguments, USAGE, UsageError } from './latency-growth/options.ts';
import { growthReport, growthsOf } from './latency-growth/report.ts';

try {
  const given = readArguments(process.argv.slice(2));
  if (given.help) console.log(USAGE);
  else await run(given);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

async function run(given: Arguments): Promise<void> {
  const { growth, json, plot, html } = given;
  requireFolders({ json, plot, html });
  const result = await measureGrowth(growth, (line) => console.error(line));
  const growths = growthsOf(result.sizes);
  const text = growthReport(result, growths);
  console.log(`\n${text}`);
  if (json !== undefined)
    writeFileSync(json, `${JSON.stringify({ machine: machine(), ...result, growths }, null, 2)}\n`);
  if (plot === undefined && html === undefined) return;
  // Loaded only for this, as the library that draws takes a while to load.
  const { growthPage, growthSvg } = await import('./latency-growth/plot.ts');
  const svg = await growthSvg(result.sizes, growths);
  if (plot !== undefined) writeFileSync(plot, svg);
  if (html !== undefined) writeFileSync(html, growthPage(svg, text));
}

/** A run takes long: better to learn at once that its results cannot be written. */
function requireFolders(files: Readonly<Record<string, string | undefined>>): void {
  for (const [name, file] of Object.entries(files)) {
    if (file === undefined) continue;
    try {
      accessSync(dirname(file), constants.W_OK);
    } catch {
      throw new UsageError(`--${name} ${file}: its folder cannot be written to`);
    }
  }
}
