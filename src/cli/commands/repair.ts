import { createInterface } from 'node:readline/promises';
import type { Argv } from 'yargs';
import { Index, savedFiles } from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { throwIfAborted, UsageError } from '../errors.ts';
import { whole } from '../format.ts';
import type { CommonArguments, Session } from '../session.ts';

export const options = (yargs: Argv<CommonArguments>) =>
  yargs
    .positional('dir', { type: 'string', demandOption: true, describe: 'The directory of an index' })
    .options({ yes: { type: 'boolean', describe: 'Do not ask; needed where there is no terminal' } } as const)
    .example('$0 verify my-index', '')
    .example('$0 repair my-index', '')
    .epilogue('Writes before the damage are kept, all from there on are lost. Keep a copy of the directory first.');

export async function run({ dir, yes }: ArgumentsOf<typeof options>, session: Session): Promise<void> {
  const { files } = await savedFiles(dir, { verify: true, signal: session.signal });
  const damage = files.find(({ isLog }) => isLog)?.damage;
  if (!yes && !process.stdin.isTTY) throw new UsageError(`there is no terminal to ask; --yes repairs ${dir} without`);
  if (!yes && damage !== undefined) {
    const found = damage.message.replace(/;[^;]*$/, '');
    const question = `${found}\nCut off the log there, and lose these bytes? (yes/no) `;
    if (!(await confirms(question, session.signal))) throw new UsageError('nothing was changed');
  }
  throwIfAborted(session.signal);
  const { keptBytes, droppedBytes } = await Index.repair(dir);
  await session.answer(
    () =>
      droppedBytes === 0
        ? `${dir}: nothing to repair, ${whole(keptBytes)} bytes of log`
        : `${dir}: kept ${whole(keptBytes)} bytes of log, dropped ${whole(droppedBytes)}`,
    () => ({ directory: dir, keptBytes, droppedBytes }),
  );
}

async function confirms(question: string, signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // readline takes Ctrl-C for itself.
  terminal.on('SIGINT', () => process.emit('SIGINT'));
  try {
    return /^y(es)?$/i.test((await terminal.question(question, { signal })).trim());
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  } finally {
    terminal.close();
  }
}
