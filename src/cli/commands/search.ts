import type { Argv } from 'yargs';
import {
  type Attributes,
  type Crowding,
  type Explanation,
  type Filter,
  type Id,
  type Index,
  ScanneryError,
  type SearchOptions,
  type SearchResult,
} from '../../index.ts';
import type { ArgumentsOf } from '../commands.ts';
import { throwIfAborted, UsageError } from '../errors.ts';
import { shortest, shownAttributes, shownId, table } from '../format.ts';
import { openInput, takingRows } from '../input/open-input.ts';
import { type RowsFile, vectorsOf } from '../input/rows.ts';
import { parseVector } from '../input/values.ts';
import { indexArguments, resolveId, withIndex } from '../open-index.ts';
import { type CommonArguments, type Session, toJson } from '../session.ts';

const text = { type: 'string', requiresArg: true } as const;
const number = { type: 'number', requiresArg: true } as const;

export const options = (yargs: Argv<CommonArguments>) =>
  indexArguments(yargs)
    .options({
      id: { ...text, describe: 'Search with the vector of this id, and leave it out', group: 'Query:' },
      vector: { ...text, describe: "Search with this vector: '[0.1, 0.2]' or '0.1 0.2'", group: 'Query:' },
      queries: { ...text, describe: 'Search with every vector of a file', group: 'Query:' },
      k: { ...number, describe: 'Results' },
      leaves: { ...number, describe: 'Leaves searched; more find more, and take longer' },
      candidates: { ...number, describe: 'Candidates scored exactly; more find more, and take longer' },
      exact: { type: 'boolean', describe: 'Score every vector' },
      filter: { ...text, describe: 'Which vectors may be found, by their attributes, as JSON' },
      crowding: { ...text, describe: 'ATTRIBUTE:MAX, so many results at most share a value' },
      attributes: { type: 'boolean', describe: 'Show attributes; true by default, but not with --queries' },
      explain: { type: 'boolean', describe: 'Say how the answer was found' },
    } as const)
    .example('$0 search my-index --id 7', '')
    .example("$0 search my-index --vector '[0.1, 0.2]' --k 3 --explain", '')
    .example(`$0 search my-index --id 7 --filter '{"range": {"year": {"gte": 1990}}}'`, '')
    .example('$0 search my-index --queries queries.npy --json > answers.jsonl', '');

type Arguments = ArgumentsOf<typeof options>;

export async function run(args: Arguments, session: Session): Promise<void> {
  const { dir, id, vector, queries, threads } = args;
  if ([id, vector, queries].filter((given) => given !== undefined).length !== 1) {
    throw new UsageError('one of --id, --vector and --queries is needed');
  }
  if (args.explain && queries !== undefined) throw new UsageError('--explain is for one query, not for --queries');
  const search = searchOptions(args, session);
  const parsed = vector === undefined ? undefined : parseVector(vector);
  if (typeof parsed === 'string') throw new UsageError(`--vector is wrong: ${parsed}`);
  const file = queries === undefined ? undefined : await openInput(queries);
  await withIndex(dir, { readOnly: true, threads, signal: session.signal }, async (index) => {
    if (file !== undefined) return searchAll(index, file, search, args, session);
    if (parsed !== undefined) return searchOne(index, parsed, search, args, session);
    const own = await resolveId(index, id!);
    const stored = await index.get(own);
    return searchOne(index, stored!.vector, { ...search, excludeIds: [own] }, args, session);
  });
}

function searchOptions(args: Arguments, { signal }: Session): SearchOptions {
  const { k, leaves, candidates, exact, filter, crowding } = args;
  return {
    ...{ k, numLeavesToSearch: leaves, numReorderingCandidates: candidates, exact, signal },
    filter: filter === undefined ? undefined : parseFilter(filter),
    crowding: crowding === undefined ? undefined : parseCrowding(crowding),
  };
}

function parseFilter(given: string): Filter {
  try {
    return JSON.parse(given);
  } catch (error) {
    const message = `--filter is no JSON: ${(error as Error).message}`;
    throw new UsageError(`${message}; an example is {"allow": {"color": ["red"]}}`);
  }
}

function parseCrowding(given: string): Crowding {
  const [, attribute, max] = /^(.+):(\d+)$/.exec(given) ?? [];
  if (attribute === undefined) throw new UsageError(`--crowding is '${given}', and should be like color:2`);
  return { attribute, max: Number(max) };
}

/** A result as it is printed. */
interface Found {
  readonly rank: number;
  readonly id: Id;
  readonly score: number;
  readonly attributes?: Attributes;
}

async function searchOne(
  index: Index,
  vector: ArrayLike<number>,
  search: SearchOptions,
  args: Arguments,
  session: Session,
): Promise<void> {
  const explanation = args.explain ? await index.explain(vector, search) : undefined;
  const results = await found(index, explanation ?? (await index.search(vector, search)), args.attributes !== false);
  await session.answer(
    () => [shownResults(results), ...(explanation ? ['', shownExplanation(explanation)] : [])].join('\n'),
    () => ({ results, ...(explanation && { explanation: withoutResults(explanation) }) }),
  );
}

async function searchAll(
  index: Index,
  file: RowsFile,
  search: SearchOptions,
  args: Arguments,
  session: Session,
): Promise<void> {
  let query = 0;
  for await (const chunk of file.chunks()) {
    const vectors = vectorsOf(chunk, file.dimensions ?? 0);
    for (let from = 0; from < vectors.length; from += BATCH) {
      throwIfAborted(session.signal);
      const first = query;
      const batch = vectors.slice(from, from + BATCH);
      const answers = await takingRows(file, () => index.searchBatch(batch, search).catch(shiftRows(first)));
      const lines = first === 0 && !session.json ? [args.attributes ? `${HEADER}\tattributes` : HEADER] : [];
      for (const [i, answer] of answers.entries()) {
        const results = await found(index, answer, args.attributes === true);
        const id = chunk.ids?.[from + i];
        if (session.json) lines.push(toJson({ query, ...(id !== undefined && { id }), results }));
        else for (const one of results) lines.push(row(query, one));
        query++;
      }
      if (lines.length > 0) await session.print(lines.join('\n'));
      session.progress.update('search', query, file.rows);
    }
  }
}

/** Queries that are asked together, and whose answers are held. */
const BATCH = 256;

const HEADER = 'query\trank\tid\tscore';

const row = (query: number, { rank, id, score, attributes }: Found): string =>
  [query, rank, shownId(id), score, ...(attributes ? [shownAttributes(attributes)] : [])].join('\t');

/** Errors count queries from the first of the file, not of the batch. */
function shiftRows(first: number): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof ScanneryError) || error.row === undefined) throw error;
    const row = error.row + first;
    const message = error.message.replace(/^query \d+/, `query ${row}`);
    throw new ScanneryError(error.code, message, { row, value: error.value, cause: error });
  };
}

async function found(index: Index, { ids, scores }: SearchResult, withAttributes: boolean): Promise<Found[]> {
  const knowsAttributes = withAttributes && index.stats().config.reordering !== false;
  const results: Found[] = [];
  for (const [i, id] of ids.entries()) {
    const attributes = knowsAttributes ? (await index.get(id))?.attributes : undefined;
    results.push({ rank: i + 1, id, score: shortest(scores[i]!), ...(attributes && { attributes }) });
  }
  return results;
}

function shownResults(results: readonly Found[]): string {
  if (results.length === 0) return 'nothing was found';
  const withAttributes = results.some(({ attributes }) => attributes !== undefined);
  const rows = results.map(({ rank, id, score, attributes }) => [
    ...[`${rank}`, shownId(id), `${score}`],
    ...(withAttributes ? [shownAttributes(attributes)] : []),
  ]);
  return table([['rank', 'id', 'score', ...(withAttributes ? ['attributes'] : [])], ...rows], [1, 3]);
}

function withoutResults({ ids: _, scores: __, ...rest }: Explanation): Omit<Explanation, 'ids' | 'scores'> {
  return rest;
}

function shownExplanation({ method, leaves, codesScanned, candidates, reordered, microseconds, filter }: Explanation) {
  const times = Object.entries(microseconds).map(([stage, time]) => `${stage} ${time.toFixed(0)} us`);
  return [
    `method      ${method}`,
    `leaves      ${leaves.length} visited`,
    `codes       ${codesScanned} scanned, ${candidates} candidates, ${reordered} scored exactly`,
    `time        ${times.join(', ')}`,
    ...(filter ? [`filter      ${filter.strategy}, about ${filter.estimatedMatches} vectors match`] : []),
  ].join('\n');
}
