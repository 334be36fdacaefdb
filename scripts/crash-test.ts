// Kills writers and takes the power from a model of a disk, and looks whether anything is lost that was told to be kept.
//   npm run crash-test
//   npm run crash-test -- --kills 2000 --seed 7
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { killBetweenOperations } from './crash-test/kills-between.ts';
import { losePower } from './crash-test/power.ts';
import { killAtRandom } from './crash-test/random-kills.ts';

const USAGE = `npm run crash-test -- [options]

  --kills <n>  writers killed at random times; default 200
  --seed <n>   of what they write and when they are killed; default: from the clock
  --jobs <n>   that run at once; default 2
  --help       this`;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    jobs: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(USAGE);
else await main(Number(values.kills), Number(values.seed), Number(values.jobs));

async function main(kills: number, seed: number, jobs: number): Promise<void> {
  // That the end of a log was cut off is what this is about.
  process.removeAllListeners('warning');
  const folder = mkdtempSync(join(tmpdir(), 'scannery-crash-'));
  const inside = (name: string): string => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  const begun = performance.now();
  console.log(`Seed ${seed}; what is violated stays below ${folder}`);

  const random = await killAtRandom(inside('random'), { kills, seed, jobs }, ({ kills: done }) => {
    if (done % 50 === 0) console.log(`  ${done} writers killed`);
  });
  console.log(
    `Random kills: ${random.kills}, of which ${random.whileOpening} while opening; ${random.acknowledged} operations ` +
      `acknowledged, ${random.inFlightKept} of the ${random.inFlight} in flight kept; ${told(random)}`,
  );
  const between = await killBetweenOperations(inside('between'), jobs);
  console.log(`Kills at file operations: ${between.kills} at ${between.operations} operations; ${told(between)}`);
  const power = await losePower(inside('power'), jobs);
  console.log(`Loss of power: ${power.states} states of the disk after ${power.operations} operations; ${told(power)}`);

  const violations = [random, between, power].flatMap((part) => part.violations);
  for (const violation of violations) console.error(violation);
  if (violations.length === 0) rmSync(folder, { recursive: true });
  else process.exitCode = 1;
  console.log(
    `${random.kills + between.kills} kills and ${power.states} losses of power in ` +
      `${((performance.now() - begun) / 1000).toFixed(0)} s: ${violations.length} violations`,
  );
}

function told({ violations }: { violations: readonly string[] }): string {
  return violations.length === 0 ? 'nothing lost, nothing by half' : `${violations.length} VIOLATIONS`;
}
