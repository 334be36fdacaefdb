import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { BruteForce, Embedding, StringLookup, Tower } from '../../src/recommender/index.ts';
import { ModelStore } from '../../src/server/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { root } from '../support/installed-package.ts';
import { serve } from '../support/server.ts';

/** The commands of a page's blocks of shell, each with what its comment says that it prints. */
function commandsOf(page: string): { command: string; printed: string }[] {
  const blocks = [...readFileSync(join(root, 'docs', page), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```/gm)];
  const lines = blocks.flatMap(([, block]) => block!.trim().split('\n'));
  return lines.flatMap((command, i) => {
    const next = lines[i + 1] ?? '';
    return command.startsWith('curl ') ? [{ command, printed: next.startsWith('# ') ? next.slice(2) : '' }] : [];
  });
}

/** The model of docs/models.md. */
async function savedFilms(): Promise<string> {
  const users = ['42', '7'];
  const embedding = new Embedding(users.length + 1, 2);
  embedding.setWeights(Float32Array.of(0, 0, 1, 0, 0, 1));
  const queryModel = new Tower([new StringLookup({ vocabulary: users }), embedding]);
  await using layer = new BruteForce({ queryModel, k: 2, threads: 1 });
  const vectors = [
    [0.9, 0.1],
    [0.2, 0.8],
  ];
  await layer.index(vectors, ['Heat', 'Fargo']);
  const directory = temporaryDirectory();
  await layer.save(join(directory, '1'));
  return directory;
}

const hasCurl = (() => {
  try {
    execFileSync('curl', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

const pages = readdirSync(join(root, 'docs')).filter((name) => /^(serving|security|models)\.md$/.test(name));

describe.skipIf(!hasCurl)('commands of the documentation (skipped where there is no curl)', () => {
  let url: string;
  beforeAll(async () => {
    const vectors = [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [0.9, 0.1, 0],
    ];
    const attributes = [{ price: 3 }, { price: 5 }, { price: 8 }, { price: 13 }];
    const index = await Index.build({ vectors, ids: ['red', 'green', 'blue', 'orange'], attributes }, { threads: 1 });
    const models = await ModelStore.open({ films: await savedFilms() }, { threads: 1 });
    const server = await serve({ models }, index);
    afterAll(() => models.close());
    url = await server.listen();
  });

  const commands = pages.flatMap(commandsOf);

  it('are there', () => {
    expect(commands.length).toBeGreaterThan(10);
  });

  it.each(commands)('$command', async ({ command, printed }) => {
    expect(printed).not.toBe('');
    const { stdout } = await promisify(execFile)('sh', ['-c', command.replaceAll('http://127.0.0.1:8080', url)]);
    expect(stdout).toContain(printed);
  });
});
