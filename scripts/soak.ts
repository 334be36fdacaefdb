// A mixed load for a long time, every answer of which is checked: is anything wrong, lost, pending or leaking?
//   npm run soak -- --minutes 10
//   npm run soak -- --size 300 --dimensions 8
// Checking takes most of the time, so that a small index gets many more calls, and more writes beside each of them.
import { parseOptions, type SoakOptions, USAGE, UsageError } from './soak/options.ts';
import { soak } from './soak/run.ts';

const BAD_USAGE = 2;
/** Milliseconds after which a process that should have ended is kept alive by something. */
const LINGERING = 10_000;

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) console.log(USAGE);
  else await main(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = BAD_USAGE;
}

async function main(options: SoakOptions): Promise<void> {
  const { problems, problemCount } = await soak(options, console.log);
  for (const problem of problems) console.error(problem);
  if (problemCount > problems.length) console.error(`and ${problemCount - problems.length} more`);
  if (problemCount > 0) process.exitCode = 1;
  // This timer keeps nothing alive itself.
  setTimeout(() => {
    console.error(`Still running: ${process.getActiveResourcesInfo().join(', ')}`);
    console.log('WRONG: something keeps the process alive');
    process.exit(1);
  }, LINGERING).unref();
  console.log(problemCount === 0 ? 'Nothing was wrong' : `WRONG: ${problemCount} problems`);
}
