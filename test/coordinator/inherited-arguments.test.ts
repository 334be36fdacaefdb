import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { inheritedArguments } from '../../src/coordinator/threads.ts';
import { temporaryDirectory } from '../support/directories.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

it.each<[string[], string[] | undefined]>([
  [[], undefined],
  [['--import', 'tsx', '--no-warnings', '--max-old-space-size=4096'], undefined],
  [['--input-type=module', '-e', 'console.log(1)', '--no-warnings'], ['--no-warnings']],
  [
    ['--input-type', 'module', '--eval', 'x', '-r', 'y'],
    ['-r', 'y'],
  ],
  [
    ['--print=1', '-i', '--cpu-prof', '--import=a', '--expose-gc', '-C', 'b', '--import'],
    ['--import=a', '-C', 'b'],
  ],
])('of %j a worker gets %j', (given, kept) => {
  expect(inheritedArguments(given)).toEqual(kept);
});

const program = `
  import { Index } from ${JSON.stringify(join(root, 'src/index.ts'))};
  const index = await Index.build({ vectors: [[1, 2], [3, 4]] }, { threads: 1 });
  console.log((await index.search([1, 1], { k: 1 })).ids[0]);
  await index.close();
`;
const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
const base = temporaryDirectory();

it.each([[[]], [['--max-old-space-size=512', '--expose-gc', '--stack-size=900', '--title=x']]])(
  'an index works in a program that came on the command line, and in a file, with %j',
  (options) => {
    const file = join(base, 'program.mts');
    writeFileSync(file, program);
    for (const what of [['--input-type=module', '-e', program], [file]]) {
      const ran = spawnSync(process.execPath, ['--import', loader, ...options, ...what], { encoding: 'utf8' });
      expect(ran.stderr).toBe('');
      expect(ran.stdout).toBe('1\n');
    }
  },
);
