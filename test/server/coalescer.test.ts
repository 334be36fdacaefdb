import { expect, it } from 'vitest';
import { type Index, type Query, ScanneryError, type SearchResult } from '../../src/index.ts';
import { Coalescer } from '../../src/server/coalescer.ts';
import type { Deadline } from '../../src/server/deadline.ts';
import { HttpError } from '../../src/server/errors.ts';
import { failureOf } from '../support/failures.ts';

const SETTING = { k: 1, numLeavesToSearch: undefined, numReorderingCandidates: undefined };

/** A deadline that ends when it is told to. */
function deadline(): Deadline & { end(reason: HttpError): void } {
  let listener: (reason: HttpError) => void = () => {};
  return {
    onAbort: (each: typeof listener) => (listener = each),
    end: (reason: HttpError) => listener(reason),
  } as never;
}

/** An index that answers a query by its first number, when it is let; `calls` are the queries of each call. */
function indexOf(threads: number) {
  const calls: number[][] = [];
  const waiting: (() => void)[] = [];
  const answer = async (queries: readonly Query[]): Promise<SearchResult[]> => {
    calls.push(queries.map((query) => query[0]!));
    await new Promise<void>((resolve) => waiting.push(resolve));
    if (queries.some((query) => query[0] === -1)) throw new ScanneryError('SCANNERY_INVALID_VECTOR', 'bad');
    return queries.map((query) => ({ ids: [query[0]!], scores: Float32Array.of(0) }));
  };
  const index = {
    stats: () => ({ threads }),
    search: async (query: Query) => (await answer([query]))[0],
    searchBatch: answer,
  } as unknown as Index;
  const go = (): void => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  return { index, calls, go };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

it('searches together what arrives in one turn, or while every thread has something to do and more is ready', async () => {
  const { index, calls, go } = indexOf(1);
  const coalescer = new Coalescer(index);
  const ask = (first: number, setting = SETTING) => coalescer.search([first], setting, deadline());
  const found = [ask(1), ask(2)];
  await turn();
  found.push(ask(3));
  await turn();
  // The thread is busy, and has more to do when it is done.
  found.push(ask(4));
  await turn();
  found.push(ask(5), ask(6, { ...SETTING, k: 2 }));
  await turn();
  expect(calls).toEqual([[1, 2], [3]]);
  go();
  await turn();
  expect(calls).toEqual([[1, 2], [3], [4, 5], [6]]);
  go();
  expect((await Promise.all(found)).map(({ ids }) => ids)).toEqual([[1], [2], [3], [4], [5], [6]]);
});

it('waits for no more than a group holds', async () => {
  const { index, calls, go } = indexOf(1);
  const coalescer = new Coalescer(index);
  const found = Array.from({ length: 40 }, (_, i) => coalescer.search([i], SETTING, deadline()));
  expect(calls.map(({ length }) => length)).toEqual([16, 16]);
  for (let i = 0; i < 3; i++) {
    await turn();
    go();
  }
  expect((await Promise.all(found)).map(({ ids }) => ids[0])).toEqual(Array.from({ length: 40 }, (_, i) => i));
  expect(calls.map(({ length }) => length)).toEqual([16, 16, 8]);
});

it('uses controllers again, but none that has ended a group', async () => {
  const { index, go } = indexOf(1);
  const signals: (AbortSignal | undefined)[] = [];
  const { search } = index;
  index.search = (query, options) => {
    signals.push(options?.signal);
    return search.call(index, query, options);
  };
  const coalescer = new Coalescer(index);
  const ask = async (first: number, ends?: HttpError) => {
    const its = deadline();
    const found = coalescer.search([first], SETTING, its);
    found.catch(() => {});
    await turn();
    if (ends !== undefined) its.end(ends);
    go();
    await turn();
    return found;
  };
  await ask(1);
  await expect(ask(2, new HttpError(504, 'DEADLINE_EXCEEDED', 'late'))).rejects.toThrow('late');
  await ask(3);
  const [first, second, third] = signals;
  expect(second).toBe(first);
  expect(second!.aborted).toBe(true);
  expect(third!.aborted).toBe(false);
});

it('gives each query an end and an error of its own', async () => {
  const { index, calls, go } = indexOf(1);
  const coalescer = new Coalescer(index);
  const [late, late2] = [deadline(), deadline()];
  const [good, bad, slow] = [
    coalescer.search([1], SETTING, deadline()),
    coalescer.search([-1], SETTING, deadline()),
    coalescer.search([3], SETTING, late),
  ];
  await turn();
  late.end(new HttpError(504, 'DEADLINE_EXCEEDED', 'late'));
  await expect(slow).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  // One that ends while it waits for a thread.
  const waiting = coalescer.search([4], SETTING, late2);
  late2.end(new HttpError(504, 'DEADLINE_EXCEEDED', 'late'));
  await expect(waiting).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  const bads = failureOf(bad);
  for (let i = 0; i < 4; i++) {
    go();
    await turn();
  }
  expect((await good).ids).toEqual([1]);
  expect(await bads).toMatchObject({ code: 'SCANNERY_INVALID_VECTOR' });
  expect(calls[0]).toEqual([1, -1, 3]);
});
