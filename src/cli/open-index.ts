import type { Argv } from 'yargs';
import { type Id, Index, ScanneryError } from '../index.ts';
import { UsageError } from './errors.ts';
import { openInput } from './input/open-input.ts';
import { vectorsOf } from './input/rows.ts';
import { idOfText } from './input/values.ts';

/** What commands that search an index are told. */
export const indexArguments = <T>(yargs: Argv<T>) =>
  yargs
    .positional('dir', { type: 'string', demandOption: true, describe: 'The directory of an index' })
    .option('threads', { type: 'number', requiresArg: true, describe: 'Worker threads; as many as cores by default' });

/** Opens an index, runs something with it, and closes it. */
export async function withIndex<T>(
  directory: string,
  options: Parameters<typeof Index.open>[1],
  work: (index: Index) => Promise<T>,
): Promise<T> {
  const index = await Index.open(directory, options);
  try {
    return await work(index);
  } finally {
    await index.close();
  }
}

/**
 * The id that a word stands for: the string if the index has it, then the integer, then the 64-bit integer.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND
 */
export async function resolveId(index: Index, word: string): Promise<Id> {
  if (await index.has(word)) return word;
  const integer = idOfText(word);
  if (typeof integer === 'number' && (await index.has(integer))) return integer;
  if (/^-?[1-9]\d*$/.test(word)) {
    const big = BigInt(word);
    if (BigInt.asIntN(64, big) === big && (await index.has(big))) return big;
  }
  throw new ScanneryError('SCANNERY_NOT_FOUND', `the index has no vector with the id '${word}'`, { value: word });
}

/** At most so many queries of a file, from the first on. */
export async function readQueries(path: string, most: number): Promise<ArrayLike<number>[]> {
  const file = await openInput(path);
  const queries: ArrayLike<number>[] = [];
  for await (const chunk of file.chunks()) {
    for (const vector of vectorsOf(chunk, file.dimensions ?? 0)) {
      if (queries.length === most) return queries;
      queries.push(vector);
    }
  }
  if (queries.length === 0) throw new ScanneryError('SCANNERY_INVALID_DATA', `${path} has no vectors`, { path });
  return queries;
}

/** `10,20,40` */
export function parseIntegers(text: string | undefined, option: string): number[] | undefined {
  return text?.split(',').map((word) => {
    const value = Number(word);
    if (word.trim() !== '' && Number.isSafeInteger(value) && value >= 1) return value;
    throw new UsageError(`${option} has '${word}'; write integers of at least 1 between commas`);
  });
}
