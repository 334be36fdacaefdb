import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import yargs from 'yargs';
import { COMMANDS } from '../../src/cli/commands.ts';
import { COMMAND } from '../support/command-line.ts';
import { temporaryDirectory } from '../support/directories.ts';

const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');

/** The part of the page under a heading. */
const sectionOf = (name: string): string => page.split(/^## /m).find((part) => part.startsWith(`${name}\n`)) ?? '';

describe('the command lines of docs/cli.md', () => {
  const folder = temporaryDirectory();
  const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)]
    .map((match) => match[1]!)
    .filter((block) => !block.startsWith('npm install'));
  // A program, so that a signal to a command in the background reaches it.
  const programs = temporaryDirectory();
  const words = COMMAND.map((word) => `'${word}'`).join(' ');
  writeFileSync(join(programs, 'scannery'), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });

  it('are there', () => {
    const used = new Set(
      blocks.flatMap((block) => [...block.matchAll(/^(?:\S+=\S+ )?scannery (\w+)/gm)].map((m) => m[1])),
    );
    const known = COMMANDS.map(({ command }) => command.split(' ')[0]);
    expect([...used].sort()).toEqual([...known, 'completion'].sort());
  });

  it.each(blocks)(
    '%s',
    async (block) => {
      const path = `${programs}:${process.env.PATH}`;
      const env = { ...process.env, HOME: folder, SHELL: '/bin/bash', PATH: path };
      const { stderr } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', block], { cwd: folder, env });
      expect(stderr).not.toContain('scannery: ');
    },
    180_000,
  );

  it('leave what the page says', () => {
    const lines = (name: string): string[] => readFileSync(`${folder}/${name}`, 'utf8').trim().split('\n');
    expect(lines('answers.jsonl').length).toBe(2000);
    const answer = JSON.parse(lines('answers.jsonl')[5]!);
    expect(answer).toMatchObject({ query: 5, id: 'item-5' });
    expect(answer.results.map(({ id }: { id: string }) => id)).toContain('item-5');
    expect(lines('vectors.csv').length).toBe(2001);
    expect(JSON.parse(lines('near.json')[0]!).ids.length).toBe(3);
    expect(lines('served.txt')[0]).toContain('serving at http://127.0.0.1:8397');
    expect(JSON.parse(lines('exported.jsonl')[5]!)).toMatchObject({ id: 'item-5', attributes: { year: 1995 } });
    expect(readFileSync(`${folder}/.bashrc`, 'utf8')).toContain('complete -o');
    expect(readFileSync(`${folder}/.zshrc`, 'utf8')).toContain('compdef');
  });
});

describe.each(COMMANDS)('$command', ({ command, load }) => {
  it('has every option in its section', async () => {
    const help = await (await load()).options(yargs().version(false).help(false)).getHelp();
    const options = [...help.matchAll(/^ +(?:-\w, )?(--?[a-z-]+) /gm)].map((match) =>
      match[1]!.replace(/^-(?=\w)/, '--'),
    );
    expect(options.length).toBeGreaterThan(0);
    const section = sectionOf(command.split(' ')[0]!);
    expect(options.filter((option) => !section.includes(`\`${option}\``))).toEqual([]);
  });
});
