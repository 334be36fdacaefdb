import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../support/alive.ts', import.meta.url));

/** What a process prints until it ends by itself; one that does not is killed, and says so by its code. */
async function run(what: string): Promise<{ code: number | null; lines: string[] }> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, what], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
  });
  const [lines, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { code, lines: lines.trim().split('\n') };
}

it.each(['idle', 'after', 'closed'])('ends although an index is open, or was: %s', async (what) => {
  expect(await run(what)).toEqual({ code: 0, lines: ['end of code', `exit ${what}`] });
});

it('stays alive until a pending call is answered', async () => {
  expect(await run('pending')).toEqual({ code: 0, lines: ['end of code', 'answered 3000', 'exit pending'] });
});
