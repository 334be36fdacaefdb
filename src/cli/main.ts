#!/usr/bin/env node
import { EXIT } from './errors.ts';
import { runCommandLine } from './program.ts';
import { write } from './session.ts';

const argv = process.argv.slice(2);

// Whoever reads our output may have had enough: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.io);
});

const controller = new AbortController();
// A second signal finds no listener, and ends the process as it would any other.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());

// Node would print warnings in its own way, experimental ones too.
process.removeAllListeners('warning');
process.on('warning', ({ name, message }) => {
  if (name === 'ScanneryWarning' || argv.includes('--verbose')) process.stderr.write(`scannery: warning: ${message}\n`);
});

const exitCode = await runCommandLine(argv, controller.signal);
// Standard output may be a pipe that is still being read.
await write(process.stdout, '');
process.exit(exitCode);
