#!/usr/bin/env node
import { EXIT, tell } from './errors.ts';
import { runProgram } from './program.ts';
import { toJson, write } from './session.ts';

const argv = process.argv.slice(2);
const isVerbose = argv.includes('--verbose');

// Whoever reads our output may have had enough: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.io);
});

const controller = new AbortController();
for (const [name, exitCode] of [
  ['SIGINT', EXIT.interrupted],
  ['SIGTERM', 143],
] as const) {
  process.on(name, () => {
    if (controller.signal.aborted) process.exit(exitCode);
    controller.abort();
  });
}

// Node would print warnings in its own way, experimental ones too.
process.removeAllListeners('warning');
process.on('warning', ({ name, message }) => {
  if (name === 'ScanneryWarning' || isVerbose) process.stderr.write(`scannery: warning: ${message}\n`);
});

let exitCode: number;
try {
  exitCode = await runProgram(argv, controller.signal);
} catch (error) {
  const told = tell(error);
  exitCode = told.exitCode;
  const text = argv.includes('--json') ? toJson({ error: told }) : `scannery: ${told.message}`;
  await write(process.stderr, `${text}\n`);
  if (isVerbose && error instanceof Error) await write(process.stderr, `${error.stack}\n`);
}
// Standard output may be a pipe that is still being read.
await write(process.stdout, '');
process.exit(exitCode);
