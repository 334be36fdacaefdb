import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { inheritedArguments } from '../../src/coordinator/threads.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

it.each<[string[], string[]]>([
  [[], []],
  [
    ['--import', 'tsx', '--no-warnings'],
    ['--import', 'tsx', '--no-warnings'],
  ],
  [['--input-type=module', '-e', 'console.log(1)', '--no-warnings'], ['--no-warnings']],
  [['--input-type', 'module', '--eval', 'x'], []],
  [['--print=1', '-i', '--cpu-prof'], ['--cpu-prof']],
])('of %j a worker gets %j', (given, kept) => {
  expect(inheritedArguments(given)).toEqual(kept);
});

it('an index works in a program that came on the command line', () => {
  const program = `
    import { Index } from ${JSON.stringify(join(root, 'src/index.ts'))};
    const index = await Index.build({ vectors: [[1, 2], [3, 4]] }, { threads: 1 });
    console.log((await index.search([1, 1], { k: 1 })).ids[0]);
    await index.close();
  `;
  const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
  const ran = spawnSync(process.execPath, ['--import', loader, '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect(ran.stderr).toBe('');
  expect(ran.stdout).toBe('1\n');
});
