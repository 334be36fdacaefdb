import { relative } from 'node:path';
import type { Argv } from 'yargs';
import { ScanneryError, savedFiles } from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { tell } from '../errors.ts';
import { size, table } from '../format.ts';
import { indexArguments, withIndex } from '../open-index.ts';
import type { CommonArguments, Session } from '../session.ts';

export const options = (yargs: Argv<CommonArguments>) =>
  indexArguments(yargs)
    .example('$0 verify my-index', '')
    .epilogue('Ends with 0 if all is well, and with 4 if a file is damaged.');

export async function run({ dir, threads }: ArgumentsOf<typeof options>, session: Session): Promise<void> {
  const { signal } = session;
  const { generation, files } = await savedFiles(dir, { verify: true, signal });
  const damage = files.find((file) => file.damage)?.damage ?? (await openingProblem(dir, threads, signal));
  await session.answer(
    () =>
      table(
        files.map((file) => [file.damage ? 'DAMAGED' : 'ok', relative(dir, file.path), size(file.bytes)]),
        [0, 1],
      ),
    () => ({
      ...{ directory: dir, generation, ok: damage === undefined },
      files: files.map(({ path, bytes, damage }) => ({
        ...{ path, bytes, ok: damage === undefined },
        ...(damage && { code: damage.code, message: tell(damage).message }),
      })),
    }),
  );
  if (damage !== undefined) throw damage;
}

/** Whether files that are sound each belong together. */
async function openingProblem(
  dir: string,
  threads: number | undefined,
  signal: AbortSignal,
): Promise<ScanneryError | undefined> {
  try {
    await withIndex(dir, { readOnly: true, threads, signal }, async () => {});
    return undefined;
  } catch (error) {
    if (error instanceof ScanneryError && error.code !== 'SCANNERY_ABORTED') return error;
    throw error;
  }
}
