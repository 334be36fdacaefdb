// What only a process of its own shows: help, signals, pipes. Each start takes about a second.
import { exec, execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { COMMAND, runProcess, start } from '../support/command-line.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { bin } from '../support/vector-files.ts';

const folder = temporaryDirectory();
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

it('shows the way from a file to a server without arguments, as with --help', async () => {
  const [bare, help] = await Promise.all([runProcess([], folder), runProcess(['--help'], folder)]);
  expect(bare).toEqual(help);
  expect(bare).toMatchObject({ code: 0, stderr: '' });
  const order = ['build vectors.npy', 'search my-index', 'tune my-index', 'serve my-index'];
  const places = order.map((text) => bare.stdout.indexOf(`scannery ${text}`));
  expect(places.every((place, i) => place > (places[i - 1] ?? 0))).toBe(true);
});

it('has a version, and help of commands with examples', async () => {
  expect(await runProcess(['--version'], folder)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  const { code, stdout } = await runProcess(['build', '--help'], folder);
  expect(code).toBe(0);
  expect(stdout).toMatch(/Examples:\n +scannery build/);
});

it.each([
  [['serch', 'x'], "scannery: there is no command 'serch'; did you mean search?; see `scannery --help`\n"],
  [['--nonsense'], 'scannery: no command was given; see `scannery --help`\n'],
  [['search', 'x', '--nonsense'], 'scannery: Unknown argument: nonsense; see `scannery search --help`\n'],
  [
    ['build', 'x.npy', '--output', 'y', '--metric', 'l1'],
    'scannery: Invalid values: Argument: metric, Given: "l1", Choices: "dot_product", "cosine", "squared_l2"; see `scannery build --help`\n',
  ],
])('says what is wrong with %j', async (args, stderr) => {
  expect(await runProcess(args, folder)).toEqual({ code: 2, stdout: '', stderr });
});

it('tells where an error comes from only with --verbose, and programs in JSON', async () => {
  const plain = await runProcess(['build', 'none.npy', '--output', 'x'], folder);
  expect(plain).toEqual({ code: 6, stdout: '', stderr: 'scannery: none.npy does not exist\n' });
  const verbose = await runProcess(['build', 'none.npy', '--output', 'x', '--verbose'], folder);
  expect(verbose.stderr).toMatch(/^scannery: none\.npy does not exist\nScanneryError: .*\n +at /);
  const json = await runProcess(['build', 'none.npy', '--output', 'x', '--json'], folder);
  expect(json).toMatchObject({ code: 6, stdout: '' });
  expect(JSON.parse(json.stderr)).toEqual({
    error: { exitCode: 6, code: 'SCANNERY_NOT_FOUND', message: 'none.npy does not exist', path: 'none.npy' },
  });
});

it('completes commands and options', async () => {
  const words = async (...args: string[]) =>
    (await runProcess(['--get-yargs-completions', 'scannery', ...args], folder)).stdout.split('\n');
  expect(await words('b')).toEqual(expect.arrayContaining(['build', 'bench']));
  expect(await words('search', 'x', '--')).toEqual(expect.arrayContaining(['--vector', '--filter']));
});

it('builds, shows progress, names the next step, and ends quietly when nobody reads on', async () => {
  const [rows, dimensions] = [3000, 4];
  const numbers = Array.from({ length: rows * dimensions }, (_, i) => Math.sin(i * i));
  writeFileSync(join(folder, 'some.fbin'), bin('float32', rows, dimensions, numbers));
  const built = await runProcess(['build', 'some.fbin', '--output', 'some'], folder);
  expect(built.code).toBe(0);
  expect(built.stdout).toMatch(/^some: 3,000 vectors of 4 dimensions, dot_product, [\d.]+ kB, in [\d.]+ s\n$/);
  expect(built.stderr).toMatch(/^ingest: started\n/);
  expect(built.stderr).toMatch(/next: scannery search some --id 0\n$/);

  const words = [...COMMAND, 'search', 'some', '--queries', 'some.fbin', '--k', '50', '--quiet'];
  const line = `set -o pipefail; ${words.map((word) => `'${word}'`).join(' ')} | head -1`;
  const { stdout, stderr } = await promisify(exec)(line, { cwd: folder, shell: '/bin/bash' });
  expect({ stdout, stderr }).toEqual({ stdout: 'query\trank\tid\tscore\n', stderr: '' });
});

it.each(['SIGINT', 'SIGTERM'] as const)('ends a build on %s, and leaves nothing behind', async (signal) => {
  const [rows, dimensions] = [60_000, 32];
  const bytes = Buffer.alloc(8 + rows * dimensions * 4);
  bytes.writeUInt32LE(rows, 0);
  bytes.writeUInt32LE(dimensions, 4);
  for (let i = 0; i < rows * dimensions; i++) bytes.writeFloatLE(Math.sin(i * i), 8 + 4 * i);
  writeFileSync(join(folder, 'large.fbin'), bytes);
  const before = readdirSync(folder).sort();
  const slow = ['--num-leaves', '3000', '--threads', '1'];
  const { child, ended } = start(['build', 'large.fbin', '--output', 'large', ...slow], folder);
  child.stderr!.on('data', (text: string) => {
    if (text.includes('train tree: started')) child.kill(signal);
  });
  const { code, stdout, stderr } = await ended;
  expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
  expect(stderr).toMatch(/\nscannery: interrupted\n$/);
  expect(readdirSync(folder).sort()).toEqual(before);
});

it('ends at once on a second signal', async () => {
  // Reading goes on until a pipe has something, whatever is aborted.
  const pipe = join(folder, 'pipe.jsonl');
  execFileSync('mkfifo', [pipe]);
  const writer = openSync(pipe, 'r+');
  writeSync(writer, '[1, 2]\n');
  const { child, ended } = start(['build', pipe, '--output', 'never'], folder);
  let signals: NodeJS.Timeout | undefined;
  child.stderr!.on('data', (text: string) => {
    if (text.includes('ingest: started')) signals = setInterval(() => child.kill('SIGINT'), 200);
  });
  await ended;
  clearInterval(signals);
  closeSync(writer);
  expect(child.signalCode).toBe('SIGINT');
});
