import { readFileSync } from 'node:fs';
import yargs, { type Argv } from 'yargs';
import { COMMANDS } from './commands.ts';
import { EXIT, tell, UsageError } from './errors.ts';
import { type CommonArguments, startSession, toJson, write } from './session.ts';

/** Options whose value may begin with a minus sign, which yargs would take for another option. */
const TAKES_NUMBERS = ['--vector', '--id'];

const EXAMPLES: readonly (readonly [command: string, what: string])[] = [
  ['$0 build vectors.npy --output my-index', '1. build an index'],
  ['$0 search my-index --id 7', '2. what is nearest to vector 7?'],
  ['$0 tune my-index --target-recall 0.95', '3. choose the fastest setting for a recall'],
  ['$0 serve my-index', '4. answer over HTTP'],
];

/** Runs a command line, and says what went wrong; resolves to what the process is to end with. */
export async function runCommandLine(argv: readonly string[], signal: AbortSignal): Promise<number> {
  try {
    await runProgram(argv, signal);
    return EXIT.ok;
  } catch (error) {
    const told = tell(error);
    const text = argv.includes('--json') ? toJson({ error: told }) : `scannery: ${told.message}`;
    await write(process.stderr, `${text}\n`);
    if (argv.includes('--verbose') && error instanceof Error) await write(process.stderr, `${error.stack}\n`);
    return told.exitCode;
  }
}

async function runProgram(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const program = declare(argv[0], async (load, args) => {
    const session = await startSession(args, signal);
    try {
      await (await load()).run(args, session);
    } finally {
      session.progress.finish();
    }
  });
  if (argv.length === 0) program.showHelp('log');
  else await program.parseAsync(joinNumbers(argv));
}

type Run = (load: (typeof COMMANDS)[number]['load'], args: never) => Promise<void>;

function declare(first: string | undefined, run: Run): Argv<CommonArguments> {
  const program = yargs()
    .scriptName('scannery')
    .locale('en')
    .usage('$0 <command>\n\nFinds the nearest of many vectors.')
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .options({
      json: { type: 'boolean', describe: 'Print JSON for programs', group: 'Always:' },
      quiet: { type: 'boolean', describe: 'Show no progress', group: 'Always:' },
      verbose: { type: 'boolean', describe: 'Show where an error comes from', group: 'Always:' },
    })
    .version(versionOfPackage())
    .alias('help', 'h')
    .group(['help', 'version'], 'Always:')
    .demandCommand(1, 'no command was given')
    .recommendCommands()
    .check(checkNumbers)
    .strict()
    .exitProcess(false)
    .fail((message, error) => {
      throw error !== undefined && error.name !== 'YError' ? error : usageError(first, message);
    })
    .wrap(Math.max(60, Math.min(100, process.stdout.columns ?? 100)))
    .epilogue('Every command has --help with examples. All of it: docs/cli.md');
  for (const [command, what] of EXAMPLES) program.example(command, what);
  for (const { command, describe, load } of COMMANDS) {
    program.command(
      command,
      describe,
      async (one: Argv<CommonArguments>) => (await load()).options(one),
      (args) => run(load, args as never),
    );
  }
  return program.completion('completion', 'Print a script that completes commands in bash or zsh');
}

function usageError(first: string | undefined, message: string): UsageError {
  if (COMMANDS.some(({ command }) => command.split(' ')[0] === first)) {
    return new UsageError(`${message}; see \`scannery ${first} --help\``);
  }
  const what = first === undefined || first.startsWith('-') ? '' : `there is no command '${first}'; `;
  const known = /^Unknown (command|argument)/.test(message) ? '' : `${lowerFirst(message)}; `;
  return new UsageError(`${what}${known}see \`scannery --help\``);
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

function checkNumbers(args: Readonly<Record<string, unknown>>): true {
  const bad = Object.entries(args).find(([, value]) => Number.isNaN(value));
  if (bad !== undefined) throw new UsageError(`${bad[0].length === 1 ? '-' : '--'}${bad[0]} has to be a number`);
  return true;
}

/** `--vector '-1 2'` as `--vector=-1 2`. */
function joinNumbers(argv: readonly string[]): string[] {
  const joined: string[] = [];
  for (const [i, word] of argv.entries()) {
    if (i > 0 && TAKES_NUMBERS.includes(argv[i - 1]!) && /^-[\d.]/.test(word)) joined.push(`${joined.pop()}=${word}`);
    else joined.push(word);
  }
  return joined;
}

function versionOfPackage(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
